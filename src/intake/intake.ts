// The intake stage: smtp server → admission → sequencer → log. Takes mail, gives `250` with a ticket once a request is kept.
// Listens before the log is open and says 421 until it is, so that a registrar's program hears "later", never silence.
// A lost log, a damaged one, or one that another holds fails the stage; a disk that fails for now is tried again.

import type { Config } from '../config/config.ts';
import { ConfigError, DamagedLogError, InUseError } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { NewRequest } from '../model/request.ts';
import type { RequestWriter } from '../ports/request-log.ts';
import { deferred } from '../lib/async.ts';
import { errorCode } from '../lib/system-error.ts';
import { readTls, watchTls } from '../lib/tls-files.ts';
import type { Runtime, Timer } from '../ports/runtime.ts';
import type { Stage } from '../ports/stage.ts';
import { openRegistrarBook } from '../config/registrar-book-file.ts';
import { Admission } from './policy/admission.ts';
import { type ClockReport, unknownClock } from './clock/clock-sync.ts';
import { ClockMonitor } from './clock/clock-monitor.ts';
import { FreeSpaceMonitor } from './policy/free-space-monitor.ts';
import { OpeningGate } from './policy/opening-gate.ts';
import { DayCounts } from './day-counts.ts';
import { type IntakeStatus, IntakeStatusFile, lastIntakeStatus } from './intake-status.ts';
import { Registrars } from './policy/registrars.ts';
import { NotSequencedError, type Kept, Sequencer } from './sequencer.ts';
import { Refusal } from './smtp/replies.ts';
import { SmtpServer } from './smtp/server.ts';

/** What the stage is made of. */
export interface IntakeParts {
  readonly config: Config;
  readonly runtime: Runtime;
  /** Opens the log for writing: fences it off from earlier writers and recovers it. */
  readonly openLog: () => Promise<RequestWriter>;
  readonly log: Logger;
  /** Asks about the machine's clock. */
  readonly askClock?: () => Promise<ClockReport>;
}

/** Milliseconds between attempts to open a log that the disk refuses. */
const reopenMs = 2_000;
const publishMs = 1_000;
/** Descriptors that connections must leave to the log: one that cannot open its next mailbox is lost. */
const sparedDescriptors = 512;

/** As many connections as the limit of open files leaves room for. */
async function connectionsPossible(runtime: Runtime, wanted: number): Promise<number> {
  try {
    const limits = (await runtime.disk.readFile('/proc/self/limits')).toString('latin1');
    const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
    return Math.max(1, Math.min(wanted, files - sparedDescriptors));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return wanted;
  }
}

function makeAdmission({ smtp, spool }: Config, runtime: Runtime, connections: number): Admission {
  const limits = {
    connections,
    client: {
      connections: smtp.client_connections,
      connectionsPerMinute: smtp.client_connections_per_minute,
      // A front is not a client: its clients are counted.
      unlimited: [...smtp.unlimited_clients, ...smtp.trusted_fronts, ...smtp.proxy_from],
    },
    bufferedBytes: smtp.buffered_bytes,
    refusedBytes: smtp.refused_bytes_per_minute,
    waiting: spool.waiting_count,
    sessionMessages: smtp.session_messages,
    recipients: smtp.recipients,
  };
  return new Admission(limits, runtime.clock);
}

/**
 * Starts the stage. Resolves when it listens, which is before the log is open.
 * @throws ConfigError, or what listening says (EADDRINUSE …)
 */
export async function startIntake({ config, runtime, openLog, log, askClock }: IntakeParts): Promise<Stage> {
  const { smtp, spool, serve, opening: hour } = config;
  const connections = await connectionsPossible(runtime, smtp.connections);
  if (connections < smtp.connections) {
    log.warn({ connections, wanted: smtp.connections }, 'the limit of open files does not allow smtp.connections');
  }
  const admission = makeAdmission(config, runtime, connections);
  const inForce = await openRegistrarBook(config.registrars.file, runtime.disk, log);
  const registrars =
    inForce.book &&
    new Registrars({ config, book: inForce.book, runtime, log, recognise: (address) => admission.recognise(address) });
  const floor = new FreeSpaceMonitor({ spool, runtime, log, changed: (below) => (admission.belowFloor = below) });
  const watch = new ClockMonitor({
    opening: hour,
    matters: hour.phases.length > 0 || hour.closes !== '',
    clock: runtime.clock,
    ask: askClock ?? (async () => unknownClock),
    log,
  });
  const gate = new OpeningGate({ config, clock: runtime.clock, watch, log });
  const failed = deferred<Error>();
  let writer: RequestWriter | undefined;
  let sequencer: Sequencer | undefined;
  let stopping = false;
  let reopening: Timer | undefined;

  const keep = async (request: NewRequest): Promise<Kept> => {
    if (!sequencer) throw new Refusal(451, '4.3.2 Not ready, try again later');
    try {
      return await sequencer.submit(request);
    } catch (error) {
      if (!(error instanceof NotSequencedError)) throw error;
      throw error.kind === 'full'
        ? new Refusal(451, '4.3.1 Too many requests wait for the disk, try again later')
        : new Refusal(451, '4.3.0 The request could not be put on stable storage, try again later');
    }
  };

  /** What MAIL gets now, when it is not taken. That something is wrong comes before that it is not the hour. */
  const answerNow = (): IntakeStatus['answer'] | undefined => {
    const ours = admission.mail(0);
    const { refusal, due } = ours instanceof Refusal ? { refusal: ours, due: false } : (gate.refusal ?? {});
    // Without the countdown, which would be news every second.
    const text = refusal?.message.replace(/ \(in [^)]*\)$/, '') ?? '';
    return refusal && { code: refusal.responseCode, text, due: due ?? false };
  };

  const publisher = new IntakeStatusFile(runtime, spool.dir);
  const today = (): string => new Date(runtime.clock.now()).toISOString().slice(0, 10);
  const dayCounts = new DayCounts(await lastIntakeStatus(runtime, spool.dir), today());
  let publishing: Timer | undefined;
  const publish = (): void => {
    publishing?.cancel();
    const answer = answerNow();
    publisher.say({
      ...admission.load,
      ...(answer && { answer }),
      ...dayCounts.of({ counts: server.counts, ...(registrars && { registrars: registrars.state }) }, today()),
      clock: watch.report,
      ...(watch.trouble !== undefined && { clockTrouble: watch.trouble }),
    });
    if (!stopping) publishing = runtime.clock.after(publishMs, publish);
  };

  const open = async (): Promise<void> => {
    try {
      const opened = await openLog();
      writer = opened;
      sequencer = new Sequencer(opened, {
        batchCount: spool.batch_count,
        batchBytes: spool.batch_bytes,
        waitingCount: spool.waiting_count,
      });
      admission.closedBecause = undefined;
      admission.waiting = () => sequencer?.waiting ?? 0;
      publish();
      void opened.lost.then((reason) => {
        if (stopping) return;
        admission.closedBecause = 'storage trouble';
        log.error({ err: reason }, 'the log is lost to this process: nothing more is taken, the next one recovers');
        failed.resolve(reason);
      });
      log.info({ lastSequence: opened.lastSequence }, 'the log is open');
    } catch (error) {
      if (stopping) return;
      if (error instanceof DamagedLogError || error instanceof InUseError || error instanceof ConfigError)
        return failed.resolve(error);
      admission.closedBecause = 'storage trouble';
      void floor.look();
      publish();
      log.error({ err: error }, `the log cannot be opened; registrars get 421, next attempt in ${reopenMs / 1000} s`);
      reopening = runtime.clock.after(reopenMs, () => void open());
    }
  };

  const tls = await readTls(runtime.disk, 'smtp', smtp);
  const server = new SmtpServer({
    config: smtp,
    runtime,
    admission,
    gate,
    registrars,
    keep,
    log,
    ...(tls && { tls }),
  });
  const certificates = tls && watchTls(runtime, 'smtp', smtp, (fresh) => server.updateSecureContext({ ...fresh }), log);
  await certificates?.start();
  const { address: host, port } = await server.start();
  const opening = open().then(() => floor.start());
  void watch.start();
  if (gate.rehearsal) log.warn({ spool: spool.dir }, 'REHEARSAL: nothing that is kept here counts');
  log.info({ host, port, protocol: smtp.lmtp ? 'LMTP' : 'SMTP', starttls: tls !== undefined }, 'listening');

  return {
    address: { host, port },
    failed: failed.promise,
    async reload() {
      await inForce.reload();
      if (!registrars || !inForce.book) return;
      registrars.take(inForce.book);
      server.bookTaken();
      publish();
    },
    async stop() {
      stopping = true;
      reopening?.cancel();
      admission.closedBecause = 'shutting down';
      floor.stop();
      watch.stop();
      certificates?.stop();
      await server.stop(Math.floor(serve.stop_seconds * 500));
      await opening;
      await sequencer?.idle();
      publish();
      await publisher.idle();
      await writer?.close();
    },
  };
}
