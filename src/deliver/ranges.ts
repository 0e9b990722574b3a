// Sequence numbers in the compact form of ranges: for lists in an order, and for sets. Pure; never fails.

/** First and last, both included. */
export type Range = readonly [number, number];

/** A list of sequence numbers, in its order, as ranges of neighbours that go up by one. */
export function toRanges(sequences: Iterable<number>): Range[] {
  const ranges: [number, number][] = [];
  for (const sequence of sequences) {
    const last = ranges.at(-1);
    if (last && last[1] + 1 === sequence) last[1] = sequence;
    else ranges.push([sequence, sequence]);
  }
  return ranges;
}

/** The list that `toRanges` was given. */
export function fromRanges(ranges: readonly Range[]): number[] {
  const sequences: number[] = [];
  for (const [first, last] of ranges) for (let each = first; each <= last; each++) sequences.push(each);
  return sequences;
}

/** A set of sequence numbers that costs memory for its gaps, not for its members. */
export class RangeSet {
  /** Ascending, apart from one another by at least one. */
  readonly #ranges: [number, number][];

  /** @param ranges as `ranges` gave them */
  constructor(ranges: readonly Range[] = []) {
    this.#ranges = ranges.map(([first, last]) => [first, last]);
  }

  /** Index of the first range that ends at `sequence` or later. */
  #find(sequence: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const range = this.#ranges[middle];
      if (range && range[1] < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  has(sequence: number): boolean {
    const range = this.#ranges[this.#find(sequence)];
    return range !== undefined && range[0] <= sequence;
  }

  add(sequence: number): void {
    const at = this.#find(sequence);
    const after = this.#ranges[at];
    if (after && after[0] <= sequence) return;
    const before = this.#ranges[at - 1];
    const joinsBefore = before !== undefined && before[1] + 1 === sequence;
    const joinsAfter = after !== undefined && after[0] - 1 === sequence;
    if (joinsBefore && joinsAfter) {
      before[1] = after[1];
      this.#ranges.splice(at, 1);
    } else if (joinsBefore) before[1] = sequence;
    else if (joinsAfter) after[0] = sequence;
    else this.#ranges.splice(at, 0, [sequence, sequence]);
  }

  /** Takes the range that begins with `sequence` out, and gives its last member; undefined when none begins there. */
  takeFrom(sequence: number): number | undefined {
    const at = this.#find(sequence);
    const range = this.#ranges[at];
    if (range?.[0] !== sequence) return undefined;
    this.#ranges.splice(at, 1);
    return range[1];
  }

  /** What lies between `first` and `last` and is not in the set. */
  *gaps(first: number, last: number): Generator<Range> {
    let next = first;
    for (let at = this.#find(first); next <= last; at++) {
      const range = this.#ranges[at];
      if (!range || range[0] > last) {
        yield [next, last];
        return;
      }
      if (range[0] > next) yield [next, range[0] - 1];
      next = range[1] + 1;
    }
  }

  get size(): number {
    return this.#ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  ranges(): Range[] {
    return this.#ranges.map(([first, last]) => [first, last]);
  }
}
