// What is to be acknowledged next: new requests as the log gives them, and those whose next try is due, which go first.
// Takes the log and the journal's state, gives one request at a time to whoever asks, each to one only. Fails by calling
// `failed` when the log cannot be read. Owns the place in the log. Bounded: on their way and waiting for another try
// together never exceed `limit`; at the limit the log is not read. Only a few megabytes are read ahead. Whoever has to
// put a request aside gives it back by its number, and it comes again.

import { DamagedLogError } from '../../model/errors.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { RequestReader } from '../../ports/request-log.ts';
import type { Clock, Timer } from '../../ports/runtime.ts';
import type { AckState } from '../journal/ack-state.ts';

const aheadCount = 128;
/** With no more than so many left, the next are read. */
const aheadLow = 64;
const aheadBytes = 2_097_152;
/** Retries fall due in steps of this, so that looking for them costs little when there are many. */
const dueStepMs = 100;
/** The longest sleep before the wall clock is looked at again: it may have been set. */
const dueSleepMs = 60_000;

export class DeliveryQueue {
  readonly #reader: RequestReader;
  readonly #state: AckState;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #identify: () => Promise<void>;
  readonly #coming: (request: StoredRequest) => void;
  readonly #failed: (error: Error) => void;
  readonly #stop = new AbortController();
  /** Read and not yet asked for. */
  #ahead: StoredRequest[] = [];
  /** Handed out, or read ahead, and not yet in the journal. */
  readonly #underWay = new Set<number>();
  /** Sequences whose next try is due, in order. */
  #due: number[] = [];
  #dueTimer: Timer | undefined;
  #waiting = new Set<() => void>();
  #filling: Promise<void> | undefined;

  constructor(parts: {
    reader: RequestReader;
    state: AckState;
    clock: Clock;
    limit: number;
    /** Called before the first new request is given out; rejects when the journal speaks of another log. */
    identify: () => Promise<void>;
    /** Hears of each new request as soon as it is read, before its turn. */
    coming: (request: StoredRequest) => void;
    failed: (error: Error) => void;
  }) {
    this.#reader = parts.reader;
    this.#state = parts.state;
    this.#clock = parts.clock;
    this.#limit = parts.limit;
    this.#identify = parts.identify;
    this.#coming = parts.coming;
    this.#failed = parts.failed;
  }

  /** Begins to read where the journal ends. */
  start(): void {
    this.#findDue();
    this.#filling = this.#fill().catch((error: unknown) => this.#fail(error));
  }

  /** The next request to acknowledge; waits for one. Undefined once stopped. */
  async next(): Promise<StoredRequest | undefined> {
    while (!this.#stop.signal.aborted) {
      const due = this.#due.shift();
      if (due !== undefined) {
        const request = await this.#readAgain(due);
        if (request) return request;
        continue;
      }
      const request = this.#ahead.shift();
      if (request) {
        if (this.#ahead.length === aheadLow || this.#ahead.length === 0) this.#wakeAll();
        return request;
      }
      await this.#change();
    }
    return undefined;
  }

  /** Gives a request out again that was put aside: it goes before the new ones. */
  again(sequence: number): void {
    this.#due.push(sequence);
    this.#wakeAll();
  }

  /** Says that what became of these is in the journal and in the state. */
  written(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#underWay.delete(sequence);
    this.lookAgain();
  }

  /** Says that others may have fallen due in the state. */
  lookAgain(): void {
    this.#findDue();
    this.#wakeAll();
  }

  /** Gives out nothing more. Resolves when the log is no longer read. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#dueTimer?.cancel();
    this.#wakeAll();
    await this.#filling;
  }

  /**
   * On their way, and waiting for another try. A retry under way counts once; those that an operator asked for again do
   * not count: they are behind us in the log, and hold up nothing new.
   */
  #load(): number {
    let load = this.#state.pendingCount - this.#state.reopenedCount;
    for (const sequence of this.#underWay) if (this.#state.retryOf(sequence) === undefined) load++;
    return load;
  }

  async #fill(): Promise<void> {
    const { signal } = this.#stop;
    let place = this.#state.settledThrough;
    let identified = false;
    while (!signal.aborted) {
      const room = this.#limit - this.#load();
      if (room <= 0 || this.#ahead.length > aheadLow) {
        await this.#change();
        continue;
      }
      place = this.#state.settledFrom(place);
      const batch = await this.#reader.read(place, { count: Math.min(room, aheadCount), bytes: aheadBytes }, signal);
      if (batch.length > 0 && !identified) {
        await this.#identify();
        identified = true;
      }
      for (const request of batch) {
        if (request.sequence !== place + 1) {
          throw new DamagedLogError(`The log gave ${request.sequence} where ${place + 1} was expected.`);
        }
        place = request.sequence;
        // Behind a request that waits for another try, the log holds many that are settled already.
        if (this.#state.isSettled(place) || this.#state.retryOf(place) !== undefined) continue;
        this.#underWay.add(place);
        this.#ahead.push(request);
        this.#coming(request);
      }
      this.#wakeAll();
    }
  }

  async #readAgain(sequence: number): Promise<StoredRequest | undefined> {
    try {
      const [request] = await this.#reader.read(sequence - 1, { count: 1, bytes: 1 });
      if (request?.sequence === sequence) return request;
      throw new DamagedLogError(`The log no longer gives request ${sequence}, which waits for its acknowledgement.`);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** Moves what has fallen due to the front, and sets the timer for the next. */
  #findDue(): void {
    this.#dueTimer?.cancel();
    if (this.#stop.signal.aborted) return;
    const now = this.#clock.now();
    let next = Infinity;
    for (const { sequence, nextAt } of this.#state.pending) {
      if (this.#underWay.has(sequence)) continue;
      if (nextAt <= now) {
        this.#underWay.add(sequence);
        this.#due.push(sequence);
      } else next = Math.min(next, nextAt);
    }
    this.#due.sort((a, b) => a - b);
    if (next < Infinity) {
      const wait = Math.min(Math.max(next - now, dueStepMs), dueSleepMs);
      this.#dueTimer = this.#clock.after(wait, () => {
        this.#findDue();
        this.#wakeAll();
      });
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
    });
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
  }

  #fail(error: unknown): void {
    this.#stop.abort();
    this.#wakeAll();
    this.#failed(error instanceof Error ? error : new Error(String(error)));
  }
}
