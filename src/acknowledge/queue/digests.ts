// Holds back acknowledgements to addresses that nobody vouches for, beyond what recipient-limits.ts lets go in a minute, and makes
// digests of them. Takes requests as they are routed, says which wait; a digest is in the journal before it is queued, so that a
// crash repeats the same mail. Fails by calling `failed` when the journal cannot be written.

import type { StoredRequest } from '../../model/request.ts';
import { toRanges } from '../../model/range-set.ts';
import type { Clock } from '../../ports/runtime.ts';
import { isWritable } from '../compose/compose.ts';
import { domainOf } from '../compose/recipient.ts';
import type { AckEvent, Digest } from '../journal/ack-events.ts';
import type { AckState } from '../journal/ack-state.ts';
import { RecipientLimits } from './recipient-limits.ts';

/** A digest is one mail and one line of the journal: the most requests in it, and the most ranges of neighbours. */
const requestsMost = 10_000;
const rangesMost = 500;

interface Parts {
  readonly clock: Clock;
  readonly perMinute: number;
  readonly state: AckState;
  readonly write: (...events: readonly AckEvent[]) => Promise<void>;
  /** Puts a digest into the queue of its destination. */
  readonly add: (domain: string, head: number) => void;
  readonly failed: (error: Error) => void;
}

export class Digests {
  readonly #parts: Parts;
  readonly #limits: RecipientLimits;

  constructor(parts: Parts) {
    this.#parts = parts;
    const ended = (to: string, held: readonly number[]): void => void this.#make(to, held);
    this.#limits = new RecipientLimits({ clock: parts.clock, perMinute: parts.perMinute, ended });
  }

  /** Whether a request is acknowledged in a digest, or waits for one, and not by itself. What was tried once has had its turn. */
  holds({ sequence, client }: StoredRequest, to: string): boolean {
    if (client.registrar || this.#parts.state.retryOf(sequence) || !isWritable(to)) return false;
    return !this.#limits.mayGo(to, sequence);
  }

  stop(): void {
    this.#limits.stop();
  }

  async #make(to: string, held: readonly number[]): Promise<void> {
    const at = this.#parts.clock.now();
    const digests: Digest[] = [];
    for (let start = 0; start < held.length; start += requestsMost) {
      const ranges = toRanges(held.slice(start, start + requestsMost));
      for (let from = 0; from < ranges.length; from += rangesMost) {
        const some = ranges.slice(from, from + rangesMost);
        digests.push({ head: some[0]?.[0] ?? 0, at, to, ranges: some });
      }
    }
    try {
      await this.#parts.write(...digests.map((digest) => ({ type: 'digest', ...digest }) as const));
      for (const { head } of digests) this.#parts.add(domainOf(to), head);
    } catch (error) {
      this.#parts.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
