// How many acknowledgements an address gets in a minute that nobody vouches for: without a registrar book anybody can write any
// address behind MAIL FROM, and would make us send thousands of mails to it. Takes who is to be written to, says whether it may be
// now; gives what may not, a minute after the first, to be told in one mail. Owns what is held, as numbers; those that a stop
// leaves are unsettled in the journal, and come again at the next start.

import type { Clock, Timer } from '../../ports/runtime.ts';

const minuteMs = 60_000;
/** With more addresses than this within a minute the oldest is let go early: only a flood has so many. */
const addressesMost = 100_000;

interface Window {
  readonly to: string;
  readonly endsAt: number;
  count: number;
  readonly held: number[];
}

export class RecipientLimits {
  readonly #clock: Clock;
  readonly #perMinute: number;
  readonly #ended: (to: string, sequences: readonly number[]) => void;
  /** By lower-case address, the one that began first in front. */
  readonly #windows = new Map<string, Window>();
  #timer: Timer | undefined;

  /** @param perMinute mails to one address; 0: any number @param ended told, after a minute, what was held back for an address */
  constructor(parts: { clock: Clock; perMinute: number; ended: (to: string, sequences: readonly number[]) => void }) {
    this.#clock = parts.clock;
    this.#perMinute = parts.perMinute;
    this.#ended = parts.ended;
  }

  /** Whether a mail may go to the address now; if not, its sequence is held back. */
  mayGo(to: string, sequence: number): boolean {
    if (this.#perMinute === 0) return true;
    const key = to.toLowerCase();
    const window = this.#windows.get(key) ?? { to, endsAt: this.#clock.elapsed() + minuteMs, count: 0, held: [] };
    this.#windows.set(key, window);
    const free = window.count < this.#perMinute;
    if (free) window.count++;
    else window.held.push(sequence);
    if (this.#windows.size > addressesMost) this.#end();
    this.#timer ??= this.#clock.after(minuteMs, () => this.#look());
    return free;
  }

  /** Holds what it holds, for the next start. */
  stop(): void {
    this.#timer?.cancel();
    this.#windows.clear();
  }

  #look(): void {
    const now = this.#clock.elapsed();
    for (;;) {
      const [first] = this.#windows.values();
      if (!first || first.endsAt > now) {
        this.#timer = first && this.#clock.after(first.endsAt - now, () => this.#look());
        return;
      }
      this.#end();
    }
  }

  /** Ends the oldest window. */
  #end(): void {
    const [oldest] = this.#windows;
    if (!oldest) return;
    const [key, { to, held }] = oldest;
    this.#windows.delete(key);
    if (held.length > 0) this.#ended(to, held);
  }
}
