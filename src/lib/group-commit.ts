// Group commit without a timer: what arrives while one write is under way gathers, and goes together in the next. Takes items
// and a way to write a group of them; gives each item's result once its group is written. A failed write fails its own group
// only: whoever may not write again after a failure throws at the next one. What waits is not bounded here; the caller bounds it.

/** The most in one group; a single item always fits. */
export interface GroupLimits<Item> {
  readonly count: number;
  readonly bytes: number;
  readonly sizeOf: (item: Item) => number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly done: (result: Result) => void;
  readonly failed: (reason: unknown) => void;
}

export class GroupCommit<Item, Result> {
  readonly #write: (group: readonly Item[]) => Promise<readonly Result[]>;
  readonly #limits: GroupLimits<Item> | undefined;
  #waiting: Waiting<Item, Result>[] = [];
  #writing: Promise<void> | undefined;

  /** @param write gives one result for each item, in their order */
  constructor(write: (group: readonly Item[]) => Promise<readonly Result[]>, limits?: GroupLimits<Item>) {
    this.#write = write;
    this.#limits = limits;
  }

  /** How many items wait for their write to begin. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Writes an item with the next group. The order of calls is the order of writing. @throws what its write throws */
  add(item: Item): Promise<Result> {
    return new Promise((done, failed) => {
      this.#waiting.push({ item, done, failed });
      this.#writing ??= this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        const results = await this.#write(group.map(({ item }) => item));
        if (results.length !== group.length) throw new Error(`${group.length} items, but ${results.length} results`);
        results.forEach((result, i) => group[i]?.done(result));
      } catch (error) {
        for (const { failed } of group) failed(error);
      }
    }
    this.#writing = undefined;
  }

  #takeGroup(): Waiting<Item, Result>[] {
    const limits = this.#limits;
    if (!limits) return this.#waiting.splice(0);
    let bytes = 0;
    let count = 0;
    for (const { item } of this.#waiting) {
      const size = limits.sizeOf(item);
      if (count > 0 && (count >= limits.count || bytes + size > limits.bytes)) break;
      bytes += size;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Resolves when everything that was added is settled. */
  async idle(): Promise<void> {
    await this.#writing;
  }
}
