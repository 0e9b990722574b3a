// Remembers what slow lookups gave, so that whoever sends never waits for one whose answer is known. Takes a lookup, gives
// answers at once when there are any: fresh ones, and old ones while a new lookup runs or fails, for a bounded time. Only
// the first to ask waits. A lookup that fails is not tried again for a while. Bounded: the answers used longest ago are
// forgotten, and only so many lookups ahead of need run at once. `get` rejects with the lookup's error.

import type { Clock } from '../../ports/runtime.ts';

/** What a lookup gives. Milliseconds from now. */
export interface Found<T> {
  readonly value: T;
  readonly freshMs: number;
  /** How much longer it may still be given while nothing newer is known. */
  readonly staleMs: number;
}

interface Entry<T> {
  found: Found<T> | undefined;
  at: number;
  looking: Promise<T> | undefined;
  failedAt: number;
  error: unknown;
}

/** A lookup that failed is not repeated sooner. */
const failedMs = 5_000;
/** An answer is renewed when this part of its time has passed. */
const renewAt = 0.75;
/** So many lookups ahead of need at once; more are left to their turn. */
const aheadMax = 32;

export class DnsCache<T> {
  readonly #clock: Clock;
  readonly #lookup: (name: string) => Promise<Found<T>>;
  readonly #most: number;
  /** The longest unused first. */
  readonly #entries = new Map<string, Entry<T>>();
  #looking = 0;

  /** @param parts `most` answers are kept */
  constructor(parts: { clock: Clock; lookup: (name: string) => Promise<Found<T>>; most: number }) {
    this.#clock = parts.clock;
    this.#lookup = parts.lookup;
    this.#most = parts.most;
  }

  /** The answer for a name: without waiting when one is known. @throws what the lookup throws */
  async get(name: string): Promise<T> {
    const entry = this.#entryOf(name);
    const known = this.#known(entry);
    if (known) {
      if (this.#isDue(entry)) this.#renew(name, entry);
      return known.value;
    }
    if (!this.#mayLook(entry)) throw entry.error;
    return (entry.looking ??= this.#look(name, entry));
  }

  /** Says that a name will be asked for: its lookup begins now, unless enough are under way. */
  expect(name: string): void {
    const entry = this.#entryOf(name);
    if (this.#looking < aheadMax && (!this.#known(entry) || this.#isDue(entry))) this.#renew(name, entry);
  }

  #entryOf(name: string): Entry<T> {
    const entry = this.#entries.get(name) ?? {
      found: undefined,
      at: 0,
      looking: undefined,
      failedAt: -Infinity,
      error: undefined,
    };
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#most) break;
      this.#entries.delete(oldest);
    }
    return entry;
  }

  #known({ found, at }: Entry<T>): Found<T> | undefined {
    return found && this.#clock.elapsed() < at + found.freshMs + found.staleMs ? found : undefined;
  }

  #isDue({ found, at }: Entry<T>): boolean {
    return !found || this.#clock.elapsed() >= at + found.freshMs * renewAt;
  }

  #mayLook({ looking, failedAt }: Entry<T>): boolean {
    return looking !== undefined || this.#clock.elapsed() >= failedAt + failedMs;
  }

  #renew(name: string, entry: Entry<T>): void {
    if (entry.looking || !this.#mayLook(entry)) return;
    entry.looking = this.#look(name, entry);
    // Whoever needs the answer and has none hears of the failure from `get`.
    entry.looking.catch(() => undefined);
  }

  async #look(name: string, entry: Entry<T>): Promise<T> {
    this.#looking++;
    try {
      const found = await this.#lookup(name);
      entry.found = found;
      entry.at = this.#clock.elapsed();
      return found.value;
    } catch (error) {
      entry.failedAt = this.#clock.elapsed();
      entry.error = error;
      throw error;
    } finally {
      this.#looking--;
      entry.looking = undefined;
    }
  }
}
