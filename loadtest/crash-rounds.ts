// The disturber: in each round it lets the rehearsal run for a moment, then kills or freezes something, drawn from a seed,
// puts back what an init system would, and waits until requests are taken again. Gives how long that took, by what was done.

import type { Attempt } from './noting-clients.ts';
import { Seeded } from './seeded.ts';
import { eventually, type Rehearsal } from './crash-rehearsal.ts';

/** One thing that was done, and its price. */
export interface Round {
  readonly what: string;
  /** Milliseconds from the deed to the 250 for a message that was finished after it. */
  readonly until250Ms: number;
  /** The longest that nobody got a 250, from the deed until every stage worked again. */
  readonly silenceMs: number;
}

export interface RoundsOptions {
  readonly rounds: number;
  readonly seed: number;
  /** How many of the rounds freeze a stage for longer than its lock takes to go stale (10 s). */
  readonly longFreezes: number;
  readonly onRound?: (round: Round, index: number) => void;
}

/** When it was done, and the processes that are gone by it. */
interface Done {
  readonly at: number;
  readonly gone: readonly number[];
}

type Deed = (rehearsal: Rehearsal, chance: Seeded) => Promise<Done>;

const stages = ['intake', 'acknowledge', 'deliver'] as const;
const staleMs = 12_000;

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function killStages(rehearsal: Rehearsal, some: readonly string[]): Promise<Done> {
  const gone = await Promise.all(some.map((stage) => rehearsal.pidOf(stage)));
  for (const pid of gone) process.kill(pid, 'SIGKILL');
  return { at: performance.now(), gone };
}

/** Stops a stage's process for a while. It may have been killed meanwhile only by us: its supervisor does not look. */
async function freeze(rehearsal: Rehearsal, stage: string, ms: number): Promise<Done> {
  const pid = await rehearsal.pidOf(stage);
  process.kill(pid, 'SIGSTOP');
  const at = performance.now();
  await wait(ms);
  process.kill(pid, 'SIGCONT');
  return { at, gone: [] };
}

async function endSupervisor(rehearsal: Rehearsal, signal: NodeJS.Signals, some: readonly string[]): Promise<Done> {
  await killStages(rehearsal, some);
  rehearsal.daemon.process.kill(signal);
  const at = performance.now();
  await rehearsal.daemon.again();
  return { at, gone: [] };
}

async function killRegistry(rehearsal: Rehearsal): Promise<Done> {
  rehearsal.registry.kill('SIGKILL');
  return { at: performance.now(), gone: [] };
}

const deeds: readonly (readonly [number, readonly [string, Deed]])[] = [
  [8, ['kill -9 intake', (on) => killStages(on, ['intake'])]],
  [3, ['kill -9 acknowledge', (on) => killStages(on, ['acknowledge'])]],
  [3, ['kill -9 deliver', (on) => killStages(on, ['deliver'])]],
  [3, ['kill -9 all stages', (on) => killStages(on, stages)]],
  [3, ['kill -9 supervisor', (on) => endSupervisor(on, 'SIGKILL', [])]],
  [3, ['kill -9 supervisor and stages', (on) => endSupervisor(on, 'SIGKILL', stages)]],
  [2, ['kill -9 registry', killRegistry]],
  [2, ['freeze intake', (on, chance) => freeze(on, 'intake', chance.between(50, 1_500))]],
  [1, ['freeze acknowledge', (on, chance) => freeze(on, 'acknowledge', chance.between(50, 1_500))]],
  [1, ['freeze deliver', (on, chance) => freeze(on, 'deliver', chance.between(50, 1_500))]],
  [1, ['stop in order and start', (on) => endSupervisor(on, 'SIGTERM', [])]],
];

const longFreezes: readonly (readonly [number, readonly [string, Deed]])[] = stages.map((stage) => [
  stage === 'intake' ? 2 : 1,
  [`freeze ${stage} for longer than its lock`, (on) => freeze(on, stage, staleMs)],
]);

/** The attempts of the last while: more than come in one round. */
function recent({ clients }: Rehearsal): Attempt[] {
  return clients.attempts.slice(-20_000).filter(({ ticket }) => ticket !== undefined);
}

/** The first 250 for a message whose final dot was written after `from`. */
function firstKept(rehearsal: Rehearsal, from: number): Attempt | undefined {
  return recent(rehearsal)
    .filter(({ dotAt }) => dotAt! > from)
    .toSorted((a, b) => a.repliedAt! - b.repliedAt!)[0];
}

function longestSilence(rehearsal: Rehearsal, from: number): number {
  const times = [from, performance.now()];
  for (const { repliedAt } of recent(rehearsal)) if (repliedAt! > from) times.push(repliedAt!);
  times.sort((a, b) => a - b);
  return Math.max(...times.slice(1).map((time, i) => time - (times[i] ?? time)));
}

/** Disturbs a rehearsal so many times. @throws when it does not come back */
export async function disturb(rehearsal: Rehearsal, options: RoundsOptions): Promise<Round[]> {
  const { rounds, seed, onRound } = options;
  const chance = new Seeded(seed);
  const done: Round[] = [];
  const long = new Set<number>();
  while (long.size < Math.min(options.longFreezes, rounds)) long.add(chance.between(0, rounds - 1));
  for (let index = 0; index < rounds; index++) {
    await wait(chance.between(10, 1_500));
    const [what, deed] = chance.pick(long.has(index) ? longFreezes : deeds);
    const { at, gone } = await deed(rehearsal, chance);
    await rehearsal.healthy(gone);
    let kept: Attempt | undefined;
    await eventually(`a request is taken again after: ${what}`, 60, () => {
      kept = firstKept(rehearsal, at);
      return kept !== undefined;
    });
    const round = { what, until250Ms: kept!.repliedAt! - at, silenceMs: longestSilence(rehearsal, at) };
    done.push(round);
    onRound?.(round, index);
  }
  return done;
}
