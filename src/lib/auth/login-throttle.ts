// Makes guessing slow: after failed attempts from an address the next answer to it is late, ever later. Takes addresses,
// gives pauses; never fails. Owns a bounded memory of failures.

import { sleep } from '../async.ts';
import type { Clock } from '../../ports/runtime.ts';

const firstMs = 250;
const mostMs = 8_000;
const forgetMs = 600_000;
const addresses = 10_000;

export class LoginThrottle {
  readonly #clock: Clock;
  /** The one that failed longest ago first. */
  readonly #failures = new Map<string, { readonly count: number; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes a failure, and resolves when its answer may go out. */
  async failed(address: string): Promise<void> {
    const count = this.#count(address) + 1;
    this.#failures.delete(address);
    this.#failures.set(address, { count, at: this.#clock.elapsed() });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= addresses) break;
      this.#failures.delete(oldest);
    }
    await sleep(this.#clock, Math.min(firstMs * 2 ** (count - 1), mostMs));
  }

  forget(address: string): void {
    this.#failures.delete(address);
  }

  #count(address: string): number {
    const known = this.#failures.get(address);
    return known && this.#clock.elapsed() - known.at < forgetMs ? known.count : 0;
  }
}
