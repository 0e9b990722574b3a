// What operators look at, put together from the spool: the log, the journals, what the intake says. Takes the configuration,
// gives views and a verification; works while the daemon runs and when it does not. Throws what reading
// throws, and DamagedLogError for what is not as it was written.

import { join, resolve } from 'node:path';
import type { AckEvent } from '../acknowledge/journal/ack-events.ts';
import type { AckState } from '../acknowledge/journal/ack-state.ts';
import type { Config } from '../config/config.ts';
import { ConfigError, DamagedLogError, messageOf } from '../model/errors.ts';
import { errorCode } from '../lib/system-error.ts';
import { type Validity, validityTrouble } from '../lib/tls-files.ts';
import { type Logger, silent } from '../lib/logger.ts';
import { readOpening } from '../model/opening.ts';
import type { ParseMail } from '../model/parsed-mail.ts';
import type { Holder, RegistryView, Views } from './views.ts';
import type { JournalState } from '../ports/journal.ts';
import type { Access, Clock } from '../ports/runtime.ts';
import { becomeUser, isRoot, nodeRuntime } from '../lib/node/runtime.ts';
import { runCommand } from '../lib/node/spawn.ts';
import { holderOf } from '../spool/fencing/fencing.ts';
import { readJournalPosition } from '../spool/journal-position.ts';
import { replayJournal } from '../spool/journal-file.ts';
import { isRehearsal } from '../spool/log-id.ts';
import { acceptCopy, isCopy, restoredOf } from '../spool/origin.ts';
import { openReader } from '../spool/mailbox/reader.ts';
import { type Progress, verifyLog, type VerifyReport } from '../spool/mailbox/verify.ts';

/** The stages, in the order in which they are stopped: nothing new first, then what is left is worked off. */
export const stages = ['intake', 'acknowledge', 'deliver'] as const;
export type StageName = (typeof stages)[number];

const runtime = nodeRuntime;

/** Told in words of a journal that is damaged; what stands before the damage is used as a view of it. */
type OnDamage = (what: string) => void;

const giveUp: OnDamage = (what) => {
  throw new DamagedLogError(what);
};

async function replay<State extends Pick<JournalState<never>, 'apply'>>(
  spool: string,
  name: string,
  state: State,
  onDamage: OnDamage,
): Promise<State> {
  try {
    await replayJournal(runtime.disk, spool, name, state);
  } catch (error) {
    if (!(error instanceof DamagedLogError)) throw error;
    onDamage(error.message);
  }
  return state;
}

/** How far the acknowledgements of a spool are. @throws DamagedLogError unless `onDamage` takes it */
export async function replayAcks(spool: string, onDamage: OnDamage = giveUp): Promise<AckState> {
  const { AckState: State } = await import('../acknowledge/journal/ack-state.ts');
  return replay(spool, 'acknowledge', new State(), onDamage);
}

/** A second at least between two replays of a journal for those who only look. */
const replayMs = 1_000;

/**
 * How far acknowledging has come, for those who ask often: the journal is replayed when it has changed since, at most once a second,
 * and once for all who ask at a time.
 * @param version what changes with the journal; undefined when that cannot be told
 */
export function followJournal(
  clock: Clock,
  version: () => string | undefined,
  replayNow: () => Promise<number>,
): () => Promise<number> {
  let last:
    { readonly version: string | undefined; readonly at: number; readonly through: Promise<number> } | undefined;
  return async () => {
    const now = clock.elapsed();
    if (last && now - last.at < replayMs) return last.through;
    const present = version();
    if (!last || present === undefined || present !== last.version)
      last = { version: present, at: now, through: replayNow() };
    else last = { ...last, at: now };
    return last.through;
  };
}

/** What changes whenever the acknowledge journal is written to. */
export function acksVersion(spool: string): string | undefined {
  const position = readJournalPosition(runtime.disk, spool, 'acknowledge');
  return position && `${position.generation} ${position.length}`;
}

/**
 * Tells what kept requests ask for. A mail that acknowledging has found to be poison is not tried here, and what is found
 * here is remembered in memory.
 */
export async function openMailParser(config: Config, state: AckState, log: Logger): Promise<ParseMail> {
  const { mailParser } = await import('../mail/parse-mail.ts');
  const { MimeParser } = await import('../mail/mime-parser.ts');
  const { ParserGuard } = await import('../mail/parser-guard.ts');
  const { clock } = runtime;
  const parser = new MimeParser({ clock, deadlineMs: config.ack.parse_seconds * 1000 });
  const note = async (event: AckEvent): Promise<void> => state.apply(event);
  const guard = new ParserGuard({ parser, state, note, clock, log, suspects: 0 });
  return mailParser(config.ack.parse_bytes, (request) => guard.parseOf(request));
}

async function replayLeases(spool: string, onDamage: OnDamage = giveUp): Promise<RegistryView> {
  const { LeaseState } = await import('../deliver/leases/lease-state.ts');
  return replay(spool, 'deliver', new LeaseState(), onDamage);
}

/** Whose the spool is: who began the log, and before that whose folder it is; undefined when there is none to be seen. */
export async function ownerOfSpool(spool: string): Promise<Access | undefined> {
  try {
    return (await runtime.disk.accessOf(join(spool, 'log-id'))) ?? (await runtime.disk.accessOf(spool));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** As root on a spool of another user: acts as that one from here on, so that what is written is the daemon's to use. */
export async function actAsOwner(spool: string): Promise<void> {
  const owner = isRoot() ? await ownerOfSpool(spool) : undefined;
  if (owner && owner.user !== 0) becomeUser(owner);
}

/** Nobody runs a daemon as root on a spool of another user: its owner could not use what it leaves. @throws ConfigError */
export async function refuseForeignRoot(spool: string): Promise<void> {
  const owner = isRoot() ? await ownerOfSpool(spool) : undefined;
  if (!owner || owner.user === 0) return;
  throw new ConfigError(
    `The spool ${resolve(spool)} belongs to user ${owner.user}, and this is root: what root writes there its owner could not use. Run it as that user (setpriv --reuid ${owner.user} --regid ${owner.group} --init-groups seawall serve), or give root the whole spool (chown -R).`,
  );
}

/**
 * Whoever may write to a folder may replace the files in it, whosever they are, unless it is sticky, as temporary folders are. What cannot
 * be looked at is for whoever opens it to complain of.
 * @throws ConfigError
 */
export async function refuseOpenFolders(spool: string): Promise<void> {
  for (const folder of [spool, join(spool, 'mailboxes')]) {
    const access = await runtime.disk.accessOf(folder).catch((error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      return undefined;
    });
    if (access === undefined || (access.mode & 0o1002) !== 0o002) continue;
    throw new ConfigError(
      `Everybody on this machine may write to ${resolve(folder)} (mode ${access.mode.toString(8)}), and so replace what the log holds. Take that away first: chmod o-w ${resolve(folder)}.`,
    );
  }
}

/**
 * That there is something to look at.
 * @param origin where the configuration came from, in words
 * @throws ConfigError that says which configuration and which spool were used
 */
export async function assertSpool(spool: string, origin: string): Promise<void> {
  let what = 'is empty';
  try {
    if ((await runtime.disk.list(spool)).length > 0) return;
  } catch (error) {
    what = errorCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${messageOf(error)})`;
  }
  throw new ConfigError(
    `There is no spool: the folder ${resolve(spool)} ${what}. spool.dir (SEAWALL_SPOOL_DIR) says where it is; configuration file: ${origin}.`,
  );
}

/** What is wrong with the certificates that the configuration names. */
async function certificateTroubles(config: Config): Promise<Views['certificates']> {
  const troubles: (Validity & { setting: string })[] = [];
  for (const section of ['smtp', 'soap'] as const) {
    const path = config[section].tls_certificate;
    if (path === '') continue;
    const setting = `${section}.tls_certificate`;
    try {
      const trouble = validityTrouble((await runtime.disk.readFile(path)).toString('latin1'), runtime.clock.now());
      if (trouble) troubles.push({ setting, ...trouble });
    } catch (error) {
      troubles.push({ setting, ended: false, text: `cannot be read from here: ${messageOf(error)}` });
    }
  }
  return troubles;
}

/** What operators look at, read from the spool now: works while the daemon runs and when it does not. */
export async function openViews(config: Config): Promise<Views> {
  const spool = config.spool.dir;
  const holders: Holder[] = [];
  const copy = await isCopy(runtime.disk, spool);
  const restored = await restoredOf(runtime.disk, spool);
  // In a copy the locks are the original's.
  for (const stage of copy ? [] : stages) {
    const holder = await holderOf(runtime, spool, stage);
    if (holder) {
      const { pid, host, since, epoch, state } = holder;
      holders.push({ stage, pid, host, since, epoch, state });
    }
  }
  const { readIntakeStatus } = await import('../intake/intake-status.ts');
  const { readTransportStatus } = await import('../acknowledge/transport/transport-status.ts');
  const problems: string[] = [];
  const acks = await replayAcks(spool, (what) => problems.push(what));
  const intake = await readIntakeStatus(runtime, spool);
  const reader = openReader(runtime, spool);
  const logId = await reader.logId();
  return {
    spool,
    rehearsal: logId === undefined ? config.serve.rehearsal : isRehearsal(logId),
    opening: readOpening(config.opening),
    clock: async () => intake?.clock ?? (await import('../intake/clock/clock-sync.ts')).askClock(runCommand),
    intake,
    sending: await readTransportStatus(runtime, spool),
    sends: config.ack.enabled,
    certificates: await certificateTroubles(config),
    bounds: {
      relaySeconds: config.health.relay_seconds,
      ackSeconds: config.health.ack_seconds,
      pullSeconds: config.health.pull_seconds,
    },
    reader,
    parseMail: await openMailParser(config, acks, silent),
    acks,
    registry: await replayLeases(spool, (what) => problems.push(what)),
    problems,
    holders,
    copied: copy
      ? 'a COPY of a spool: to be looked at only, unless serve --restored lets it go on'
      : restored && `went on from a copy at ${restored.at}, behind request ${restored.after}`,
    free: await runtime.disk.free(spool).catch(() => undefined),
    floor: { bytes: config.spool.floor_bytes, inodes: config.spool.floor_inodes },
  };
}

/** Lets a copied spool go on in place of its original. */
export function acceptRestored(spool: string): Promise<void> {
  return acceptCopy(runtime, spool, ['serve', ...stages]);
}

/** Reads the whole spool and proves it: the log, and the journals against the log. */
export async function verifySpool(config: Config, progress: Progress): Promise<VerifyReport> {
  const spool = config.spool.dir;
  const report = await verifyLog(runtime.disk, spool, progress);
  const problems = [...report.problems];
  // After a power cut the commit position may be older than what the next recovery finds.
  const last = Math.max(await openReader(runtime, spool).durable(), report.requests);
  const check = async (name: string, through: () => Promise<number>): Promise<void> => {
    try {
      const position = await through();
      if (position > last) problems.push(`${name}.journal: is at request ${position}, but the log ends at ${last}`);
    } catch (error) {
      if (!(error instanceof DamagedLogError)) throw error;
      problems.push(error.message);
    }
  };
  await check('acknowledge', async () => (await replayAcks(spool)).settledThrough);
  await check('deliver', async () => (await replayLeases(spool)).confirmedThrough);
  return { ...report, problems };
}
