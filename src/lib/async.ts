// Small pieces for asynchronous code: a promise that somebody else settles, a wait that can be cut short, a mutex.
// They take functions and signals and give promises; nothing here fails by itself.

import type { Clock } from '../ports/runtime.ts';

/** A promise and the function that settles it (Promise.withResolvers, which Node 20 lacks). */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: ((value: T) => void) | undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: (value) => resolve?.(value) };
}

/** Waits for so many milliseconds, or until the signal aborts, whichever comes first. Does not keep the process alive. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.after(ms, end);
    signal?.addEventListener('abort', end);
  });
}

/** Runs pieces of work that must not overlap, one after the other. Whoever calls bounds how many wait. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when it is its turn, and gives what it gives. A failure is the caller's alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
