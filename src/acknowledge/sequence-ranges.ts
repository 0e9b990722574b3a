// A set of sequence numbers, kept as ranges: neighbours melt together, so that a million settled in order are one pair.
// Takes numbers and ranges, gives membership and the ranges. Pure, owns its array. It grows with the number of gaps
// only; whoever cannot bound the gaps calls `forgetOldest`.

/** Both ends belong to the range. */
export type Range = readonly [from: number, to: number];

export class SequenceRanges {
  /** Sorted, apart from each other by at least one missing number. */
  readonly #ranges: [number, number][] = [];
  #size = 0;

  /** How many numbers are in the set. */
  get size(): number {
    return this.#size;
  }

  /** The ranges in order. Do not change them. */
  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** Index of the first range that ends at `sequence` or later. */
  #search(sequence: number): number {
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
    const range = this.#ranges[this.#search(sequence)];
    return range !== undefined && range[0] <= sequence;
  }

  /** The last number of the range that `sequence` is in, or undefined when it is in none. */
  endOf(sequence: number): number | undefined {
    const range = this.#ranges[this.#search(sequence)];
    return range !== undefined && range[0] <= sequence ? range[1] : undefined;
  }

  /** Adds `from` to `to`. Numbers that are there already are counted once. */
  add(from: number, to = from): void {
    const first = this.#search(from - 1);
    let low = from;
    let high = to;
    let last = first;
    for (let range = this.#ranges[last]; range && range[0] <= to + 1; range = this.#ranges[last]) {
      low = Math.min(low, range[0]);
      high = Math.max(high, range[1]);
      this.#size -= range[1] - range[0] + 1;
      last++;
    }
    this.#ranges.splice(first, last - first, [low, high]);
    this.#size += high - low + 1;
  }

  /** Takes the first range out and gives it, or undefined when the set is empty. */
  shift(): Range | undefined {
    const range = this.#ranges.shift();
    if (range) this.#size -= range[1] - range[0] + 1;
    return range;
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
