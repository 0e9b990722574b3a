#!/usr/bin/env node
// The composition root: the picture of the design, in code. Everything is put together here and nowhere else; whoever wants
// to know what talks to what reads this file.
//
//   registrars ──SMTP──▶ intake ──append──▶ log ──read──▶ acknowledge ──mail──▶ registrars
//                                            └───read──▶ deliver ◀──SOAP── registry
//
// Each stage is a process of its own, started by the supervisor; a stage's code is loaded only where it runs.

import './lib/node/no-inspector.ts';
import { runCommandLine } from './cli/run.ts';
import type { Config } from './config/config.ts';
import { exitCode, messageOf, DamagedLogError, ConfigError, FencedError, InUseError } from './model/errors.ts';
import { type Logger, makeLogger } from './lib/logger.ts';
import { nodeRuntime as runtime } from './lib/node/runtime.ts';
import type { OpenJournal } from './ports/journal.ts';
import { errorCode, isDiskTrouble } from './lib/system-error.ts';
import { sleep } from './lib/async.ts';
import { runCommand } from './lib/node/spawn.ts';
import type { Stage } from './ports/stage.ts';
import { acquireFencedLock } from './spool/fencing/fencing.ts';
import { openJournalFile } from './spool/journal-file.ts';
import { lockFiles } from './spool/fencing/lock-file.ts';
import { checkSpool } from './spool/log-id.ts';
import { restoredOf } from './spool/origin.ts';
import { openReader } from './spool/mailbox/reader.ts';
import { openWriterClient } from './spool/mailbox/writer-client.ts';
import {
  acksVersion,
  followJournal,
  replayAcks,
  type StageName,
  stages,
  openMailParser,
} from './operate/spool-views.ts';

async function startStage(stage: StageName, config: Config, log: Logger, version: string): Promise<Stage> {
  const spool = config.spool.dir;
  await checkSpool(runtime.disk, spool, config.serve.rehearsal);
  const reader = openReader(runtime, spool);
  const openJournal: OpenJournal = (name, state) => openJournalFile(runtime, lockFiles, spool, name, state);
  if (stage === 'intake') {
    const { startIntake } = await import('./intake/intake.ts');
    const openLog = async () => {
      const { mailbox_bytes: bytes, mailbox_count: count, mailbox_seconds: seconds } = config.spool;
      const duplicateMs = config.smtp.duplicate_seconds * 1000;
      const rotation = { bytes, count, seconds };
      const { writer, epoch, lastSequence, cut } = await openWriterClient({
        spool,
        rotation,
        duplicateMs,
        rehearsal: config.serve.rehearsal,
      });
      if (cut) log.warn({ ...cut }, 'an unfinished write was cut away and kept beside the mailboxes');
      log.info({ epoch, lastSequence }, 'recovered');
      return writer;
    };
    const { askClock } = await import('./intake/clock/clock-sync.ts');
    return startIntake({ config, runtime, openLog, log, askClock: () => askClock(runCommand) });
  }
  if (stage === 'acknowledge') {
    const { startAcknowledge } = await import('./acknowledge/acknowledge.ts');
    return startAcknowledge({ config, runtime, reader, openJournal, log });
  }
  const { startDeliver } = await import('./deliver/deliver.ts');
  // A damaged acknowledge journal is the other stage's trouble; here it only tells what to show.
  const acksNow = () => replayAcks(spool, (what) => log.warn(what));
  const settledThrough = followJournal(
    runtime.clock,
    () => acksVersion(spool),
    async () => (await acksNow()).settledThrough,
  );
  const acksPending = async () => Math.max(0, (await reader.durable()) - (await settledThrough()));
  const parseMail = await openMailParser(config, await acksNow(), log);
  const restored = await restoredOf(runtime.disk, spool);
  if (restored) log.warn({ ...restored }, 'this log went on from a copy');
  return startDeliver({ config, runtime, reader, openJournal, log, version, acksPending, parseMail, restored });
}

const orphaned = 'the supervisor is gone';
/** How long a stage without a supervisor takes to leave: the next daemon waits for its lock, and nobody else for it. */
const orphanStopMs = 500;

/** Resolves when somebody wants this process to end: a signal, or a supervisor that is gone. */
function askedToStop(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
    if (process.channel) process.once('disconnect', () => resolve(orphaned));
  });
}

function codeFor(error: unknown): number {
  if (error instanceof DamagedLogError) return exitCode.damaged;
  if (error instanceof ConfigError) return exitCode.config;
  if (error instanceof InUseError) return exitCode.inUse;
  if (isDiskTrouble(error)) return exitCode.disk;
  return exitCode.failed;
}

/** Runs one stage until it is asked to stop or cannot go on. Gives the exit code; never throws. */
async function runStage(stage: StageName, config: Config, version: string): Promise<number> {
  const { log, flush } = makeLogger(stage, config.log);
  const asked = askedToStop();
  process.on('warning', (warning) => log.warn({ err: warning }, warning.message));
  // Until the stage works there is nothing to read again; and a file over the limit (ulimit -f) is the error EFBIG. Without
  // a listener these signals would end the process.
  for (const signal of ['SIGHUP', 'SIGXFSZ'] as const) process.on(signal, () => undefined);
  let code: number = exitCode.ok;
  try {
    const running = await startStage(stage, config, log, version);
    process.on('SIGHUP', () => void running.reload?.());
    process.send?.({ ready: true, ...(running.address && { address: running.address }) });
    const why = await Promise.race([asked, running.failed]);
    if (why instanceof Error) {
      log.fatal({ err: why }, `${stage} cannot go on`);
      code = codeFor(why);
    } else log.info({ why }, 'stopping');
    const late = new Promise<'late'>((resolve) => {
      runtime.clock.after(why === orphaned ? orphanStopMs : config.serve.stop_seconds * 1000, () => resolve('late'));
    });
    if ((await Promise.race([running.stop(), late])) === 'late') {
      log.error('stopping took too long: leaving as after a crash, which loses nothing');
      code = exitCode.failed;
    }
    log.info('stopped');
  } catch (error) {
    log.fatal({ err: error }, messageOf(error));
    code = code === exitCode.ok ? codeFor(error) : code;
  }
  await flush();
  return code;
}

/** The error of whoever lost a race for the spool, in the class that has an exit code; any other as it is. */
function inUse(error: unknown): Error {
  if (error instanceof FencedError) return new InUseError(error.message, { cause: error });
  return error instanceof Error ? error : new Error(messageOf(error));
}

/** How long the supervisor waits before it takes the lock again that a disk in trouble let it lose. */
const lockAgainMs = 2_000;

/**
 * Takes the lock of the spool for one daemon, and again whenever it was lost and no other daemon has it (the disk's trouble, or
 * somebody removed `serve.lock`): the supervisor itself writes nothing, and what its stages write has locks of its own.
 */
async function holdSpool(spool: string, log: Logger): Promise<{ lost: Promise<Error>; release: () => Promise<void> }> {
  let held = await acquireFencedLock(runtime, lockFiles, spool, 'serve');
  const folder = runtime.disk.identityNow(spool);
  let released = false;
  const lostToAnother = async (): Promise<Error> => {
    let reason = await held.lost;
    while (!released) {
      log.error({ err: reason }, 'the lock of the spool was lost; it is taken again if no other daemon has it');
      if (isDiskTrouble(reason)) await sleep(runtime.clock, lockAgainMs);
      else if (runtime.disk.identityNow(spool) !== folder)
        return new DamagedLogError(`The spool ${spool} was moved or removed while it was in use.`);
      try {
        held = await acquireFencedLock(runtime, lockFiles, spool, 'serve');
        log.warn('the spool is held again');
        reason = await held.lost;
      } catch (error) {
        reason = inUse(error);
        if (!isDiskTrouble(reason)) return reason;
      }
    }
    return reason;
  };
  return {
    lost: lostToAnother(),
    release: () => {
      released = true;
      return held.release();
    },
  };
}

/** Runs the whole daemon: the supervisor and its stages. Gives the exit code. @throws InUseError, ConfigError */
async function runAll(
  config: Config,
  childArguments: readonly string[],
  onReady: (addresses: ReadonlyMap<string, { host: string; port: number }>) => void,
): Promise<number> {
  const { Supervisor } = await import('./operate/supervisor.ts');
  const { startAdmin } = await import('./operate/http-server.ts');
  const { statusNow } = await import('./operate/status.ts');
  const { checkNamedFiles } = await import('./operate/check-config.ts');
  await checkNamedFiles(config);
  const { log, flush } = makeLogger('supervisor', config.log);
  await checkSpool(runtime.disk, config.spool.dir, config.serve.rehearsal);
  if (config.serve.rehearsal) log.warn({ spool: config.spool.dir }, 'REHEARSAL: nothing that is kept here counts');
  const held = await holdSpool(config.spool.dir, log).catch((error: unknown) => {
    if (errorCode(error) === undefined) throw inUse(error);
    throw new ConfigError(
      `The spool ${config.spool.dir} cannot be used: ${messageOf(error)}. It must be a folder that this user may write to; spool.dir (SEAWALL_SPOOL_DIR) says which.`,
    );
  });
  let admin: Stage | undefined;
  const supervisor = new Supervisor({
    stages: stages.filter((stage) => stage !== 'acknowledge' || config.ack.enabled),
    command: (stage) => ({
      file: process.execPath,
      args: [...process.execArgv, import.meta.filename, 'serve', stage, ...childArguments],
    }),
    clock: runtime.clock,
    log,
    stopSeconds: config.serve.stop_seconds,
    restarts: config.serve.restarts,
    onReady: (working) => {
      const addresses = new Map([...working, ...(admin?.address ? [['admin', admin.address] as const] : [])]);
      const rehearsal = config.serve.rehearsal ? ': REHEARSAL, nothing that it keeps counts' : '';
      // At every level: whoever started it waits for this line.
      log.child({}, { level: 'info' }).info(Object.fromEntries(addresses), `Seawall is running${rehearsal}`);
      onReady(addresses);
    },
  });
  try {
    admin = await startAdmin({
      ...config.admin,
      stages: () => supervisor.health(),
      status: () => statusNow(config),
      clock: runtime.clock,
      log,
    });
    process.on('SIGHUP', () => {
      log.info('SIGHUP: every stage reads again what may change; one that was given up is tried again');
      supervisor.reload();
    });
    void askedToStop().then((why) => {
      log.info({ why }, 'stopping');
      return supervisor.stop();
    });
    const lost: Error[] = [];
    void held.lost.then((reason) => {
      lost.push(reason);
      log.fatal({ err: reason }, messageOf(reason));
      return supervisor.stop();
    });
    const code = await supervisor.run();
    return lost.length > 0 ? codeFor(lost[0]) : code;
  } finally {
    await admin?.stop();
    await held.release();
    await flush();
  }
}

await runCommandLine(process.argv.slice(2), { runStage, runAll });
