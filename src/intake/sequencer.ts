// The sequencer: takes complete messages in the order in which they were complete, and gives each its number once it is on
// stable storage. Group commit without a timer: while one write is under way arrivals gather, and go together in the next.
// Owns what waits for its write. Fails by refusing: at once when too many wait, and for good when the log is lost.

import { GroupCommit } from '../lib/group-commit.ts';
import { messageOf } from '../model/errors.ts';
import type { NewRequest } from '../model/request.ts';
import type { RequestWriter } from '../ports/request-log.ts';

/** Why a request was given no number: `full` passes by itself, `lost` ends with this process. */
export class NotSequencedError extends Error {
  override readonly name = 'NotSequencedError';
  readonly kind: 'full' | 'lost';

  constructor(kind: 'full' | 'lost', message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A request's place in the order. */
export interface Kept {
  readonly sequence: number;
  /** It had this place already: what came now is a copy, and is not stored again. */
  readonly repeated: boolean;
}

/** Limits of what waits. */
export interface SequencerLimits {
  /** The most requests, and the most message bytes, in one write; a single request always fits. */
  readonly batchCount: number;
  readonly batchBytes: number;
  /** The most requests that wait for their write. */
  readonly waitingCount: number;
}

export class Sequencer {
  readonly #writer: RequestWriter;
  readonly #waitingCount: number;
  readonly #commit: GroupCommit<NewRequest, Kept>;
  #lost: string | undefined;
  /** New numbers ascend, so whatever is not above this is an earlier request's. */
  #highest: number;

  constructor(writer: RequestWriter, { batchCount: count, batchBytes: bytes, waitingCount }: SequencerLimits) {
    this.#writer = writer;
    this.#waitingCount = waitingCount;
    this.#highest = writer.lastSequence;
    this.#commit = new GroupCommit((batch) => this.#append(batch), {
      count,
      bytes,
      sizeOf: ({ message }) => message.length,
    });
  }

  /** How many requests wait for their write to begin. */
  get waiting(): number {
    return this.#commit.waiting;
  }

  /**
   * Takes the next place in the order for a request. The order of calls is the order of the log.
   * @returns its place, once it is on stable storage
   * @throws NotSequencedError; the outcome is then unknown to us, and the sender will send again
   */
  submit(request: NewRequest): Promise<Kept> {
    if (this.#lost !== undefined) return Promise.reject(new NotSequencedError('lost', this.#lost));
    if (this.waiting >= this.#waitingCount) {
      return Promise.reject(new NotSequencedError('full', `${this.waiting} requests wait for the disk`));
    }
    return this.#commit.add(request);
  }

  async #append(batch: readonly NewRequest[]): Promise<Kept[]> {
    try {
      if (this.#lost !== undefined) throw new Error(this.#lost);
      const sequences = await this.#writer.append(batch);
      if (sequences.length !== batch.length) throw new Error('the log gave another count of numbers than of requests');
      return sequences.map((sequence) => {
        const repeated = sequence <= this.#highest;
        if (!repeated) this.#highest = sequence;
        return { sequence, repeated };
      });
    } catch (error) {
      // The writer never writes again, and what waits for it fails too.
      this.#lost = messageOf(error);
      throw new NotSequencedError('lost', this.#lost);
    }
  }

  /** Resolves when everything that was submitted has its answer. */
  idle(): Promise<void> {
    return this.#commit.idle();
  }
}
