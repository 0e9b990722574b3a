// A binary heap: what comes first by a number that each entry has is at hand. Takes entries, gives them in the order of
// their numbers; entries of the same number come in any order. Holds what is put in and not taken out.

export class Heap<Entry> {
  readonly #by: (entry: Entry) => number;
  readonly #entries: Entry[] = [];

  constructor(by: (entry: Entry) => number) {
    this.#by = by;
  }

  get first(): Entry | undefined {
    return this.#entries[0];
  }

  add(entry: Entry): void {
    let at = this.#entries.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#number(parent) <= this.#number(at)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Takes the first one out. */
  take(): Entry | undefined {
    const [first] = this.#entries;
    const last = this.#entries.pop();
    if (last === undefined || this.#entries.length === 0) return first;
    this.#entries[0] = last;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const least = this.#number(left + 1) < this.#number(left) ? left + 1 : left;
      if (this.#number(least) >= this.#number(at)) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #number(at: number): number {
    const entry = this.#entries[at];
    return entry === undefined ? Infinity : this.#by(entry);
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#entries[a], this.#entries[b]];
    if (first === undefined || second === undefined) return;
    this.#entries[a] = second;
    this.#entries[b] = first;
  }
}
