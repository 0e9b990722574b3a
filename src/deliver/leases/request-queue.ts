// The line: which requests wait for the registry, in which order. It is the order of the log, but for what was set aside and
// put back to the head or the tail. Pure; costs memory for the exceptions only. Never fails.

import { type Range, RangeSet } from '../../model/range-set.ts';

/** What a journal needs to build the queue again. `again`: sequence, and the sequence behind which it stands. */
export interface LineRecord {
  readonly through: number;
  readonly beyond: readonly Range[];
  readonly again: readonly (readonly [number, number])[];
}

export class RequestQueue {
  /** Every request up to here has left its first place in the queue. */
  #through = 0;
  /** Those that have left it beyond that. */
  readonly #beyond: RangeSet;
  /** Those that stand in the queue again, and behind whom: 0 is the head. In the order in which they were put there. */
  readonly #again: Map<number, number>;

  constructor(record: LineRecord = { through: 0, beyond: [], again: [] }) {
    this.#through = record.through;
    this.#beyond = new RangeSet(record.beyond);
    this.#again = new Map(record.again);
  }

  record(): LineRecord {
    return { through: this.#through, beyond: [...this.#beyond.ranges], again: [...this.#again] };
  }

  get through(): number {
    return this.#through;
  }

  /** How many have left the queue. */
  get leftCount(): number {
    return this.#through + this.#beyond.size - this.#again.size;
  }

  has(sequence: number): boolean {
    return this.#again.has(sequence) || (sequence > this.#through && !this.#beyond.has(sequence));
  }

  /** Takes a request out of the queue. */
  take(sequence: number): void {
    if (this.#again.delete(sequence)) return;
    if (sequence === this.#through + 1) this.#through = this.#beyond.takeFrom(sequence + 1) ?? sequence;
    else if (sequence > this.#through) this.#beyond.add(sequence);
  }

  /** Puts one that has left back: behind the request `after`, or with 0 to the head, where earlier ones go first. */
  putBack(sequence: number, after: number): void {
    this.#again.set(sequence, after);
  }

  /** The line in its order, up to what is durable. */
  *upTo(durable: number): Generator<Range> {
    const again = [...this.#again];
    for (const [sequence] of again.filter(([, after]) => after === 0).toSorted(([a], [b]) => a - b)) {
      yield [sequence, sequence];
    }
    let next = this.#through + 1;
    for (const [sequence, after] of again.filter(([, place]) => place > 0).toSorted(([, a], [, b]) => a - b)) {
      yield* this.#beyond.gaps(next, after);
      next = Math.max(next, after + 1);
      yield [sequence, sequence];
    }
    yield* this.#beyond.gaps(next, durable);
  }
}
