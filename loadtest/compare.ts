// Seawall beside others on the same work in the same run, alternating: medians and ratios beside the goals. See the help below.

import { alone } from './compare/alone.ts';
import type { Contender } from './compare/contenders.ts';
import { findPrograms, type Programs } from './compare/where-installed.ts';
import { type Work, works } from './compare/works.ts';
import { assertBuilt } from './daemon.ts';
import { decimal, readOptions, runTool, whole, WrongUse } from './parts/options.ts';

const names = [...works, ...alone].map(({ name }) => name);

const help = `npm run compare -- [NAME …] [options]      measures, beside others where there are any

${[...works, ...alone].map(({ name, words }) => `  ${name.padEnd(16)}${words}`).join('\n')}

Without names: all but ${alone.map(({ name }) => name).join(', ')}, which take minutes.

  --rounds N   measured rounds of each, after one that is not (5)
  --scale N    so many times the usual counts, such as 0.1 to see whether it works (1)
  --exim PATH, --opensmtpd PATH
               where they are when they are neither on PATH nor in /usr/sbin
  --json       the result as one line of JSON at the end

Each contender is private: its own folder, a free port on loopback, ended and removed afterwards. Postfix needs root and
Debian's postfix package, which also has smtp-source. Exim and OpenSMTPD are measured where they are, and named where they
are not; they need not be installed: unpacked (dpkg -x) into a folder, with LD_LIBRARY_PATH for their libraries, will do.
The load generator shares the machine with everybody alike.
Exit codes: 0 measured, whatever the figures are; 1 failed; 64 wrong use.`;

interface Result {
  readonly work: string;
  readonly unit: string;
  readonly medians: Readonly<Record<string, number>>;
  readonly ratios: Readonly<Record<string, number>>;
  /** Who was not there, and why. */
  readonly notMeasured: Readonly<Record<string, string>>;
  readonly met: boolean | undefined;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

const verdictOf = (met: boolean): string => (met ? 'Goal met.' : 'Goal NOT met.');

const shown = (value: number): string => (value < 100 ? value.toFixed(1) : value.toFixed(0));

/** Rejects when somebody ends us: what was started is then ended and removed before we go. */
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => reject(new Error(`ended by ${signal}`)));
});
interrupted.catch(() => undefined);

async function compare(work: Work, programs: Programs, rounds: number, scale: number): Promise<Result> {
  const { contenders, missing, certificate } = await work.setup(programs);
  for (const { name, why } of missing) console.log(`  not measured: ${name}: ${why}`);
  const count = Math.max(200, Math.round(work.count * scale));
  const rates = new Map<Contender, number[]>(contenders.map((each) => [each, []]));
  try {
    // One round that is not measured: a compiler that still warms up measures nothing.
    for (let round = 0; round <= rounds; round++) {
      for (const each of contenders) {
        const rate = await Promise.race([work.measure(each, count), interrupted]);
        await each.settle();
        if (round > 0) rates.get(each)?.push(rate);
      }
      const line = contenders.map((each) => `${each.name} ${shown(rates.get(each)?.at(-1) ?? 0)}${work.unit}`);
      if (round > 0) console.log(`  round ${round}: ${line.join(', ')}`);
    }
  } finally {
    for (const each of contenders) await each.stop();
    await certificate?.remove();
  }
  const [ours = [], ...others] = [...rates.values()];
  const ratios = others.map((theirs) => median(ours.map((rate, i) => rate / (theirs[i] ?? Infinity))));
  const rest = contenders.slice(1);
  const goals = rest.map(({ name }, i) => {
    const goal = work.ratios[i];
    return `${ratios[i]?.toFixed(2)} × ${name}${goal === undefined ? '' : ` (goal ${goal})`}`;
  });
  const least = work.least === undefined ? '' : ` (goal ${work.least}${work.unit})`;
  const wanted = work.ratios.some((goal) => goal !== undefined) || work.least !== undefined;
  const met = work.ratios.every((goal, i) => (ratios[i] ?? 0) >= (goal ?? 0)) && median(ours) >= (work.least ?? 0);
  const verdict = wanted ? `. ${verdictOf(met)}` : '';
  console.log(`  ${contenders[0]?.name} ${shown(median(ours))}${work.unit}${least}: ${goals.join(', ')}${verdict}`);
  return {
    work: work.name,
    unit: work.unit,
    medians: Object.fromEntries([...rates].map(([{ name }, values]) => [name, median(values)])),
    ratios: Object.fromEntries(rest.map(({ name }, i) => [name, ratios[i] ?? NaN])),
    notMeasured: Object.fromEntries(missing.map(({ name, why }) => [name, why])),
    met: wanted ? met : undefined,
  };
}

async function main(): Promise<number> {
  const { values, positionals } = readOptions(help, {
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    exim: { type: 'string' },
    opensmtpd: { type: 'string' },
    json: { type: 'boolean', default: false },
  });
  const rounds = whole('rounds', values.rounds, 1, 50);
  const scale = decimal('scale', values.scale, 0.0001, 10);
  const unknown = positionals.find((each) => !names.includes(each));
  if (unknown !== undefined) throw new WrongUse(`There is no work ${unknown}: there are ${names.join(', ')}.`);
  const programs = await findPrograms({ exim: values.exim, opensmtpd: values.opensmtpd });
  await assertBuilt();
  const chosen = (name: string): boolean => positionals.includes(name);
  const results: Result[] = [];
  for (const work of works.filter(({ name }) => positionals.length === 0 || chosen(name))) {
    console.log(`${work.name}: ${work.words}`);
    results.push(await compare(work, programs, rounds, scale));
  }
  const verdicts = results.map(({ work, met }) => ({ work, met }));
  for (const { name, words, run } of alone.filter((each) => chosen(each.name))) {
    console.log(`${name}: ${words}`);
    const met = await run(scale, interrupted);
    console.log(`  ${verdictOf(met)}`);
    verdicts.push({ work: name, met });
  }
  const list = (which: boolean | undefined): string =>
    verdicts.flatMap(({ work, met }) => (met === which ? [work] : [])).join(', ') || 'none';
  console.log(`\nGoal met: ${list(true)}. Not met: ${list(false)}. Without a goal: ${list(undefined)}.`);
  if (values.json) console.log(JSON.stringify({ results, verdicts }));
  return 0;
}

await runTool(main);
