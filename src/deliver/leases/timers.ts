// Points in time within this process, by name, on the clock that never goes back. Takes how long from now; calls `over`
// once when a time has come. Owns the timers.

import type { Clock, Timer } from '../../ports/runtime.ts';

export class Timers<Name> {
  readonly #clock: Clock;
  readonly #over: (name: Name) => void;
  readonly #entries = new Map<Name, { readonly at: number; readonly timer: Timer }>();

  constructor(clock: Clock, over: (name: Name) => void) {
    this.#clock = clock;
    this.#over = over;
  }

  set(name: Name, ms: number): void {
    this.drop(name);
    const timer = this.#clock.after(ms, () => this.#over(name));
    this.#entries.set(name, { at: this.#clock.elapsed() + ms, timer });
  }

  /** Milliseconds that are left; 0 when it is over, or was never set. */
  left(name: Name): number {
    return Math.max(0, (this.#entries.get(name)?.at ?? 0) - this.#clock.elapsed());
  }

  drop(name: Name): void {
    this.#entries.get(name)?.timer.cancel();
    this.#entries.delete(name);
  }

  stop(): void {
    for (const { timer } of this.#entries.values()) timer.cancel();
  }
}
