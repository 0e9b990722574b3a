// The state of a spool at a glance: takes the views, gives a report, and words for it. Works whether or not a daemon runs.

import type { Config } from '../config/config.ts';
import { nodeRuntime } from '../lib/node/runtime.ts';
import {
  type ClockReport,
  clockReport,
  formatClock,
  formatOpening,
  type OpeningReport,
  openingReport,
} from './opening-status.ts';
import { type Check, checksOf, formatChecks, silentSeconds } from './health.ts';
import { humanAge, humanBytes } from './human.ts';
import { openViews } from './spool-views.ts';
import type { Holder, IntakeView, RegistrarsView, TransportView, Views } from './views.ts';

/** The oldest request that still waits for something. */
interface Oldest {
  readonly ticket: string;
  readonly receivedAt: string;
  readonly ageSeconds: number;
}

/** What `seawall status --json` prints. Times are UTC, ages in seconds. */
export interface StatusReport {
  readonly spool: string;
  readonly logId: string | null;
  /** Whether nothing in this spool counts. */
  readonly rehearsal: boolean;
  /** In words, when the spool is a copy or went on from one. */
  readonly copied: string | null;
  readonly at: string;
  /** What is damaged, in words; empty when nothing is known to be. */
  readonly problems: readonly string[];
  /** Whether all is well, thing by thing. */
  readonly checks: readonly Check[];
  readonly opening: OpeningReport;
  readonly clock: ClockReport;
  readonly kept: number;
  readonly lastReceivedAt: string | null;
  readonly acknowledgements: {
    readonly settledThrough: number;
    readonly waiting: number;
    readonly retrying: number;
    readonly sent: number;
    readonly skipped: number;
    readonly failed: number;
    /** Mails that no parser came to an end with: acknowledged without quoting them, never read again. */
    readonly poisoned: number;
    /** The oldest that nobody has tried to acknowledge. */
    readonly oldestUntried: Oldest | null;
  };
  /** Whether acknowledgements are sent at all (ack.enabled). */
  readonly sends: boolean;
  readonly registry: {
    readonly confirmedThrough: number;
    readonly ready: number;
    readonly leased: number;
    readonly parked: number;
    readonly confirmed: number;
    readonly oldestWaiting: Oldest | null;
  };
  readonly stages: readonly Holder[];
  /** Where the intake stands under load; null when none runs. */
  readonly intake: (Omit<IntakeView, 'at' | 'clockTrouble'> & { readonly saidSecondsAgo: number }) | null;
  /** Who carries the acknowledgements, and who of them is in trouble; null when the stage does not run. */
  readonly sending: {
    readonly carriers: readonly string[];
    readonly troubles: readonly {
      readonly name: string;
      readonly text: string;
      readonly forSeconds: number;
      readonly nextTry: string;
    }[];
    readonly troubled: number;
  } | null;
  /** Certificates that have ended, will soon, or cannot be read. */
  readonly certificates: Views['certificates'];
  readonly disk: {
    readonly freeBytes: number;
    /** Null where the file system does not count them. */
    readonly freeInodes: number | null;
    /** New mail gets 452 until there is more room. */
    readonly belowFloor: boolean;
  } | null;
}

async function oldestOf(views: Views, sequence: number | undefined, now: number): Promise<Oldest | null> {
  if (sequence === undefined) return null;
  const [request] = await views.reader.read(sequence - 1, { count: 1, bytes: 1 });
  if (!request) return null;
  const { ticket, receivedAt } = request;
  const ageSeconds = Math.max(0, Math.round((now - receivedAt) / 1000));
  return { ticket, receivedAt: new Date(receivedAt).toISOString(), ageSeconds };
}

/** The first request that is neither settled nor waits for another try. */
function firstUntried({ acks }: Views, kept: number): number | undefined {
  let at = acks.settledFrom(0) + 1;
  while (at <= kept && acks.stateOf(at) === 'retrying') at = acks.settledFrom(at) + 1;
  return at <= kept ? at : undefined;
}

/** @param now milliseconds since 1970 UTC */
export async function collectStatus(views: Views, now: number): Promise<StatusReport> {
  const { reader, acks, registry, free, floor, intake } = views;
  const kept = await reader.durable();
  const settled = acks.counts.sent + acks.counts.skipped + acks.counts.failed;
  const [[first] = [undefined]] = registry.line(kept);
  const opening = openingReport(views.opening, now);
  // An opening that lets mail in already does not wait for the clock any more.
  const waits = opening.state === 'before' || intake?.answer !== undefined;
  const seen = {
    spool: views.spool,
    logId: (await reader.logId()) ?? null,
    rehearsal: views.rehearsal,
    copied: views.copied ?? null,
    at: new Date(now).toISOString(),
    problems: views.problems,
    opening,
    clock: clockReport(await views.clock(), waits ? intake?.clockTrouble : undefined),
    kept,
    lastReceivedAt: (await oldestOf(views, kept > 0 ? kept : undefined, now))?.receivedAt ?? null,
    acknowledgements: {
      settledThrough: acks.settledThrough,
      waiting: Math.max(0, kept - settled),
      retrying: acks.pendingCount,
      ...acks.counts,
      poisoned: acks.poisonedCount,
      oldestUntried: await oldestOf(views, firstUntried(views, kept), now),
    },
    sends: views.sends,
    registry: {
      confirmedThrough: registry.confirmedThrough,
      ...registry.counts(kept, now),
      oldestWaiting: await oldestOf(views, first, now),
    },
    stages: views.holders,
    intake: intake ? intakeNow(intake, now) : null,
    sending: views.sending ? sendingNow(views.sending, now) : null,
    certificates: views.certificates,
    disk: free
      ? {
          freeBytes: free.bytes,
          freeInodes: Number.isFinite(free.inodes) ? free.inodes : null,
          belowFloor: free.bytes < floor.bytes || free.inodes < floor.inodes,
        }
      : null,
  };
  return { ...seen, checks: checksOf(seen, views.bounds) };
}

/** The report of a configuration's spool as it stands now. */
export async function statusNow(config: Config): Promise<StatusReport> {
  const views = await openViews(config);
  try {
    return await collectStatus(views, nodeRuntime.clock.now());
  } finally {
    await views.reader.close();
  }
}

const full = ({ used, most }: IntakeView['line']): IntakeView['line'] => ({ used, most });

function intakeNow(
  { at, level, why, answer, connections, memory, line, day, counts, registrars }: IntakeView,
  now: number,
): NonNullable<StatusReport['intake']> {
  const saidSecondsAgo = Math.max(0, Math.round((now - at) / 1000));
  return {
    level,
    why,
    ...(answer && { answer }),
    connections: full(connections),
    memory: full(memory),
    line: full(line),
    day,
    counts,
    ...(registrars && { registrars }),
    saidSecondsAgo,
  };
}

function sendingNow(
  { carriers, troubles, troubled }: TransportView,
  now: number,
): NonNullable<StatusReport['sending']> {
  const shown = troubles.map(({ name, text, since, nextTry }) => ({
    name,
    text,
    forSeconds: Math.max(0, Math.round((now - since) / 1000)),
    nextTry: new Date(nextTry).toISOString(),
  }));
  return { carriers, troubles: shown, troubled };
}

function formatSending(sending: StatusReport['sending']): string {
  if (!sending) return 'does not run';
  const { carriers, troubles, troubled } = sending;
  const bad = troubles.map(
    ({ name, text, forSeconds, nextTry }) =>
      `${name} OUT OF REACH for ${humanAge(forSeconds)}, next try at ${nextTry.slice(11, 19)} (${text})`,
  );
  const more = troubled > troubles.length ? [`${troubled - troubles.length} more`] : [];
  return [`by ${carriers.join(', ')}`, ...bad, ...more].join('; ');
}

/** What becomes of mail just now. */
function standingOf({ level, why, answer }: NonNullable<StatusReport['intake']>): string {
  const words: Readonly<Record<string, string>> = {
    slow: 'SLOW',
    defer: 'DEFERS with 451',
    refuse: 'REFUSES with 421',
  };
  if (answer && words[level] === undefined)
    return `${answer.due ? 'answers' : answer.code < 500 ? 'DEFERS' : 'REFUSES'} with ${answer.code} (${answer.text})`;
  return `${words[level] ?? 'takes all'}${why === '' ? '' : ` (${why})`}`;
}

function formatIntake({ intake, stages }: StatusReport): string {
  const runs = stages.some(({ stage, state }) => stage === 'intake' && state !== 'dead');
  if (!intake) return runs ? 'HAS SAID NOTHING: it starts, or the disk does not take its word' : 'does not run';
  const { connections, memory, line, counts, saidSecondsAgo } = intake;
  return (
    `${standingOf(intake)}; ${connections.used} of ${connections.most} connections, ` +
    `${line.used} wait for the disk, ${humanBytes(memory.used)} in memory; ` +
    `today ${counts.kept} kept, ${counts.repeated} copies told their first ticket, ${counts.deferred} sent away for now, ${counts.refused} for good` +
    (saidSecondsAgo > silentSeconds ? `; HAS SAID NOTHING FOR ${humanAge(saidSecondsAgo)}` : '')
  );
}

function formatRegistrars({ book, size, strangers, byId }: RegistrarsView): string {
  const here = Object.values(byId).filter(({ connections }) => connections > 0);
  const waiting = here.reduce((sum, each) => sum + each.waiting, strangers.waiting);
  return (
    `${size} in the book (digest ${book.slice(0, 16)}…), ${here.length} connected, ${waiting} messages wait their turn; ` +
    `strangers: ${strangers.connections} connected, ${strangers.refused} refusals`
  );
}

/** Whether the opening lets mail in, and nothing does take it. */
function takesNone({ opening, intake }: StatusReport): boolean {
  if (opening.state !== 'open' && opening.state !== 'always') return false;
  return !intake || intake.level === 'refuse' || intake.level === 'defer' || intake.answer !== undefined;
}

/** The report as a few lines for a terminal. @param origin where the configuration came from, in words */
export function formatStatus(report: StatusReport, origin?: string): string {
  const { acknowledgements: acks, registry, disk, stages } = report;
  const oldest = registry.oldestWaiting;
  const stageLine = stages
    .map(
      (each) =>
        `${each.stage} ${each.state === 'alive' ? `runs (pid ${each.pid})` : each.state === 'dead' ? 'does not run' : `on ${each.host}`}`,
    )
    .join(', ');
  return [
    ...(report.rehearsal ? ['REHEARSAL        nothing in this spool counts'] : []),
    ...report.problems.map((what) => `PROBLEM          ${what} Run seawall verify; the numbers below end there.`),
    ...(origin === undefined ? [] : [`Configuration    ${origin}`]),
    `Spool            ${report.spool} (log ${report.logId ?? 'not begun'})${report.copied === null ? '' : `; ${report.copied}`}`,
    `Health           ${formatChecks(report.checks)}`,
    `Stages           ${stageLine || 'none has ever run here'}`,
    `Intake           ${formatIntake(report)}`,
    ...(report.intake?.registrars ? [`Registrars       ${formatRegistrars(report.intake.registrars)}`] : []),
    `Opening          ${formatOpening(report.opening)}${takesNone(report) ? '; BUT NO MAIL IS TAKEN, see Intake' : ''}`,
    `Clock            ${formatClock(report.clock)}`,
    `Kept             ${report.kept} requests${report.lastReceivedAt ? `, the last at ${report.lastReceivedAt}` : ''}`,
    `Acknowledged     ${acks.sent} sent, ${acks.waiting} waiting (${acks.retrying} to be tried again), ${acks.skipped} needed none, ${acks.failed} failed for good${acks.failed > 0 ? ' (see seawall acks list)' : ''}${acks.poisoned > 0 ? `; ${acks.poisoned} SET ASIDE, see the log` : ''}`,
    `Sending          ${report.sends ? formatSending(report.sending) : 'off (ack.enabled)'}`,
    `Registry         ${registry.confirmed} confirmed, ${registry.leased} leased, ${registry.ready} ready, ${registry.parked} parked`,
    `Oldest waiting   ${oldest ? `${oldest.ticket}, ${humanAge(oldest.ageSeconds)} old` : 'none'}`,
    `Disk             ${disk ? `${humanBytes(disk.freeBytes)} and ${disk.freeInodes ?? 'uncounted'} inodes free${disk.belowFloor ? ': BELOW the floor, new mail gets 452' : ''}` : 'unknown'}`,
  ].join('\n');
}
