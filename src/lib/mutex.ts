// One after the other: work that must not overlap. Takes functions, runs each when the one before has settled.
// Owns the queue; its length is bounded by whoever lets callers in.

export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when it is its turn, and gives what it gives. A failure is the caller's alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
