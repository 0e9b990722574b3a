// The sequencer: takes complete messages in the order in which they were complete, and gives each its number once it is on
// stable storage. Group commit without a timer: while one write is under way arrivals gather, and go together in the next.
// Owns the line between "arrived" and "kept". Fails by refusing: at once when the line is full, and for good when the log is lost.

import { messageOf } from '../model/errors.ts';
import type { NewRequest } from '../model/request.ts';
import type { RequestWriter } from '../ports/request-log.ts';

/** Why a request has no place: `full` passes by itself, `lost` ends with this process. */
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

interface Waiting {
  readonly request: NewRequest;
  readonly kept: (place: Kept) => void;
  readonly failed: (reason: NotSequencedError) => void;
}

/** Limits of the line. */
export interface SequencerLimits {
  /** The most requests, and the most message bytes, in one write; a single request always fits. */
  readonly batchCount: number;
  readonly batchBytes: number;
  /** The most requests that wait for their write. */
  readonly waitingCount: number;
}

export class Sequencer {
  readonly #writer: RequestWriter;
  readonly #limits: SequencerLimits;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #lost: string | undefined;
  /** New numbers ascend, so whatever is not above this is an earlier request's. */
  #highest: number;

  constructor(writer: RequestWriter, limits: SequencerLimits) {
    this.#writer = writer;
    this.#limits = limits;
    this.#highest = writer.lastSequence;
  }

  /** How many requests wait for their write to begin. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Takes the next place in the order for a request. The order of calls is the order of the log.
   * @returns its place, once it is on stable storage
   * @throws NotSequencedError; the outcome is then unknown to us, and the sender will send again
   */
  submit(request: NewRequest): Promise<Kept> {
    if (this.#lost !== undefined) return Promise.reject(new NotSequencedError('lost', this.#lost));
    if (this.#waiting.length >= this.#limits.waitingCount) {
      return Promise.reject(new NotSequencedError('full', `${this.#waiting.length} requests wait for the disk`));
    }
    return new Promise((kept, failed) => {
      this.#waiting.push({ request, kept, failed });
      this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      try {
        const sequences = await this.#writer.append(batch.map((each) => each.request));
        batch.forEach((each, i) => {
          const sequence = sequences[i];
          if (sequence === undefined) throw new Error('the log gave fewer numbers than requests');
          each.kept({ sequence, repeated: sequence <= this.#highest });
          this.#highest = Math.max(this.#highest, sequence);
        });
      } catch (error) {
        // The writer is done for: so is everything that waits for it.
        this.#lost = messageOf(error);
        const reason = new NotSequencedError('lost', this.#lost);
        for (const each of [...batch, ...this.#waiting.splice(0)]) each.failed(reason);
      }
    }
    this.#writing = undefined;
  }

  #takeBatch(): Waiting[] {
    const { batchCount, batchBytes } = this.#limits;
    let bytes = 0;
    let count = 0;
    for (const { request } of this.#waiting) {
      if (count > 0 && (count >= batchCount || bytes + request.message.length > batchBytes)) break;
      bytes += request.message.length;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Resolves when everything that was submitted has its answer. */
  async idle(): Promise<void> {
    await this.#writing;
  }
}
