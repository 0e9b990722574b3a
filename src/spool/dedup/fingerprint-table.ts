// Fingerprints in memory: from a key of 64 bits to the sequences that may have it. Takes keys with their sequences, gives
// candidates, which the caller proves. Holds generations of two flat arrays each: 8 bytes a slot, at most two thirds full,
// about 12 to 24 bytes a request; a generation goes as a whole when its window is over.

/** Keys in one generation; its arrays take 4 MiB. */
const generationKeys = 262_144;
/**
 * The most keys in all: those of 16 million requests, about 256 MiB. Past that the oldest go before their time, and
 * copies of them get numbers of their own.
 */
const keysMax = 64 * generationKeys;

class Generation {
  /** Sequences are kept as their distance from here, plus one. */
  readonly base: number;
  /** The most keys. */
  readonly capacity: number;
  /** When it goes, on the clock that never jumps. */
  until = 0;
  count = 0;
  readonly #mask: number;
  readonly #tags: Uint32Array;
  readonly #sequences: Uint32Array;

  constructor(base: number, capacity: number) {
    this.base = base;
    this.capacity = capacity;
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, capacity * 1.5)));
    this.#mask = slots - 1;
    this.#tags = new Uint32Array(slots);
    this.#sequences = new Uint32Array(slots);
  }

  takes(sequence: number): boolean {
    return this.count < this.capacity && sequence >= this.base && sequence - this.base < 2 ** 31;
  }

  add(sequence: number, high: number, low: number): void {
    let slot = high & this.#mask;
    // Where a key comes again its first holder's window is over, or it was never looked for: the newest counts.
    while (this.#sequences[slot] !== 0 && this.#tags[slot] !== low) slot = (slot + 1) & this.#mask;
    if (this.#sequences[slot] === 0) this.count++;
    this.#tags[slot] = low;
    this.#sequences[slot] = sequence - this.base + 1;
  }

  find(high: number, low: number): number | undefined {
    for (let slot = high & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const entry = this.#sequences[slot];
      if (entry === 0 || entry === undefined) return undefined;
      if (this.#tags[slot] === low) return this.base + entry - 1;
    }
  }
}

/** One key. */
export interface Key {
  readonly high: number;
  readonly low: number;
}

export class FingerprintTable {
  #generations: Generation[] = [];
  #newest: Generation | undefined;

  /**
   * Adds the key of a request. Give requests in the order of their sequences.
   * @param until when it may be forgotten @param now both on the clock that never jumps, milliseconds
   */
  add(sequence: number, { high, low }: Key, until: number, now: number): void {
    if (!this.#newest?.takes(sequence)) {
      this.#newest = new Generation(sequence, generationKeys);
      this.#keep(this.#newest, now);
    }
    this.#newest.add(sequence, high, low);
    this.#newest.until = Math.max(this.#newest.until, until);
  }

  /** Adds `count` older requests from `base` on, which were not known at the start. */
  addOlder(base: number, count: number, until: number, now: number, fill: (add: AddKey) => void): void {
    const generation = new Generation(base, Math.max(count, 1));
    fill((sequence, high, low) => generation.add(sequence, high, low));
    generation.until = until;
    this.#keep(generation, now);
  }

  #keep(generation: Generation, now: number): void {
    const kept = [...this.#generations.filter((each) => each.until > now), generation];
    kept.sort((a, b) => a.base - b.base);
    let capacity = kept.reduce((sum, each) => sum + each.capacity, 0);
    for (; capacity > keysMax && kept.length > 1; kept.shift()) capacity -= kept[0]?.capacity ?? 0;
    this.#generations = kept;
  }

  /** Sequences that may have the key, ascending. */
  find({ high, low }: Key): number[] {
    const found: number[] = [];
    for (const generation of this.#generations) {
      const sequence = generation.find(high, low);
      if (sequence !== undefined) found.push(sequence);
    }
    return found;
  }
}

/** Adds one key of a request. */
type AddKey = (sequence: number, high: number, low: number) => void;
