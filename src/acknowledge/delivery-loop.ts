// Acknowledges one request after the other, several at once. Takes requests from the backlog, gives each to the relays
// and what became of it to the recorder. Whatever a mail contains ends in one of four ways: sent, skipped, failed for
// good, or another try. Owns nothing that outlives it; `stop` lets what is under way finish.

import { setMaxListeners } from 'node:events';
import { messageOf } from '../model/errors.ts';
import { sleep } from '../lib/async.ts';
import type { Logger } from '../lib/logger.ts';
import type { StoredRequest } from '../model/request.ts';
import { unparsedMail } from '../model/parsed-mail.ts';
import type { Clock } from '../ports/runtime.ts';
import type { AckState } from './journal/ack-state.ts';
import type { RecipientOf } from './compose/recipient.ts';
import { autoReplyReason } from './compose/auto-reply-filter.ts';
import type { DeliveryQueue } from './queue/delivery-queue.ts';
import type { Outcome, Outgoing } from './transport/transport.ts';
import { sanitizeLine } from '../mail/sanitize.ts';
import type { Compose } from './compose/compose.ts';
import type { DestinationLimits } from './queue/destination-limits.ts';
import type { Sign } from './compose/dkim.ts';
import { domainOf } from './transport/mail-domain.ts';
import { type Fields, fieldsOf, pieceOf } from '../mail/header-fields.ts';
import type { ParserGuard } from '../mail/parser-guard.ts';
import { readMail } from '../mail/read-text.ts';
import type { JournalWriter } from './journal/journal-writer.ts';
import type { FailOver } from './transport/fail-over.ts';
import { parseRequests } from '../mail/parse-text.ts';

/** After so many tries that reached no relay a mail waits its turn like one that was put off: it may be the cause. */
const unreachableMax = 3;
/** The least pause of a sender whose mail reached no relay, even when other mails come through. */
const breathMs = 1_000;

interface Settings {
  readonly parseBytes: number;
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly giveUpMs: number;
}

interface Parts {
  readonly backlog: DeliveryQueue;
  readonly recorder: JournalWriter;
  readonly relays: FailOver;
  readonly destinations: DestinationLimits;
  /** Undefined: nothing is signed. */
  readonly sign: Sign | undefined;
  readonly state: AckState;
  readonly compose: Compose;
  readonly guard: ParserGuard;
  readonly addressee: RecipientOf;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: Settings;
}

export class DeliveryLoop {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  #working: Promise<unknown> = Promise.resolve();
  #cutOff = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    // Every sender that waits listens to it, and there can be more of them than Node takes for a leak.
    setMaxListeners(0, this.#stop.signal);
  }

  /** Begins; as many at once as the relays take. `failed` hears of what should never happen. */
  start(failed: (error: Error) => void): void {
    const workers = Array.from({ length: this.#parts.relays.parallel }, () => this.#work());
    this.#working = Promise.all(workers).catch((error: unknown) =>
      failed(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Begins nothing more. Resolves when the last send has ended; whoever cannot wait closes the relays. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  /** Ends at once: what is cut off is not recorded, and counts as never tried. */
  cutOff(): void {
    this.#cutOff = true;
    this.#stop.abort();
    this.#parts.relays.close();
  }

  async #work(): Promise<void> {
    for (;;) {
      const request = await this.#parts.backlog.next();
      if (!request || this.#stop.signal.aborted) return;
      await this.#acknowledge(request);
    }
  }

  async #acknowledge(request: StoredRequest): Promise<void> {
    const { sequence, ticket } = request;
    const { addressee } = this.#parts;
    const piece = pieceOf(request.message, this.#parts.settings.parseBytes);
    const fields = fieldsOf(piece);
    // Whom the registrar book does not know may be anyone's address: no backscatter.
    const reason = request.client.unverified
      ? 'unverified'
      : autoReplyReason(request.envelope.from, fields, addressee(request).contact);
    if (reason !== undefined) {
      this.#parts.log.info({ sequence, ticket, reason }, 'not acknowledged by mail');
      this.#parts.recorder.record({ type: 'skipped', sequence });
      return;
    }
    const mail = await this.#make(request, piece, fields);
    if (typeof mail === 'string') this.#fail(request, { kind: 'refused', code: 0, text: mail, carrier: '' });
    else await this.#sendInTurn(request, mail);
  }

  /** A mail whose domain has no room waits aside as a number only; it is made again when its turn has come. */
  async #sendInTurn(request: StoredRequest, mail: Outgoing): Promise<void> {
    const { destinations, sign } = this.#parts;
    const domain = domainOf(mail.to);
    if (!destinations.enter(domain, request.sequence)) return;
    try {
      await this.#send(request, sign ? { ...mail, bytes: await sign(mail.bytes) } : mail);
    } finally {
      destinations.leave(domain);
    }
  }

  /** The finished mail, or why there can be none. */
  async #make(request: StoredRequest, piece: Buffer, fields: Fields): Promise<Outgoing | string> {
    const { compose, guard, log } = this.#parts;
    const { sequence, ticket } = request;
    const readable = await readMail(piece, guard.parseOf(request), fields);
    if (!readable) log.warn({ sequence, ticket }, 'mail could not be read; it is acknowledged without quoting it');
    try {
      const understood = readable ? parseRequests(readable) : unparsedMail;
      return compose(request, understood, fields) ?? 'the address cannot be written to';
    } catch (error) {
      log.error({ sequence, ticket, reason: messageOf(error) }, 'acknowledgement could not be made');
      return sanitizeLine(`acknowledgement could not be made: ${messageOf(error)}`, 200);
    }
  }

  async #send(request: StoredRequest, mail: Outgoing): Promise<void> {
    const { relays, clock } = this.#parts;
    const { signal } = this.#stop;
    let unreachable = 0;
    for (;;) {
      await relays.ready(signal);
      if (signal.aborted) return;
      const outcome = await relays.send(mail);
      if (this.#cutOff) return;
      if (!outcome) continue;
      if (outcome.kind !== 'unreachable' || ++unreachable >= unreachableMax || this.#isTooOld(request)) {
        this.#settle(request, outcome);
        return;
      }
      await sleep(clock, breathMs, signal);
    }
  }

  #settle(request: StoredRequest, outcome: Outcome): void {
    const { sequence, ticket } = request;
    const { code, carrier } = outcome;
    if (outcome.kind === 'sent') {
      this.#parts.log.info({ sequence, ticket, relay: carrier, code }, 'acknowledged');
      this.#parts.recorder.record({ type: 'sent', sequence });
    } else if (outcome.kind === 'refused' || this.#isTooOld(request)) this.#fail(request, outcome);
    else this.#retry(request, outcome);
  }

  #retry({ sequence, ticket }: StoredRequest, { code, text, carrier }: Outcome): void {
    const { clock, log, recorder, settings, state } = this.#parts;
    const before = state.retryOf(sequence);
    const attempts = (before?.attempts ?? 0) + 1;
    const asked = before?.askedAt === undefined ? {} : { askedAt: before.askedAt };
    const pauseMs = Math.min(settings.retryMs * 2 ** Math.min(attempts - 1, 30), settings.retryMsMax);
    const details = { sequence, ticket, relay: carrier, code, text, attempts, pauseSeconds: pauseMs / 1000 };
    log.info(details, 'acknowledgement put off');
    recorder.record({ type: 'retry', sequence, attempts, nextAt: clock.now() + pauseMs, code, text, ...asked });
  }

  #fail({ sequence, ticket }: StoredRequest, { code, text, carrier }: Outcome): void {
    const { clock, log, recorder, state } = this.#parts;
    const attempts = (state.retryOf(sequence)?.attempts ?? 0) + 1;
    log.warn({ sequence, ticket, relay: carrier, code, text, attempts }, 'acknowledgement failed for good');
    recorder.record({ type: 'failed', sequence, at: clock.now(), attempts, code, text });
  }

  /** Whoever asks for another try starts its time anew. */
  #isTooOld({ receivedAt, sequence }: StoredRequest): boolean {
    const since = Math.max(receivedAt, this.#parts.state.retryOf(sequence)?.askedAt ?? 0);
    return this.#parts.clock.now() - since >= this.#parts.settings.giveUpMs;
  }
}
