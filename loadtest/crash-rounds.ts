// The disturber: in each round it lets the rehearsal run for a moment, then kills or freezes something, drawn from a seed,
// puts back what an init system would, and waits until requests are taken again. Gives how long that took, by what was done.

import { Seeded } from './seeded.ts';
import { eventually, type Rehearsal } from './rehearsal.ts';

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

type Deed = (rehearsal: Rehearsal, chance: Seeded) => Promise<void>;

const stages = ['intake', 'acknowledge', 'deliver'] as const;
const staleMs = 12_000;

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function killStages(rehearsal: Rehearsal, some: readonly string[]): Promise<void> {
  const pids = await Promise.all(some.map((stage) => rehearsal.pidOf(stage)));
  for (const pid of pids) process.kill(pid, 'SIGKILL');
}

/** Stops a stage's process for a while. It may have been killed meanwhile only by us: its supervisor does not look. */
async function freeze(rehearsal: Rehearsal, stage: string, ms: number): Promise<void> {
  const pid = await rehearsal.pidOf(stage);
  process.kill(pid, 'SIGSTOP');
  await wait(ms);
  process.kill(pid, 'SIGCONT');
}

async function killSupervisor(rehearsal: Rehearsal, withStages: boolean): Promise<void> {
  if (withStages) await killStages(rehearsal, stages);
  rehearsal.daemon.process.kill('SIGKILL');
  await rehearsal.daemon.again();
}

const deeds: readonly (readonly [number, readonly [string, Deed]])[] = [
  [8, ['kill -9 intake', (on) => killStages(on, ['intake'])]],
  [3, ['kill -9 acknowledge', (on) => killStages(on, ['acknowledge'])]],
  [3, ['kill -9 deliver', (on) => killStages(on, ['deliver'])]],
  [3, ['kill -9 all stages', (on) => killStages(on, stages)]],
  [3, ['kill -9 supervisor', (on) => killSupervisor(on, false)]],
  [3, ['kill -9 supervisor and stages', (on) => killSupervisor(on, true)]],
  [2, ['kill -9 registry', async (on) => void on.registry.kill('SIGKILL')]],
  [2, ['freeze intake', (on, chance) => freeze(on, 'intake', chance.between(50, 1_500))]],
  [1, ['freeze acknowledge', (on, chance) => freeze(on, 'acknowledge', chance.between(50, 1_500))]],
  [1, ['freeze deliver', (on, chance) => freeze(on, 'deliver', chance.between(50, 1_500))]],
  [
    1,
    [
      'stop in order and start',
      async (on) => {
        on.daemon.process.kill('SIGTERM');
        await on.daemon.again();
      },
    ],
  ],
];

const longFreezes: readonly (readonly [number, readonly [string, Deed]])[] = stages.map((stage) => [
  stage === 'intake' ? 2 : 1,
  [`freeze ${stage} for longer than its lock`, (on) => freeze(on, stage, staleMs)],
]);

function longestSilence(rehearsal: Rehearsal, from: number): number {
  const times = [from, performance.now()];
  for (const { ticket, repliedAt } of rehearsal.clients.attempts.slice(-20_000)) {
    if (ticket !== undefined && repliedAt !== undefined && repliedAt > from) times.push(repliedAt);
  }
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
    const at = performance.now();
    let keptAt: number | undefined;
    void rehearsal.clients.nextKept(at).then((attempt) => (keptAt = attempt.repliedAt));
    await deed(rehearsal, chance);
    await rehearsal.healthy();
    await eventually(`a request is taken again after: ${what}`, 60, () => keptAt !== undefined);
    const round = { what, until250Ms: keptAt! - at, silenceMs: longestSilence(rehearsal, at) };
    done.push(round);
    onRound?.(round, index);
  }
  return done;
}
