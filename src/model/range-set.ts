// Sequence numbers in the compact form of ranges, as lists in an order and as sets: neighbours are merged, so a million numbers
// in a row are one pair. Pure, and nothing fails.

/** First and last, both included. */
export type Range = readonly [first: number, last: number];

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

/** A set that costs memory for its gaps, not for its members. Whoever cannot bound the gaps calls `forgetOldest`. */
export class RangeSet {
  /** Ascending, apart from one another by at least one missing number; no pair is ever modified. */
  readonly #ranges: Range[];
  #size = 0;

  /** @param ranges as `ranges` gave them */
  constructor(ranges: readonly Range[] = []) {
    this.#ranges = [...ranges];
    for (const [first, last] of ranges) this.#size += last - first + 1;
  }

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  /** The ranges in order. A view: it changes with the set. */
  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** Index of the first range that ends at `sequence` or later. */
  #find(sequence: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle];
      if (range && range[1] < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  has(sequence: number): boolean {
    return this.endOf(sequence) !== undefined;
  }

  /** The last number of the range that `sequence` is in, or undefined when it is in none. */
  endOf(sequence: number): number | undefined {
    const range = this.#ranges[this.#find(sequence)];
    return range !== undefined && range[0] <= sequence ? range[1] : undefined;
  }

  /** Adds `first` to `last`. Numbers that are there already are counted once. */
  add(first: number, last = first): void {
    const from = this.#find(first - 1);
    let low = first;
    let high = last;
    let to = from;
    for (let range = this.#ranges[to]; range && range[0] <= last + 1; range = this.#ranges[to]) {
      low = Math.min(low, range[0]);
      high = Math.max(high, range[1]);
      this.#size -= range[1] - range[0] + 1;
      to++;
    }
    this.#ranges.splice(from, to - from, [low, high]);
    this.#size += high - low + 1;
  }

  /** Takes one number out, if it is there. */
  remove(sequence: number): void {
    const at = this.#find(sequence);
    const range = this.#ranges[at];
    if (!range || range[0] > sequence) return;
    const [first, last] = range;
    const left: Range[] = first < sequence ? [[first, sequence - 1]] : [];
    const right: Range[] = last > sequence ? [[sequence + 1, last]] : [];
    this.#ranges.splice(at, 1, ...left, ...right);
    this.#size--;
  }

  /** Takes the range that begins with `sequence` out, and gives its last member; undefined when none begins there. */
  takeFrom(sequence: number): number | undefined {
    const at = this.#find(sequence);
    if (this.#ranges[at]?.[0] !== sequence) return undefined;
    return this.#take(at)?.[1];
  }

  /** Takes the first range out and gives it, or undefined when the set is empty. */
  shift(): Range | undefined {
    return this.#take(0);
  }

  #take(at: number): Range | undefined {
    const [range] = this.#ranges.splice(at, 1);
    if (range) this.#size -= range[1] - range[0] + 1;
    return range;
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

  /** Drops the oldest ranges until at most `count` are left; gives the highest number dropped, 0 when none was. */
  forgetOldest(count: number): number {
    let dropped = 0;
    while (this.#ranges.length > count) dropped = this.shift()?.[1] ?? dropped;
    return dropped;
  }

  clear(): void {
    this.#ranges.length = 0;
    this.#size = 0;
  }
}
