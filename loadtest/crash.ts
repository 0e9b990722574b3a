// Kills a loaded daemon over and over, and audits what is left: `npm run crash -- --rounds 200 [--seed N]`.
// Exits 0 only if nothing was lost, reordered, duplicated or changed, and `seawall verify` agrees.

import { parseArgs } from 'node:util';
import { type Round, disturb } from './crash-rounds.ts';
import { assertBuilt } from './daemon.ts';
import { Rehearsal } from './crash-rehearsal.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    sessions: { type: 'string', default: '16' },
    'think-ms': { type: 'string', default: '80' },
    'long-freezes': { type: 'string', default: '' },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);
const freezes = values['long-freezes'] === '' ? Math.ceil(rounds / 50) : Number(values['long-freezes']);
if (!Number.isSafeInteger(rounds) || rounds < 1 || rounds > 10_000)
  throw new Error('--rounds wants a number from 1 to 10000');

/** Median and worst. */
function spread(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `${median.toFixed(0).padStart(9)}${(sorted.at(-1) ?? 0).toFixed(0).padStart(8)}`;
}

function table(done: readonly Round[]): string {
  const kinds = new Map<string, Round[]>();
  for (const each of done) kinds.set(each.what, [...(kinds.get(each.what) ?? []), each]);
  const lines = [...kinds]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([what, some]) => {
      const next = spread(some.map((each) => each.until250Ms));
      return `  ${what.padEnd(42)}${String(some.length).padStart(6)}${next}${spread(some.map((each) => each.silenceMs))}`;
    });
  return [
    `  ${''.padEnd(48)}    to the next 250  longest silence`,
    `  ${'what (ms)'.padEnd(42)} times   median   worst   median   worst`,
    ...lines,
  ].join('\n');
}

await assertBuilt();
console.log(`Crash rehearsal: ${rounds} rounds, seed ${seed}.`);
const began = performance.now();
const rehearsal = await Rehearsal.start({
  seed,
  sessions: Number(values.sessions),
  thinkMs: Number(values['think-ms']),
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void rehearsal.end().finally(() => process.exit(1)));
}
let exitCode = 1;
try {
  const done = await disturb(rehearsal, {
    rounds,
    seed,
    longFreezes: freezes,
    onRound: ({ what, silenceMs }, i) =>
      console.log(
        `${String(i + 1).padStart(5)}  ${what.padEnd(42)}${silenceMs.toFixed(0).padStart(7)} ms without a 250`,
      ),
  });
  const { trouble } = rehearsal.clients;
  const { problems, ...audit } = await rehearsal.settle();
  console.log(`\n${table(done)}\n`);
  console.log(
    Object.entries(audit)
      .map(([name, count]) => `  ${name.padEnd(26)}${String(count).padStart(8)}`)
      .join('\n'),
  );
  console.log('  what the clients heard besides 250:');
  for (const [what, count] of trouble) console.log(`    ${String(count).padStart(7)}  ${what}`);
  for (const problem of problems) console.log(`PROBLEM: ${problem}`);
  const sound = problems.length === 0;
  console.log(
    `${sound ? 'Nothing was lost.' : `NOT well; seed ${seed}.`} ${((performance.now() - began) / 1000).toFixed(0)} s.`,
  );
  exitCode = sound ? 0 : 1;
} catch (error) {
  console.error(error, rehearsal.daemon.log().slice(-6_000));
} finally {
  await rehearsal.end();
}
process.exit(exitCode);
