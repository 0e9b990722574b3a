// The acknowledge stage: follows the log and sends every registrar an acknowledgement of every request.
//
//   log ─▶ delivery queue ─▶ delivery loop: read the mail, compose ─▶ fail-over ─▶ SMTP relay | MX | .eml folder
//               ▲                                                        │
//               └────────── state ◀── journal ◀── journal writer ◀───────┘  what became of it
//
// Takes the log's reader and the journal `acknowledge`, gives a running stage. Fails (`failed`) when the journal cannot
// be written or is lost, when the log is damaged, and when the journal belongs to another log. Whatever a mail contains,
// and whatever a relay does, is not a failure. Owns the journal and the relays; the reader belongs to the caller.

import type { Config } from '../config/config.ts';
import { DamagedLogError } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { OpenJournal } from '../ports/journal.ts';
import type { RequestReader } from '../ports/request-log.ts';
import { deferred } from '../lib/async.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Stage } from '../ports/stage.ts';
import { openRegistrarBook } from '../config/registrar-book-file.ts';
import type { AckEvent } from './journal/ack-events.ts';
import { AckState } from './journal/ack-state.ts';
import { DeliveryLoop } from './delivery-loop.ts';
import { type RecipientOf, recipientOf } from './compose/recipient.ts';
import { DeliveryQueue } from './queue/delivery-queue.ts';
import { composer, fromHeader, replyToHeader } from './compose/compose.ts';
import { composeDigest } from './compose/digest.ts';
import { Digests } from './queue/digests.ts';
import { limitsOf } from './queue/destination-limits.ts';
import { checkLanguages, loadLanguages } from './compose/languages.ts';
import { openTransports } from './transport/open-transports.ts';
import { MimeParser } from '../mail/mime-parser.ts';
import { ParserGuard } from '../mail/parser-guard.ts';
import { JournalWriter } from './journal/journal-writer.ts';
import { FailOver } from './transport/fail-over.ts';
import { TransportStatusFile } from './transport/transport-status.ts';
import { grantRetry, type RetryRequest, RetryRequests } from './queue/retry-requests.ts';

/** Name of the journal, for those who replay it. */
export const ackJournalName = 'acknowledge';

/**
 * Starts the stage.
 * @throws ConfigError when a template, the registrar book, a relay address, a key or ack.from cannot be used, before
 * anything is opened
 * @throws DamagedLogError when the journal belongs to another log
 * @throws whatever opening the journal throws
 */
export async function startAcknowledge(parts: {
  config: Config;
  runtime: Runtime;
  reader: RequestReader;
  openJournal: OpenJournal;
  log: Logger;
  /** In place of the real one. */
  parser?: MimeParser;
}): Promise<Stage> {
  const { config, runtime, reader, openJournal, log } = parts;
  const { clock, disk } = runtime;
  const { ack } = config;

  const languages = await loadLanguages(disk, config.templates.dir, ack.language);
  const inForce = await openRegistrarBook(config.registrars.file, disk, log, (book) =>
    checkLanguages(book, languages, config.templates.dir),
  );
  const recipient: RecipientOf = (request) => recipientOf(request, inForce.book, ack.language);
  // Files stay on this machine: only what leaves it can hurt somebody who never wrote to us.
  const leaves = ack.relays.length > 0 || ack.direct;
  const compose = composer({
    from: ack.from,
    name: ack.name,
    sender: ack,
    languages,
    recipientOf: recipient,
    unverifiedShort: leaves && ack.unverified_short,
  });
  const { rehearsal } = config.serve;
  const replyTo = replyToHeader(ack.reply_to);
  const digestOptions = { from: fromHeader(ack.from), replyTo, name: ack.name, language: ack.language, rehearsal };
  const publisher = new TransportStatusFile(runtime, config.spool.dir);
  const changed = (): void => publisher.say(names, relays.troubles);
  const { transports, direct, sign, expect } = await openTransports(config, runtime, log, changed);
  const names = transports.map(({ name }) => name);
  const pause = { firstMs: ack.retry_seconds * 1000, maxMs: ack.retry_seconds_max * 1000 };
  const relays = new FailOver({ transports, clock, log, pause, changed });

  const state = new AckState();
  const journal = await openJournal<AckEvent>(ackJournalName, state);
  const { promise: failed, resolve: sayFailed } = deferred<Error>();
  let ended = false;

  /** Nothing is waited for any longer: what is cut off is done again, the same. */
  const cutOff = (): void => {
    loop.cutOff();
    void parser.close();
  };
  /** The journal is in doubt, or the log is: nothing more is sent, nothing more is written. */
  const fail = (error: Error): void => {
    if (ended) {
      log.warn({ reason: error.message }, 'trouble while ending: what was sent last may be sent again');
      return;
    }
    ended = true;
    journalWriter.abandon();
    cutOff();
    digests.stop();
    void queue.stop();
    void retryRequests.stop();
    log.error({ reason: error.message }, 'acknowledging has to end');
    sayFailed(error);
  };
  const journalWriter = new JournalWriter({
    journal,
    clock,
    written: (sequences) => queue.written(sequences),
    failed: fail,
  });
  const limit = { connections: ack.domain_connections, perSecond: ack.domain_per_second };
  const queue: DeliveryQueue = new DeliveryQueue({
    reader,
    state,
    clock,
    pauseMsMax: Math.max(pause.firstMs, pause.maxMs),
    limit: ack.waiting_count,
    parallel: relays.parallel,
    direct,
    limitOf: limitsOf(limit, ack.domain_limits),
    unwritten: () => journalWriter.waiting,
    identify: () => identify(reader, state, journalWriter),
    route: (request) => loop.route(request),
    failed: fail,
  });
  const digests: Digests = new Digests({
    clock,
    perMinute: leaves ? ack.unverified_per_minute : 0,
    state,
    write: (...events) => journalWriter.writeAlone(...events),
    add: (domain, head) => queue.addDigest(domain, head),
    failed: fail,
  });
  const settings = {
    parseBytes: ack.parse_bytes,
    retryMs: pause.firstMs,
    retryMsMax: pause.maxMs,
    giveUpMs: ack.give_up_seconds * 1000,
  };
  const parser = parts.parser ?? new MimeParser({ clock, deadlineMs: ack.parse_seconds * 1000 });
  const guard = new ParserGuard({
    parser,
    state,
    note: (event) => journalWriter.writeAlone(event),
    clock,
    log,
    suspects: ack.waiting_count,
  });
  const loop: DeliveryLoop = new DeliveryLoop({
    queue,
    journalWriter,
    relays,
    sign,
    state,
    compose,
    composeDigest: (digest) => composeDigest(digest, digestOptions),
    digests,
    recipientOf: recipient,
    expect,
    guard,
    clock,
    log,
    settings,
  });

  const grant = async (request: RetryRequest): Promise<void> => {
    const { granted, ignored } = await grantRetry(request, state, clock.now(), (...events) =>
      journalWriter.writeAlone(...events),
    );
    log.info({ granted: granted.length, ignored, resend: request.resend }, 'an operator asked for another try');
    relays.tryNow();
    queue.schedule(granted);
  };
  const retryRequests = new RetryRequests({ runtime, spool: config.spool.dir, grant, log });

  try {
    await identify(reader, state, journalWriter);
    await retryRequests.start();
  } catch (error) {
    await journal.close();
    throw error;
  }
  void journal.lost.then((error) => (ended ? undefined : fail(error)));
  queue.start();
  loop.start(fail);
  const { settledThrough, pendingCount: retrying } = state;
  log.info({ settledThrough, retrying, relays: names }, 'acknowledging');
  changed();

  return {
    failed,
    reload: () => inForce.reload(),
    async stop() {
      ended = true;
      digests.stop();
      // Half of what the supervisor allows; the rest is for the journal.
      const timer = clock.after(config.serve.stop_seconds * 500, cutOff);
      await Promise.all([queue.stop(), loop.stop(), retryRequests.stop()]);
      timer.cancel();
      await parser.close();
      relays.close();
      await Promise.all([journalWriter.close(), publisher.idle()]);
    },
  };
}

/** A journal speaks of one log: with another one it would take its first requests for acknowledged. */
async function identify(reader: RequestReader, state: AckState, journalWriter: JournalWriter): Promise<void> {
  const id = await reader.logId();
  if (id === undefined || id === state.logId) return;
  if (state.logId !== undefined) {
    throw new DamagedLogError(
      `The journal ${ackJournalName} belongs to the log ${state.logId}, but this log is ${id}. ` +
        'Move the journal away to acknowledge this log from its beginning, or bring its own log back.',
    );
  }
  await journalWriter.writeAlone({ type: 'log', id });
}
