// Disk trouble during a rehearsal, and what came of it. `endure` takes how the trouble begins and ends, and gives what clients
// heard meanwhile, what was logged and how long it took until requests were taken again; contradictions to what
// Seawall promises are told in words. Whether something was lost shows in the rehearsal's audit.

import type { Attempt } from './noting-clients.ts';
import { eventually, type Rehearsal } from './crash-rehearsal.ts';
import { type Fault, Strace } from './strace.ts';

/** A message that had passed MAIL when the trouble struck may still finish. */
const graceMs = 200;

/** A trouble, as the table names it. */
export interface Trouble {
  readonly what: string;
  /** Brings it about. Resolves when it has struck. */
  readonly begin: () => Promise<void>;
  /** Ends it. */
  readonly end: () => Promise<void>;
  readonly holdMs: number;
  /** What a log line must say, if there must be one. */
  readonly logged?: RegExp;
  /** Whether a message whose final dot comes meanwhile may get a 250, must get none, or some must. */
  readonly kept: 'may' | 'none' | 'some';
}

export interface Endured {
  readonly what: string;
  /** Replies and breaks while it lasted, with their counts. */
  readonly heard: ReadonlyMap<string, number>;
  /** Milliseconds from its end to the next 250. */
  readonly backMs: number;
  readonly line: string;
  readonly problems: readonly string[];
}

/** The log lines of warnings and worse since a moment (milliseconds since 1970). */
export function linesSince(rehearsal: Rehearsal, since: number): string[] {
  return rehearsal.daemon
    .log()
    .split('\n')
    .filter((line) => Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? '') >= since);
}

/** One line, without what the log says in every line, and not too long. */
function shortened(line: string | undefined): string {
  const stage = /"stage":"(\w+)"/.exec(line ?? '')?.[1] ?? '';
  const reason = /"(?:message|reason)":"((?:[^"\\]|\\.)*)"/.exec(line ?? '')?.[1];
  const text = /"msg":"((?:[^"\\]|\\.)*)"/.exec(line ?? '')?.[1];
  return [stage, text, reason === text ? undefined : reason].filter(Boolean).join(': ').slice(0, 240);
}

/** Lets a rehearsal go through a trouble. */
export async function endure(rehearsal: Rehearsal, trouble: Trouble): Promise<Endured> {
  const { what, begin, end, holdMs, logged, kept } = trouble;
  const { clients } = rehearsal;
  const problems: string[] = [];
  const since = Date.now();
  const first = clients.attempts.length;
  await begin();
  const struckAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, holdMs));
  const during = clients.attempts.slice(first);
  const keptMeanwhile = during.filter((each) => each.ticket !== undefined && each.dotAt! > struckAt + graceMs).length;
  await end();
  const endedAt = performance.now();
  if (kept === 'none' && keptMeanwhile > 0) problems.push(`${keptMeanwhile} requests got a 250 meanwhile`);
  if (kept === 'some' && keptMeanwhile === 0)
    problems.push('no request was taken meanwhile, although another stage was hit');
  await rehearsal.healthy();
  let back: Attempt | undefined;
  await eventually(`requests are taken again after: ${what}`, 60, () => {
    back = clients.attempts.slice(first).find(({ ticket, dotAt }) => ticket !== undefined && dotAt! > endedAt);
    return back !== undefined;
  });
  const said = (): string | undefined => linesSince(rehearsal, since).find((each) => logged?.test(each));
  // A stage writes its lines a little later, and its restart may not even have begun: the intake did not wait for it.
  if (logged) await eventually('it is logged', 10, () => said() !== undefined).catch(() => undefined);
  await rehearsal.healthy();
  const lines = linesSince(rehearsal, since);
  const line = said();
  if (logged && line === undefined) problems.push(`no log line says ${String(logged)}; last: ${lines.at(-1) ?? ''}`);
  const heard = new Map<string, number>();
  for (const { reply, dotAt, ticket, broken } of clients.attempts.slice(first)) {
    // Those that have neither are on their way.
    if (ticket !== undefined || (reply === undefined && broken === undefined)) continue;
    const words = reply ?? (dotAt === undefined ? 'no connection' : 'connection broken after the dot');
    heard.set(words, (heard.get(words) ?? 0) + 1);
    if (words.startsWith('5')) problems.push(`a client heard ${words}`);
  }
  return {
    what,
    heard,
    backMs: back!.repliedAt! - endedAt,
    line: shortened(line),
    problems: problems.map((each) => `${what}: ${each}`),
  };
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It died of the fault before: the next one meets it, too.
  }
}

/** Paths that a stage may open while its fault lasts: strace wants them in full. */
async function pathsOf(rehearsal: Rehearsal): Promise<string[]> {
  const { clients, daemon } = rehearsal;
  const next = clients.attempts.filter(({ ticket }) => ticket !== undefined).length;
  const names = Array.from({ length: 1_000 }, (_, i) => `${String(next + i).padStart(12, '0')}.mbox`);
  const folder = `${daemon.spool}/mailboxes`;
  return [
    folder,
    `${daemon.spool}/durable.new`,
    `${daemon.spool}/intake.epoch`,
    ...names.map((name) => `${folder}/${name}`),
  ];
}

/**
 * A system call of one stage that fails. When the stage does not make it within a moment, the stage is killed, so
 * that the one after it meets the fault on its way up.
 */
export function syscallTrouble(rehearsal: Rehearsal, stage: string, fault: Fault): Trouble {
  const { syscall, error, times } = fault;
  // A call that is interrupted is made again by Node, a lock that is not renewed for a moment is still held, and a folder
  // that cannot be made again is there.
  const harmless = error === 'EINTR' || syscall === 'utimensat' || (syscall === 'mkdir' && times === 'once');
  const stops = ['pwrite64', 'fdatasync'].includes(syscall) && times === 'always';
  let strace: Strace | undefined;
  return {
    what: `${stage}: ${syscall} ${error} ${times}`,
    holdMs: times === 'always' ? 2_500 : 0,
    ...(!harmless && { logged: new RegExp(error) }),
    kept: stage === 'intake' ? (stops ? 'none' : 'may') : times === 'always' ? 'some' : 'may',
    async begin() {
      await rehearsal.healthy();
      const pid = await rehearsal.pidOf(stage);
      const paths = syscall === 'openat' ? await pathsOf(rehearsal) : [];
      strace = await Strace.attach([rehearsal.daemon.process.pid!, pid], { ...fault, paths });
      const struck = async () => ((await strace?.hits())?.length ?? 0) > 0;
      await eventually('the fault strikes', 3, struck).catch(() => killIfThere(pid));
      await eventually(`${syscall} is called`, 20, struck);
    },
    async end() {
      await strace?.detach();
    },
  };
}
