// Peace: a steady mixed load on a private daemon with all of its stages, for as long as asked: `npm run soak -- --minutes 30`.
// Samples memory and descriptors of each process and the clients' latencies, compares the first third with the last, and
// exits 1 when something grew beyond its bound, or when the books do not balance in the end.

import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { assertBuilt } from './daemon.ts';
import { Rehearsal } from './crash-rehearsal.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    sessions: { type: 'string', default: '24' },
    'think-ms': { type: 'string', default: '200' },
    'sample-seconds': { type: 'string', default: '5' },
  },
});
const minutes = Number(values.minutes);
const sampleMs = Number(values['sample-seconds']) * 1000;
if (!(minutes > 0 && minutes <= 24 * 60)) throw new Error('--minutes wants a number up to 1440');

/** How much the last third may be above the first: a share, and an amount that is always allowed. */
const bounds = {
  memory: { share: 0.25, slack: 30 },
  descriptors: { share: 0, slack: 15 },
  latency: { share: 1, slack: 25 },
} as const;

/** One look: megabytes and descriptors by process, latencies since the last look. */
interface Sample {
  readonly memory: ReadonlyMap<string, number>;
  readonly descriptors: ReadonlyMap<string, number>;
  readonly latencies: readonly number[];
}

function megabytesOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? NaN) / 1024;
}

function quantile(some: readonly number[], q: number): number {
  const sorted = some.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

const samples: Sample[] = [];
let looked = 0;

async function look(rehearsal: Rehearsal): Promise<Sample> {
  const pids = new Map((await rehearsal.stages())?.map(({ stage, pid }) => [stage, pid ?? 0]));
  pids.set('supervisor', rehearsal.daemon.process.pid!);
  const { attempts } = rehearsal.clients;
  const latencies = attempts
    .slice(looked)
    .flatMap(({ ticket, dotAt, repliedAt }) => (ticket === undefined ? [] : [repliedAt! - dotAt!]));
  looked = attempts.length;
  return {
    memory: new Map([...pids].map(([stage, pid]) => [stage, megabytesOf(pid)])),
    descriptors: new Map([...pids].map(([stage, pid]) => [stage, readdirSync(`/proc/${pid}/fd`).length])),
    latencies,
  };
}

/** A row for each figure, and whether one grew too much. */
function compare(): { rows: string[]; grown: string[] } {
  const third = Math.floor(samples.length / 3);
  // The first look is at processes that have hardly worked.
  const first = samples.slice(1, third + 1);
  const last = samples.slice(-third);
  const rows = [`  ${'median of the samples'.padEnd(36)}first third  last third    bound`];
  const grown: string[] = [];
  const row = (
    name: string,
    unit: string,
    a: number,
    b: number,
    { share, slack }: { share: number; slack: number },
  ) => {
    const bound = a * (1 + share) + slack;
    rows.push(
      `  ${`${name}, ${unit}`.padEnd(36)}${[a, b, bound].map((each) => each.toFixed(1).padStart(11)).join('')}`,
    );
    if (!(b <= bound)) grown.push(`${name} grew from ${a.toFixed(1)} to ${b.toFixed(1)} ${unit}`);
  };
  for (const stage of samples[0]?.memory.keys() ?? []) {
    const middle = (some: readonly Sample[], figure: 'memory' | 'descriptors'): number =>
      quantile(
        some.map((each) => each[figure].get(stage) ?? NaN),
        0.5,
      );
    row(`${stage}: memory`, 'MB', middle(first, 'memory'), middle(last, 'memory'), bounds.memory);
    row(`${stage}: descriptors`, 'open', middle(first, 'descriptors'), middle(last, 'descriptors'), bounds.descriptors);
  }
  for (const [name, q] of [
    ['median', 0.5],
    ['99 %', 0.99],
  ] as const) {
    const of = (some: readonly Sample[]): number =>
      quantile(
        some.flatMap(({ latencies }) => latencies),
        q,
      );
    row(`dot to 250: ${name}`, 'ms', of(first), of(last), bounds.latency);
  }
  return { rows, grown };
}

await assertBuilt();
const rehearsal = await Rehearsal.start({
  seed: 1,
  sessions: Number(values.sessions),
  thinkMs: Number(values['think-ms']),
  settings: { SEAWALL_SPOOL_MAILBOX_COUNT: '5000' },
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void rehearsal.end().finally(() => process.exit(1)));
}
const problems: string[] = [];
try {
  const began = performance.now();
  while (performance.now() - began < minutes * 60_000) {
    await new Promise((resolve) => setTimeout(resolve, sampleMs));
    const sample = await look(rehearsal);
    samples.push(sample);
    const { memory, descriptors, latencies } = sample;
    const parts = [...memory].map(([stage, mb]) => `${stage} ${mb.toFixed(0)} MB ${descriptors.get(stage)} fd`);
    console.log(
      `${((performance.now() - began) / 1000).toFixed(0).padStart(6)} s  ${(latencies.length / (sampleMs / 1000)).toFixed(0)}/s  99 % ${quantile(latencies, 0.99).toFixed(1)} ms  ${parts.join(', ')}`,
    );
  }
  const { rows, grown } = compare();
  console.log(rows.join('\n'));
  problems.push(...grown);
  const { problems: found, ...audit } = await rehearsal.settle();
  console.log(JSON.stringify(audit));
  problems.push(...found);
  for (const [what, count] of rehearsal.clients.trouble) problems.push(`clients heard ${count} times: ${what}`);
} finally {
  await rehearsal.end();
}
for (const problem of problems) console.log(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? `${minutes} minutes of peace.` : 'NOT well.');
process.exit(problems.length === 0 ? 0 : 1);
