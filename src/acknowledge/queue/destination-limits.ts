// How many mails may be on their way to one recipient domain at once, and how many may begin in a second. Takes domain and
// sequence of a mail that is ready, says whether it may go now; if not it waits aside, and `turn` is called when it may.
// Within a domain turns come in the order of asking. Holds numbers only, as many as its owner lets wait; a domain is
// forgotten when nothing of it waits or is under way. Never throws.

import type { Clock, Timer } from '../../ports/runtime.ts';

/** The bounds of one domain; 0: none. */
export interface DestinationLimit {
  readonly connections: number;
  readonly perSecond: number;
}

interface Destination {
  readonly limit: DestinationLimit;
  active: number;
  /** When a mail that begins now would be exactly in time; ahead of the clock by what was begun early. */
  due: number;
  readonly aside: number[];
  timer: Timer | undefined;
}

/** Turns by rate come in steps of this, so that a high rate costs no timer a mail. */
const stepMs = 20;
/** With more domains than this in memory, those that only wait for their rate to be free again are looked through. */
const sweepCount = 1_000;

export class DestinationLimits {
  readonly #clock: Clock;
  readonly #limitOf: (domain: string) => DestinationLimit;
  readonly #turn: (sequence: number) => void;
  readonly #domains = new Map<string, Destination>();
  /** Whose turn has come, and who has not begun yet. */
  readonly #admitted = new Set<number>();

  constructor(parts: {
    clock: Clock;
    limitOf: (domain: string) => DestinationLimit;
    turn: (sequence: number) => void;
  }) {
    this.#clock = parts.clock;
    this.#limitOf = parts.limitOf;
    this.#turn = parts.turn;
  }

  /** Whether the mail may go now; then `leave` must be called after it. If not, `turn` says when to ask again. */
  enter(domain: string, sequence: number): boolean {
    if (this.#admitted.delete(sequence)) return true;
    const destination = this.#of(domain);
    destination.aside.push(sequence);
    this.#admit(domain, destination, sequence);
    return this.#admitted.delete(sequence);
  }

  /** Says that a mail is no longer under way, whatever became of it. */
  leave(domain: string): void {
    const destination = this.#domains.get(domain);
    if (!destination) return;
    destination.active--;
    this.#admit(domain, destination);
  }

  /** How many wait aside. */
  get waiting(): number {
    let waiting = 0;
    for (const { aside } of this.#domains.values()) waiting += aside.length;
    return waiting;
  }

  /** Calls nobody any more. */
  close(): void {
    for (const { timer } of this.#domains.values()) timer?.cancel();
    this.#domains.clear();
  }

  #of(domain: string): Destination {
    const known = this.#domains.get(domain);
    if (known) return known;
    if (this.#domains.size >= sweepCount) this.#sweep();
    const made: Destination = { limit: this.#limitOf(domain), active: 0, due: -Infinity, aside: [], timer: undefined };
    this.#domains.set(domain, made);
    return made;
  }

  /** Lets go as many as may; the one who asks right now needs no call. */
  #admit(domain: string, destination: Destination, asking?: number): void {
    const { limit, aside } = destination;
    const now = this.#clock.elapsed();
    const gap = limit.perSecond > 0 ? 1_000 / limit.perSecond : 0;
    // A second's worth may begin together (a leaky bucket), then one each gap.
    const early = Math.max(0, 1_000 - gap);
    while (aside.length > 0 && (limit.connections === 0 || destination.active < limit.connections)) {
      if (gap > 0 && destination.due - early > now) {
        const wait = Math.max(destination.due - early - now, stepMs);
        destination.timer ??= this.#clock.after(wait, () => {
          destination.timer = undefined;
          this.#admit(domain, destination);
        });
        return;
      }
      const sequence = aside.shift();
      if (sequence === undefined) return;
      destination.active++;
      destination.due = Math.max(destination.due, now) + gap;
      this.#admitted.add(sequence);
      if (sequence !== asking) this.#turn(sequence);
    }
    if (aside.length === 0 && destination.active === 0 && (gap === 0 || destination.due <= now)) {
      destination.timer?.cancel();
      this.#domains.delete(domain);
    }
  }

  #sweep(): void {
    const now = this.#clock.elapsed();
    for (const [domain, { active, aside, due }] of this.#domains) {
      if (active === 0 && aside.length === 0 && due <= now) this.#domains.delete(domain);
    }
  }
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
