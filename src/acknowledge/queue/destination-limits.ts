// How many mails may be on their way to one recipient domain at once, and in all. Takes what is to be sent, by destination, in
// the order of asking; gives the next that may begin, with a permit that is given back when its sending has ended, however it
// ended. One destination in trouble holds up no other: those that are slow, silent or not yet known take slots of their own.
// Holds what its owner puts in; a destination of which nothing waits or is under way is forgotten when there are many. Never throws.

import type { Clock, Timer } from '../../ports/runtime.ts';

/** The bounds of one domain; 0: none. */
export interface DestinationLimit {
  readonly connections: number;
  readonly perSecond: number;
}

/** How many mails may be on their way at once, over all destinations. */
export interface Slots {
  readonly fast: number;
  /** For destinations that are slow or silent. */
  readonly slow: number;
  /** Relays take both kinds through the same connections: then no more than `fast` in all. */
  readonly shared: boolean;
}

/** The right to send one mail. */
export interface Permit {
  readonly domain: string;
  /**
   * Gives it back; a second time does nothing.
   * @param answered whether the destination's server gave an answer; undefined: nothing was learned of it
   */
  release(answered?: boolean): void;
}

type Kind = 'fast' | 'slow';

interface Destination<Item> {
  readonly domain: string;
  readonly limit: DestinationLimit;
  active: number;
  /** How many at once it has earned by answering: begins with one, as Postfix does, and falls back to one. */
  window: number;
  kind: Kind;
  /** When a mail that begins now would be exactly in time; ahead of the clock by what was begun early. */
  due: number;
  waiting: Item[];
  /** Where the first of `waiting` stands. */
  head: number;
  timer: Timer | undefined;
}

/** Turns by rate come in steps of this, so that a high rate costs no timer a mail. */
const stepMs = 20;
/** A mail that takes longer than this gives its fast slot to others. */
const slowMs = 1_000;
/** With more destinations than this in memory, those that nothing is sent to are forgotten. */
const sweepCount = 10_000;

export class DestinationLimits<Item> {
  readonly #clock: Clock;
  readonly #limitOf: (domain: string) => DestinationLimit;
  readonly #slots: Slots;
  readonly #free: () => void;
  readonly #destinations = new Map<string, Destination<Item>>();
  /** Those that could begin another one if there were a slot, the longest unserved first. */
  readonly #ready: Readonly<Record<Kind, Set<Destination<Item>>>> = { fast: new Set(), slow: new Set() };
  /** Those that answer, at their limit, and have more waiting: the next begins as soon as one ends. */
  readonly #progressing = new Set<Destination<Item>>();
  readonly #used: Record<Kind, number> = { fast: 0, slow: 0 };
  #sweepAt = sweepCount;
  #closed = false;

  /** @param parts `free` is called when `next` may have something again */
  constructor(parts: { clock: Clock; limitOf: (domain: string) => DestinationLimit; slots: Slots; free: () => void }) {
    this.#clock = parts.clock;
    this.#limitOf = parts.limitOf;
    this.#slots = parts.slots;
    this.#free = parts.free;
  }

  /** Puts one at the end of its destination's queue. */
  add(domain: string, item: Item): void {
    const destination = this.#of(domain);
    destination.waiting.push(item);
    this.#offer(destination);
  }

  /** The next that may begin now; undefined when there is none. */
  next(): { readonly item: Item; readonly permit: Permit } | undefined {
    for (const kind of ['fast', 'slow'] as const) {
      if (!this.#hasSlot(kind)) continue;
      for (const destination of this.#ready[kind]) {
        this.#ready[kind].delete(destination);
        const item = take(destination);
        if (item === undefined) continue;
        destination.active++;
        destination.due = Math.max(destination.due, this.#clock.elapsed()) + gapOf(destination);
        const permit = this.#permit(destination);
        this.#offer(destination);
        return { item, permit };
      }
    }
    return undefined;
  }

  /** Whether a destination that answers at once has more to do than it can take: then there is enough work for now. */
  get busy(): boolean {
    return this.#ready.fast.size > 0 || this.#progressing.size > 0;
  }

  /** How many wait. */
  get waiting(): number {
    let waiting = 0;
    for (const destination of this.#destinations.values()) waiting += waitingOf(destination);
    return waiting;
  }

  /** Gives nothing more. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#destinations.values()) timer?.cancel();
    for (const ready of Object.values(this.#ready)) ready.clear();
    this.#progressing.clear();
    this.#destinations.clear();
  }

  #of(domain: string): Destination<Item> {
    const known = this.#destinations.get(domain);
    if (known) return known;
    if (this.#destinations.size >= this.#sweepAt) this.#sweep();
    const made: Destination<Item> = {
      domain,
      limit: this.#limitOf(domain),
      active: 0,
      window: 1,
      kind: this.#slots.shared ? 'fast' : 'slow',
      due: -Infinity,
      waiting: [],
      head: 0,
      timer: undefined,
    };
    this.#destinations.set(domain, made);
    return made;
  }

  #hasSlot(kind: Kind): boolean {
    const { fast, slow, shared } = this.#slots;
    if (shared && this.#used.fast + this.#used.slow >= fast) return false;
    return this.#used[kind] < (kind === 'fast' ? fast : slow);
  }

  /** Notes whether the destination could begin another one. */
  #offer(destination: Destination<Item>): void {
    for (const ready of Object.values(this.#ready)) ready.delete(destination);
    this.#progressing.delete(destination);
    if (this.#closed || waitingOf(destination) === 0) return;
    // A fifth of the slots is never one destination's: another one's mail finds one free.
    const most = Math.min(
      destination.limit.connections || Infinity,
      this.#slots.fast - Math.floor(this.#slots.fast / 5),
    );
    if (destination.active >= Math.min(destination.window, most)) {
      if (destination.kind === 'fast') this.#progressing.add(destination);
      return;
    }
    const gap = gapOf(destination);
    // A second's worth may begin together (a leaky bucket), then one each gap.
    const wait = destination.due - Math.max(0, 1_000 - gap) - this.#clock.elapsed();
    if (gap > 0 && wait > 0) {
      destination.timer ??= this.#clock.after(Math.max(wait, stepMs), () => {
        destination.timer = undefined;
        this.#offer(destination);
        this.#free();
      });
      return;
    }
    this.#ready[destination.kind].add(destination);
  }

  #permit(destination: Destination<Item>): Permit {
    let { kind } = destination;
    let held = true;
    this.#used[kind]++;
    const timer = this.#clock.after(slowMs, () => {
      this.#used[kind]--;
      kind = 'slow';
      this.#used[kind]++;
      destination.kind = kind;
      this.#offer(destination);
      this.#free();
    });
    const began = this.#clock.elapsed();
    return {
      domain: destination.domain,
      release: (answered) => {
        if (!held) return;
        held = false;
        timer.cancel();
        this.#used[kind]--;
        destination.active--;
        if (answered === true) {
          destination.window++;
          destination.kind = this.#clock.elapsed() - began < slowMs ? 'fast' : 'slow';
        } else if (answered === false) {
          destination.window = 1;
          destination.kind = 'slow';
        }
        this.#offer(destination);
        this.#free();
      },
    };
  }

  #sweep(): void {
    const now = this.#clock.elapsed();
    for (const [domain, destination] of this.#destinations) {
      const idle = destination.active === 0 && waitingOf(destination) === 0 && destination.due <= now;
      if (idle) this.#destinations.delete(domain);
    }
    this.#sweepAt = Math.max(sweepCount, this.#destinations.size * 2);
  }
}

function waitingOf({ waiting, head }: Destination<unknown>): number {
  return waiting.length - head;
}

function take<Item>(destination: Destination<Item>): Item | undefined {
  const item = destination.waiting[destination.head++];
  if (destination.head > 1_000 && destination.head * 2 > destination.waiting.length) {
    destination.waiting = destination.waiting.slice(destination.head);
    destination.head = 0;
  }
  return item;
}

/** Milliseconds between two mails; 0 without a rate. */
function gapOf({ limit }: Destination<unknown>): number {
  return limit.perSecond > 0 ? 1_000 / limit.perSecond : 0;
}

/**
 * The limits by domain: a default, and exceptions as `example.org=2/10` (2 connections, 10 mails a second; 0: no limit).
 * An exception holds for the domain itself, not for those below it.
 */
export function limitsOf(
  byDefault: DestinationLimit,
  exceptions: readonly string[],
): (domain: string) => DestinationLimit {
  const named = new Map(
    exceptions.map((text) => {
      const [domain = '', connections = '', perSecond = ''] = text.split(/[=/]/);
      return [domain.toLowerCase(), { connections: Number(connections), perSecond: Number(perSecond) }] as const;
    }),
  );
  return (domain) => named.get(domain) ?? byDefault;
}
