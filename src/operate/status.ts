// The state of a spool at a glance: takes the views, gives a report, and words for it. Works whether or not a daemon runs.

import { ticketOf } from '../model/ticket.ts';
import {
  type ClockReport,
  clockReport,
  formatClock,
  formatOpening,
  type OpeningReport,
  openingReport,
} from './opening-status.ts';
import type { Holder, IntakeView, RegistrarsView, TransportView, Views } from './views.ts';

/** What `seawall status --json` prints. Times are UTC, ages in seconds. */
export interface StatusReport {
  readonly spool: string;
  readonly logId: string | null;
  /** Whether nothing in this spool counts. */
  readonly rehearsal: boolean;
  readonly at: string;
  /** What is damaged, in words; empty when nothing is known to be. */
  readonly problems: readonly string[];
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
  };
  readonly registry: {
    readonly confirmedThrough: number;
    readonly ready: number;
    readonly leased: number;
    readonly parked: number;
    readonly confirmed: number;
    readonly oldestWaiting: {
      readonly ticket: string;
      readonly receivedAt: string;
      readonly ageSeconds: number;
    } | null;
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
  readonly disk: {
    readonly freeBytes: number;
    /** Null where the file system does not count them. */
    readonly freeInodes: number | null;
    /** New mail gets 452 until there is more room. */
    readonly belowFloor: boolean;
  } | null;
}

async function receivedAt(views: Views, sequence: number): Promise<number | undefined> {
  const [request] = await views.reader.read(sequence - 1, { count: 1, bytes: 1 });
  return request?.receivedAt;
}

/** @param now milliseconds since 1970 UTC */
export async function collectStatus(views: Views, now: number): Promise<StatusReport> {
  const { reader, acks, registry, free, floor } = views;
  const kept = await reader.durable();
  const settled = acks.counts.sent + acks.counts.skipped + acks.counts.failed;
  const [[first] = [undefined]] = registry.line(kept);
  const oldest = first === undefined ? undefined : await receivedAt(views, first);
  const last = kept > 0 ? await receivedAt(views, kept) : undefined;
  return {
    spool: views.spool,
    logId: (await reader.logId()) ?? null,
    rehearsal: views.rehearsal,
    at: new Date(now).toISOString(),
    problems: views.problems,
    opening: openingReport(views.opening, now),
    clock: clockReport(await views.clock(), views.intake?.clockTrouble),
    kept,
    lastReceivedAt: last === undefined ? null : new Date(last).toISOString(),
    acknowledgements: {
      settledThrough: acks.settledThrough,
      waiting: Math.max(0, kept - settled),
      retrying: acks.pendingCount,
      ...acks.counts,
      poisoned: acks.poisonedCount,
    },
    registry: {
      confirmedThrough: registry.confirmedThrough,
      ...registry.counts(kept, now),
      oldestWaiting:
        oldest === undefined || first === undefined
          ? null
          : {
              ticket: ticketOf(first),
              receivedAt: new Date(oldest).toISOString(),
              ageSeconds: Math.max(0, Math.round((now - oldest) / 1000)),
            },
    },
    stages: views.holders,
    intake: views.intake ? intakeNow(views.intake, now) : null,
    sending: views.sending ? sendingNow(views.sending, now) : null,
    disk: free
      ? {
          freeBytes: free.bytes,
          freeInodes: Number.isFinite(free.inodes) ? free.inodes : null,
          belowFloor: free.bytes < floor.bytes || free.inodes < floor.inodes,
        }
      : null,
  };
}

const full = ({ used, most }: IntakeView['line']): IntakeView['line'] => ({ used, most });

function intakeNow(
  { at, level, why, connections, memory, line, counts, registrars }: IntakeView,
  now: number,
): NonNullable<StatusReport['intake']> {
  const saidSecondsAgo = Math.max(0, Math.round((now - at) / 1000));
  return {
    level,
    why,
    connections: full(connections),
    memory: full(memory),
    line: full(line),
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

/** An intake that has said nothing for longer stands still: it speaks every ten seconds, or as soon as anything changes. */
const silentSeconds = 25;

function formatIntake(intake: StatusReport['intake']): string {
  if (!intake) return 'does not run';
  const { level, why, connections, memory, line, counts, saidSecondsAgo } = intake;
  const words = { normal: 'takes all', slow: 'SLOW', defer: 'DEFERS with 451', refuse: 'REFUSES with 421' };
  const standing = level in words ? words[level as keyof typeof words] : level;
  return (
    `${standing}${why === '' ? '' : ` (${why})`}; ${connections.used} of ${connections.most} connections, ` +
    `${line.used} wait for the disk, ${humanBytes(memory.used)} in memory; ` +
    `${counts.repeated} copies told their first ticket, ${counts.deferred} sent away for now, ${counts.refused} for good` +
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

/** A number of bytes for people. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A number of seconds for people. */
export function humanAge(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
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
    `Spool            ${report.spool} (log ${report.logId ?? 'not begun'})`,
    `Stages           ${stageLine || 'none has ever run here'}`,
    `Intake           ${formatIntake(report.intake)}`,
    ...(report.intake?.registrars ? [`Registrars       ${formatRegistrars(report.intake.registrars)}`] : []),
    `Opening          ${formatOpening(report.opening)}`,
    `Clock            ${formatClock(report.clock)}`,
    `Kept             ${report.kept} requests${report.lastReceivedAt ? `, the last at ${report.lastReceivedAt}` : ''}`,
    `Acknowledged     ${acks.sent} sent, ${acks.waiting} waiting (${acks.retrying} to be tried again), ${acks.skipped} needed none, ${acks.failed} failed for good${acks.failed > 0 ? ' (see seawall acks list)' : ''}${acks.poisoned > 0 ? `; ${acks.poisoned} SET ASIDE, see the log` : ''}`,
    `Sending          ${formatSending(report.sending)}`,
    `Registry         ${registry.confirmed} confirmed, ${registry.leased} leased, ${registry.ready} ready, ${registry.parked} parked`,
    `Oldest waiting   ${oldest ? `${oldest.ticket}, ${humanAge(oldest.ageSeconds)} old` : 'none'}`,
    `Disk             ${disk ? `${humanBytes(disk.freeBytes)} and ${disk.freeInodes ?? 'uncounted'} inodes free${disk.belowFloor ? ': BELOW the floor, new mail gets 452' : ''}` : 'unknown'}`,
  ].join('\n');
}
