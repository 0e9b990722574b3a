// What is to be acknowledged: new requests as the log gives them, and those whose next try is due. Each waits in the queue of
// its destination (destination-limits.ts), first in, first out. Takes the log and the journal's state, gives one after the
// other as it may begin. Fails by calling `failed` when the log cannot be read. Owns the position in the log.
// Bounded: what waits is a number; the mails in memory are those being sent and a few read ahead, `limit` in all. How many
// wait, or wait for another try, bounds nothing: one destination in trouble must not stop the reading for the others.

import { DamagedLogError } from '../../model/errors.ts';
import { Heap } from '../../lib/heap.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { ReadLimit, RequestReader } from '../../ports/request-log.ts';
import type { Clock, Timer } from '../../ports/runtime.ts';
import type { AckState } from '../journal/ack-state.ts';
import { DestinationLimits, type DestinationLimit, type Permit } from './destination-limits.ts';

/** The most that one read of the log gives. */
const batch = { count: 128, bytes: 2_097_152 };
/** What is no longer in memory is read together with what comes behind it, which is mostly wanted soon. */
const ahead = { count: 32, bytes: 262_144 };
const one = { count: 1, bytes: 1 };
/** The most bytes of mails that wait in memory. */
const cacheBytes = 8_388_608;
/** Retries fall due in steps of this, so that looking for them costs little when there are many. */
const dueStepMs = 100;

/** One acknowledgement that may be sent now. */
export interface Delivery {
  readonly sequence: number;
  readonly permit: Permit;
}

interface Parts {
  readonly reader: RequestReader;
  readonly state: AckState;
  readonly clock: Clock;
  /** The longest pause between two tries. */
  readonly pauseMsMax: number;
  /** The most mails in memory. */
  readonly limit: number;
  /** How many sends the transports take at once, and whether to each destination by itself. */
  readonly parallel: number;
  readonly direct: boolean;
  readonly limitOf: (domain: string) => DestinationLimit;
  /** How many results are not yet in the journal: with `limit` of them nothing more begins. */
  readonly unwritten: () => number;
  /** Called before the first new request is given out; rejects when the journal speaks of another log. */
  readonly identify: () => Promise<void>;
  /** The recipient domain of a request; undefined when none is due, and that is noted. */
  readonly route: (request: StoredRequest) => string | undefined;
  readonly failed: (error: Error) => void;
}

export class DeliveryQueue {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  readonly #destinations: DestinationLimits<number>;
  /** Mails that wait, and are in memory: the first of them. */
  readonly #cache = new Map<number, StoredRequest>();
  #cached = 0;
  /** When which retry is due, on the clock that never jumps; what the state no longer says is passed over. */
  readonly #due = new Heap<{ readonly sequence: number; readonly nextAt: number; readonly dueAt: number }>(
    ({ dueAt }) => dueAt,
  );
  /** Retries that wait in the queue of their destination or are being sent. */
  readonly #retrying = new Set<number>();
  /** Given out by `next`, and their result not yet in the journal. */
  readonly #sending = new Set<number>();
  #dueTimer: Timer | undefined;
  readonly #waiting = new Set<() => void>();
  #filling: Promise<unknown> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { clock, limit, parallel, direct, limitOf } = parts;
    const fast = Math.min(parallel, Math.max(1, Math.floor(limit / 4)));
    const slow = Math.max(1, Math.floor((direct ? limit : fast) / 2));
    const slots = { fast, slow, shared: !direct };
    this.#destinations = new DestinationLimits({ clock, limitOf, slots, free: () => this.#wakeAll() });
  }

  /** Begins to read where the journal ends. */
  start(): void {
    this.schedule(this.#parts.state.pending.map(({ sequence }) => sequence));
    this.#filling = Promise.all([this.#fill(), this.#queueDue()]).catch((error: unknown) => this.#fail(error));
  }

  /** The next that may be sent; waits for one. Its permit must be given back. Undefined once stopped. */
  async next(): Promise<Delivery | undefined> {
    while (!this.#stop.signal.aborted) {
      const next = this.#parts.unwritten() < this.#parts.limit ? this.#destinations.next() : undefined;
      if (next) {
        this.#sending.add(next.item);
        return { sequence: next.item, permit: next.permit };
      }
      await this.#change();
    }
    return undefined;
  }

  /** The request of a delivery. Undefined when the log cannot be read: then `failed` has been told. */
  async read(sequence: number): Promise<StoredRequest | undefined> {
    return this.#uncache(sequence) ?? this.#read(sequence, ahead);
  }

  async #read(sequence: number, limit: ReadLimit): Promise<StoredRequest | undefined> {
    try {
      const [request, ...more] = await this.#parts.reader.read(sequence - 1, limit);
      if (request?.sequence !== sequence) {
        throw new DamagedLogError(`The log no longer gives request ${sequence}, which waits for its acknowledgement.`);
      }
      // They are wanted sooner than what has waited longest in memory, for a destination in trouble.
      for (const each of more) if (this.#isWaiting(each.sequence)) this.#keep(each, true);
      return request;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Puts a request at the end of the queue of its destination. */
  add(request: StoredRequest): void {
    this.#sending.delete(request.sequence);
    const domain = this.#parts.route(request);
    if (domain === undefined) return;
    this.#keep(request);
    this.#destinations.add(domain, request.sequence);
    this.#wakeAll();
  }

  /** Puts a digest at the end of the queue of its destination. @param head the request that stands for it */
  addDigest(domain: string, head: number): void {
    this.#destinations.add(domain, head);
    this.#wakeAll();
  }

  /** Says that what became of these is in the journal and in the state. */
  written(sequences: readonly number[]): void {
    for (const sequence of sequences) {
      this.#retrying.delete(sequence);
      this.#sending.delete(sequence);
    }
    this.schedule(sequences);
  }

  /** Looks in the state when these are due, if they are to be tried again. */
  schedule(sequences: readonly number[]): void {
    const { state, clock, pauseMsMax } = this.#parts;
    for (const sequence of sequences) {
      const retry = state.retryOf(sequence);
      if (!retry) continue;
      // A time that is further away than any pause was written under another clock.
      const wait = Math.min(Math.max(0, retry.nextAt - clock.now()), pauseMsMax);
      this.#due.add({ sequence, nextAt: retry.nextAt, dueAt: clock.elapsed() + wait });
    }
    this.#setTimer();
    this.#wakeAll();
  }

  /** Gives out nothing more. Resolves when the log is no longer read. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#dueTimer?.cancel();
    this.#destinations.close();
    this.#wakeAll();
    await this.#filling;
  }

  async #fill(): Promise<void> {
    const { signal } = this.#stop;
    const { state, reader, limit, identify, unwritten } = this.#parts;
    let position = state.settledThrough;
    let identified = false;
    while (!signal.aborted) {
      // With enough to do, no more is read than finds room in memory: what does not must be read again.
      const { busy } = this.#destinations;
      if (unwritten() >= limit || (busy && this.#room < Math.min(batch.count, this.#cacheCount))) {
        await this.#change();
        continue;
      }
      position = state.settledFrom(position);
      const requests = await reader.read(position, { ...batch, count: Math.min(batch.count, limit) }, signal);
      if (requests.length > 0 && !identified) {
        await identify();
        identified = true;
      }
      for (const request of requests) {
        if (request.sequence !== position + 1) {
          throw new DamagedLogError(`The log gave ${request.sequence} where ${position + 1} was expected.`);
        }
        position = request.sequence;
        // Behind a request that waits for another try, the log holds many that are settled already.
        if (state.isSettled(position) || state.retryOf(position) !== undefined) continue;
        this.add(request);
      }
    }
  }

  /** Puts what has fallen due into the queue of its destination, one after the other. */
  async #queueDue(): Promise<void> {
    const { state, clock } = this.#parts;
    while (!this.#stop.signal.aborted) {
      const { first } = this.#due;
      if (!first || first.dueAt > clock.elapsed()) {
        this.#setTimer();
        await this.#change();
        continue;
      }
      this.#due.take();
      const { sequence, nextAt } = first;
      if (state.retryOf(sequence)?.nextAt !== nextAt || this.#retrying.has(sequence)) continue;
      this.#retrying.add(sequence);
      const request = await this.#read(sequence, one);
      if (request) this.add(request);
    }
  }

  #setTimer(): void {
    this.#dueTimer?.cancel();
    const { first } = this.#due;
    if (!first || this.#stop.signal.aborted) return;
    const wait = Math.max(first.dueAt - this.#parts.clock.elapsed(), dueStepMs);
    this.#dueTimer = this.#parts.clock.after(wait, () => this.#wakeAll());
  }

  get #cacheCount(): number {
    return Math.max(1, Math.floor(this.#parts.limit / 4));
  }

  /** How many more mails may be in memory. */
  get #room(): number {
    return this.#cached >= cacheBytes ? 0 : Math.max(0, this.#cacheCount - this.#cache.size);
  }

  #keep(request: StoredRequest, instead = false): void {
    if (this.#cache.has(request.sequence)) return;
    const [oldest] = this.#cache.keys();
    if (instead && this.#room === 0 && oldest !== undefined) this.#uncache(oldest);
    if (this.#room === 0) return;
    this.#cache.set(request.sequence, request);
    this.#cached += request.size;
  }

  /** Whether it waits in the queue of a destination, or is new. */
  #isWaiting(sequence: number): boolean {
    const { state } = this.#parts;
    if (this.#sending.has(sequence)) return false;
    return state.retryOf(sequence) === undefined ? !state.isSettled(sequence) : this.#retrying.has(sequence);
  }

  #uncache(sequence: number): StoredRequest | undefined {
    const cached = this.#cache.get(sequence);
    if (cached && this.#cache.delete(sequence)) this.#cached -= cached.size;
    return cached;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
    });
  }

  #wakeAll(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  #fail(error: unknown): void {
    this.#stop.abort();
    this.#wakeAll();
    this.#parts.failed(error instanceof Error ? error : new Error(String(error)));
  }
}
