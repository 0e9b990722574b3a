// Makes guessing slow: after failed attempts of a client (an IPv4 address, an IPv6 /64) the next answer to it is late, ever
// later. Takes addresses, gives pauses; never fails. Remembers a bounded number of clients that failed.

import { clientOf } from '../address-list.ts';
import { sleep } from '../async.ts';
import type { Clock } from '../../ports/runtime.ts';

const firstMs = 250;
const mostMs = 8_000;
const forgetMs = 600_000;
const clientsMost = 10_000;

export class LoginThrottle {
  readonly #clock: Clock;
  /** The one that failed longest ago first. */
  readonly #failures = new Map<string, { readonly count: number; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes a failure, and resolves when its answer may go out. */
  async failed(address: string): Promise<void> {
    const client = clientOf(address);
    const count = this.#count(client) + 1;
    this.#failures.delete(client);
    this.#failures.set(client, { count, at: this.#clock.elapsed() });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= clientsMost) break;
      this.#failures.delete(oldest);
    }
    await sleep(this.#clock, Math.min(firstMs * 2 ** (count - 1), mostMs));
  }

  /** Forgets a client's failures: it has shown who it is. */
  forget(address: string): void {
    this.#failures.delete(clientOf(address));
  }

  /** @param client as `clientOf` gives it @returns whether it has failed within the last ten minutes */
  hasFailed(client: string): boolean {
    return this.#count(client) > 0;
  }

  #count(client: string): number {
    const known = this.#failures.get(client);
    return known && this.#clock.elapsed() - known.at < forgetMs ? known.count : 0;
  }
}
