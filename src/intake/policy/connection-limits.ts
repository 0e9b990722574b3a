// How many connections each client has. Takes addresses as they come and go, says whether one more is too many. Owns the
// counts, which are bounded: by the connections there are, and by a ceiling on the addresses seen within a minute.

import { AddressList, clientOf } from '../../lib/address-list.ts';
import type { Clock } from '../../ports/runtime.ts';

/** What one client may have. */
export interface ClientLimits {
  readonly connections: number;
  /** New connections in a minute; 0: any number. */
  readonly connectionsPerMinute: number;
  /** Addresses and networks (CIDR) without these limits. */
  readonly unlimited: readonly string[];
}

/** Addresses beyond this many within a minute are not counted by the minute: only a flood from everywhere has so many. */
const addressesPerMinute = 100_000;
const minuteMs = 60_000;

export class ConnectionLimits {
  readonly #limits: ClientLimits;
  readonly #clock: Clock;
  readonly #unlimited: AddressList;
  readonly #connected = new Map<string, number>();
  #thisMinute = new Map<string, number>();
  #minuteBegan = 0;

  /** @throws TypeError when `unlimited` holds what is no address and no network */
  constructor(limits: ClientLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#unlimited = new AddressList(limits.unlimited);
  }

  /** Counts a connection. @returns why it is one too many, and then it is not counted */
  arrive(address: string): string | undefined {
    const client = clientOf(address);
    const now = this.#connected.get(client) ?? 0;
    const { connections, connectionsPerMinute } = this.#limits;
    const many = now >= connections;
    const often = !many && connectionsPerMinute > 0 && this.#another(client) > connectionsPerMinute;
    // Looked up last: a look at the list costs more than all the rest.
    if ((many || often) && !this.isUnlimited(address)) {
      const limit = many ? `${connections} at once` : `${connectionsPerMinute} a minute`;
      return `Too many connections from your address (${limit})`;
    }
    this.#connected.set(client, now + 1);
    return undefined;
  }

  /** Whether there are no limits for an address. */
  isUnlimited(address: string): boolean {
    return this.#unlimited.has(address);
  }

  /** A counted connection is closed. */
  leave(address: string): void {
    const client = clientOf(address);
    const left = (this.#connected.get(client) ?? 1) - 1;
    if (left > 0) this.#connected.set(client, left);
    else this.#connected.delete(client);
  }

  /** How many times this client has come in the current minute, this time included. */
  #another(client: string): number {
    const now = this.#clock.elapsed();
    if (now - this.#minuteBegan >= minuteMs) {
      this.#minuteBegan = now;
      this.#thisMinute = new Map();
    }
    const times = (this.#thisMinute.get(client) ?? 0) + 1;
    if (times > 1 || this.#thisMinute.size < addressesPerMinute) this.#thisMinute.set(client, times);
    return times;
  }
}
