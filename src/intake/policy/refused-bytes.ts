// What may be spent on messages that come to nothing: refused ones, and those that break off. Reading them costs as much as
// keeping them, and a client whose connection is closed for it comes back on a new one. Takes who sent, and what it cost; says when
// it is too much. Owns the levels, which sink as time goes by; bounded, the one that spent longest ago is forgotten first.

import type { Clock } from '../../ports/runtime.ts';

const sendersMost = 10_000;
const minuteMs = 60_000;

export class RefusedBytes {
  readonly #perMinute: number;
  readonly #clock: Clock;
  readonly #levels = new Map<string, { readonly bytes: number; readonly at: number }>();

  /** @param perMinute bytes that a sender may spend in a minute, and at once; 0: any number */
  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
  }

  /** A message of that sender came to nothing. */
  spend(sender: string, bytes: number): void {
    const level = this.#level(sender) + bytes;
    this.#levels.delete(sender);
    this.#levels.set(sender, { bytes: level, at: this.#clock.elapsed() });
    for (const oldest of this.#levels.keys()) {
      if (this.#levels.size <= sendersMost) break;
      this.#levels.delete(oldest);
    }
  }

  /** Whether a sender has spent what it may. */
  isSpent(sender: string): boolean {
    return this.#perMinute > 0 && this.#levels.has(sender) && this.#level(sender) > this.#perMinute;
  }

  #level(sender: string): number {
    const { bytes, at } = this.#levels.get(sender) ?? { bytes: 0, at: 0 };
    return Math.max(0, bytes - ((this.#clock.elapsed() - at) * this.#perMinute) / minuteMs);
  }
}
