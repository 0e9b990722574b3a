// Acknowledges requests, several at once. Takes from the delivery queue what may be sent, composes the mail, gives it to the
// transports and what became of it to the journal writer. Whatever a mail contains ends in one of four ways: sent, skipped,
// failed for good, or another try. Ends with an error only when something is wrong with this program; `stop` lets what is
// under way finish.

import { setMaxListeners } from 'node:events';
import { messageOf } from '../model/errors.ts';
import { sleep } from '../lib/async.ts';
import type { Logger } from '../lib/logger.ts';
import type { StoredRequest } from '../model/request.ts';
import { fromRanges } from '../model/range-set.ts';
import { ticketOf } from '../model/ticket.ts';
import { unparsedMail } from '../model/parsed-mail.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Digest } from './journal/ack-events.ts';
import type { AckState } from './journal/ack-state.ts';
import type { RecipientOf } from './compose/recipient.ts';
import { answersUs, autoReplyReason } from './compose/auto-reply-filter.ts';
import type { Delivery, DeliveryQueue } from './queue/delivery-queue.ts';
import type { Outcome, Outgoing } from './transport/transport.ts';
import { sanitizeLine } from '../mail/sanitize.ts';
import type { Compose } from './compose/compose.ts';
import type { Digests } from './queue/digests.ts';
import type { Permit } from './queue/destination-limits.ts';
import type { Sign } from './compose/dkim.ts';
import { domainOf } from './compose/recipient.ts';
import { type Fields, fieldsOf, headPiece, type Piece, pieceOf } from '../mail/header-fields.ts';
import type { ParserGuard } from '../mail/parser-guard.ts';
import { readMail } from '../mail/read-text.ts';
import type { JournalWriter } from './journal/journal-writer.ts';
import type { FailOver } from './transport/fail-over.ts';
import { parseRequests } from '../mail/parse-mail.ts';

/** After so many tries that reached no relay a mail waits its turn like one that was put off: it may be the cause. */
const unreachableMax = 3;
/** The least pause of a sender whose mail reached no relay, even when other mails come through. */
const breathMs = 1_000;

/** From so many answers on the operator is told of a sender. */
const toldAt = 3;
const sendersMax = 1_000;

/** What an acknowledgement is recorded under: its request, or the one that stands for a digest. */
type Subject = Pick<StoredRequest, 'sequence' | 'ticket' | 'receivedAt'>;

interface Settings {
  readonly parseBytes: number;
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly giveUpMs: number;
}

interface Parts {
  readonly queue: DeliveryQueue;
  readonly journalWriter: JournalWriter;
  readonly relays: FailOver;
  /** Undefined: nothing is signed. */
  readonly sign: Sign | undefined;
  readonly state: AckState;
  readonly compose: Compose;
  readonly composeDigest: (digest: Digest) => Outgoing;
  /** Holds back what is acknowledged together with others. */
  readonly digests: Pick<Digests, 'holds'>;
  readonly guard: ParserGuard;
  readonly recipientOf: RecipientOf;
  /** Hears of each address before its turn, so that its domain can be looked up meanwhile. */
  readonly expect: (address: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: Settings;
}

export class DeliveryLoop {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #cutOff = false;
  /** How many mails of a sender answered an acknowledgement; the newest senders. */
  readonly #answers = new Map<string, number>();

  constructor(parts: Parts) {
    this.#parts = parts;
    // Every sender that waits listens to it, and there can be more of them than Node takes for a leak.
    setMaxListeners(0, this.#stop.signal);
  }

  /** Begins. `failed` hears of what should never happen. */
  start(failed: (error: Error) => void): void {
    this.#running = this.#run().catch((error: unknown) =>
      failed(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Begins nothing more. Resolves when the last send has ended; whoever cannot wait closes the relays. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Ends at once: what is cut off is not recorded, and counts as never tried. */
  cutOff(): void {
    this.#cutOff = true;
    this.#stop.abort();
    this.#parts.relays.close();
  }

  /**
   * The recipient domain of a request's acknowledgement. Undefined when none is due, and that is recorded, or it goes with others.
   * Takes every request, more than once where its mail had to wait: cheap.
   */
  route(request: StoredRequest): string | undefined {
    const { recipientOf, settings, log, journalWriter, expect, state, digests } = this.#parts;
    const { sequence, ticket, envelope, client } = request;
    const digest = state.digestOf(sequence);
    if (digest) return digest.head === sequence ? domainOf(digest.to) : undefined;
    const { to, contact } = recipientOf(request);
    // Whom the registrar book does not know may be anyone's address: no backscatter.
    const reason = client.unverified
      ? 'unverified'
      : autoReplyReason(envelope.from, fieldsOf(headPiece(request.message, settings.parseBytes)), contact);
    if (reason === undefined) {
      if (digests.holds(request, to)) return undefined;
      expect(to);
      return domainOf(to);
    }
    log.info({ sequence, ticket, reason }, 'not acknowledged by mail');
    if (reason === answersUs) this.#countAnswer(envelope.from);
    journalWriter.record({ type: 'skipped', sequence });
    return undefined;
  }

  /** Somebody whose mails answer our acknowledgements again and again has a program that takes a place in the order each time. */
  #countAnswer(sender: string): void {
    const count = (this.#answers.get(sender) ?? 0) + 1;
    this.#answers.delete(sender);
    this.#answers.set(sender, count);
    if (this.#answers.size > sendersMax)
      for (const oldest of this.#answers.keys()) {
        this.#answers.delete(oldest);
        break;
      }
    if (count !== toldAt && count % 100 !== 0) return;
    const words =
      'a sender keeps answering our acknowledgements, and each answer is kept as a request: tell the registrar';
    this.#parts.log.warn({ sender: sanitizeLine(sender, 200), count }, words);
  }

  async #run(): Promise<void> {
    const sending = new Set<Promise<void>>();
    let trouble: unknown;
    for (;;) {
      const delivery = await this.#parts.queue.next();
      if (!delivery || this.#stop.signal.aborted || trouble !== undefined) break;
      const send = this.#deliver(delivery)
        .catch((error: unknown) => {
          trouble ??= error;
        })
        .finally(() => {
          delivery.permit.release();
          sending.delete(send);
          if (trouble !== undefined) void this.#parts.queue.stop();
        });
      sending.add(send);
    }
    await Promise.all(sending);
    if (trouble !== undefined) throw trouble;
  }

  async #deliver({ sequence, permit }: Delivery): Promise<void> {
    const { queue, relays, recipientOf, state } = this.#parts;
    const digest = state.digestOf(sequence);
    const request = digest ? undefined : await queue.read(sequence);
    if (!digest && !request) return;
    if (request && domainOf(recipientOf(request).to) !== permit.domain) {
      // The registrar book has changed since: it waits again, where it goes now.
      return queue.add(request);
    }
    const subject = request ?? { sequence, ticket: ticketOf(sequence), receivedAt: digest?.at ?? 0 };
    if (relays.isResting(permit.domain)) {
      this.#settle(subject, {
        kind: 'later',
        code: 0,
        text: 'its mail servers could not be reached',
        transport: permit.domain,
      });
    } else if (request) await this.#acknowledge(request, permit);
    else if (digest) await this.#sendSigned(subject, this.#parts.composeDigest(digest), permit);
  }

  async #acknowledge(request: StoredRequest, permit: Permit): Promise<void> {
    const { settings } = this.#parts;
    const piece = pieceOf(request.message, settings.parseBytes);
    const mail = await this.#make(request, piece, fieldsOf(piece.bytes));
    if (typeof mail === 'string') return this.#fail(request, { kind: 'refused', code: 0, text: mail, transport: '' });
    await this.#sendSigned(request, mail, permit);
  }

  async #sendSigned(request: Subject, mail: Outgoing, permit: Permit): Promise<void> {
    const { sign } = this.#parts;
    const outcome = await this.#send(request, sign ? { ...mail, bytes: await sign(mail.bytes) } : mail);
    if (!outcome) return;
    // A relay in trouble says nothing of the destination.
    if (outcome.kind !== 'unreachable')
      permit.release(outcome.kind !== 'dropped' && (outcome.kind === 'sent' || outcome.code > 0));
    this.#settle(request, outcome);
  }

  /** The finished mail, or why there can be none. */
  async #make(request: StoredRequest, { bytes, partly }: Piece, fields: Fields): Promise<Outgoing | string> {
    const { compose, guard, log } = this.#parts;
    const { sequence, ticket } = request;
    const readable = await readMail(bytes, guard.parseOf(request), fields);
    if (!readable) log.warn({ sequence, ticket }, 'mail could not be read; it is acknowledged without quoting it');
    try {
      const parsed = readable ? parseRequests(readable, partly) : unparsedMail;
      return compose(request, parsed, fields) ?? 'the address cannot be written to';
    } catch (error) {
      log.error({ sequence, ticket, reason: messageOf(error) }, 'acknowledgement could not be made');
      return sanitizeLine(`acknowledgement could not be made: ${messageOf(error)}`, 200);
    }
  }

  /** Undefined when it was cut off. */
  async #send(request: Subject, mail: Outgoing): Promise<Outcome | undefined> {
    const { relays, clock } = this.#parts;
    const { signal } = this.#stop;
    let unreachable = 0;
    for (;;) {
      await relays.ready(signal);
      if (signal.aborted) return undefined;
      const outcome = await relays.send(mail);
      if (this.#cutOff) return undefined;
      if (!outcome) continue;
      if (outcome.kind !== 'unreachable' || ++unreachable >= unreachableMax || this.#isTooOld(request)) return outcome;
      await sleep(clock, breathMs, signal);
    }
  }

  #settle(request: Subject, outcome: Outcome): void {
    const { sequence, ticket } = request;
    const { code, transport } = outcome;
    if (outcome.kind === 'sent') {
      const ranges = this.#parts.state.digestOf(sequence)?.ranges;
      const count = ranges && fromRanges(ranges).length;
      this.#parts.log.info({ sequence, ticket, count, relay: transport, code }, 'acknowledged');
      this.#parts.journalWriter.record({ type: 'sent', sequence, ...(ranges && { ranges }) });
    } else if (outcome.kind === 'refused' || this.#isTooOld(request)) this.#fail(request, outcome);
    else this.#retry(request, outcome);
  }

  #retry({ sequence, ticket }: Subject, { code, text, transport }: Outcome): void {
    const { clock, log, journalWriter, state } = this.#parts;
    const before = state.retryOf(sequence);
    const attempts = (before?.attempts ?? 0) + 1;
    const asked = before?.askedAt === undefined ? {} : { askedAt: before.askedAt };
    const pauseMs = this.#pauseMs(attempts);
    const details = { sequence, ticket, relay: transport, code, text, attempts, pauseSeconds: pauseMs / 1000 };
    log.info(details, 'acknowledgement put off');
    journalWriter.record({ type: 'retry', sequence, attempts, nextAt: clock.now() + pauseMs, code, text, ...asked });
  }

  #fail({ sequence, ticket }: Subject, { code, text, transport }: Outcome): void {
    const { clock, log, journalWriter, state } = this.#parts;
    const attempts = (state.retryOf(sequence)?.attempts ?? 0) + 1;
    log.warn({ sequence, ticket, relay: transport, code, text, attempts }, 'acknowledgement failed for good');
    // The first of a digest comes last: until then it stands for those that are left.
    const all = fromRanges(state.digestOf(sequence)?.ranges ?? [[sequence, sequence]]).toReversed();
    for (const each of all)
      journalWriter.record({ type: 'failed', sequence: each, at: clock.now(), attempts, code, text });
  }

  /**
   * Whether it has been tried for long enough. Whoever asks for another try starts its time anew. The wall clock alone does not
   * decide: one that jumps ahead would make everything that waits fail for good. So much must have gone by in pauses, too.
   */
  #isTooOld({ receivedAt, sequence }: Subject): boolean {
    const { clock, settings, state } = this.#parts;
    const retry = state.retryOf(sequence);
    const age = clock.now() - Math.max(receivedAt, retry?.askedAt ?? 0);
    let tried = 0;
    for (let attempt = 1; attempt <= (retry?.attempts ?? 0) && tried < settings.giveUpMs; attempt++)
      tried += this.#pauseMs(attempt);
    // What came under a clock that was ahead is of no age.
    return tried >= settings.giveUpMs && (age >= settings.giveUpMs || age < 0);
  }

  /** The pause behind so many tries. */
  #pauseMs(attempts: number): number {
    const { retryMs, retryMsMax } = this.#parts.settings;
    return Math.min(retryMs * 2 ** Math.min(attempts - 1, 30), retryMsMax);
  }
}
