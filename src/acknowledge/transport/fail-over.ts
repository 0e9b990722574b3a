// The transports in the order to try them. Takes a finished mail, gives what became of it at the first transport that
// took or refused it. A transport in trouble is left alone for a growing pause, then tried with one mail. A connection that
// broke is not trouble yet: it moves that one mail on; several in a row are. Never rejects; `unreachable` means
// that none could be reached: the mail keeps its place, and `ready` says when to try again.
// Owns the health of the transports, in memory only.

import type { Logger } from '../../lib/logger.ts';
import type { Clock, Timer } from '../../ports/runtime.ts';
import type { Transport, Outcome, Outgoing, Trouble } from './transport.ts';

/** So many mails in a row that a transport dropped, none answered in between, are trouble of the transport's. */
const droppedMax = 3;

interface Health {
  readonly transport: Transport;
  /** 0 while all is well; else how long the present pause is, in ms. */
  pauseMs: number;
  /** When the pause ends, on the clock that never goes back. */
  until: number;
  /** A mail is on its way to find out whether the transport is back. */
  probing: boolean;
  /** Mails dropped since the last answer. */
  dropped: number;
  /** What happened last, while it is not well. */
  trouble: Trouble | undefined;
  /** Grows with each change, so that a send begun before the change does not count twice. */
  change: number;
}

export class FailOver {
  readonly #health: readonly Health[];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pause: { readonly firstMs: number; readonly maxMs: number };
  readonly #changed: () => void;
  #waiting = new Set<() => void>();
  #timer: Timer | undefined;

  constructor(parts: {
    transports: readonly Transport[];
    clock: Clock;
    log: Logger;
    pause: { firstMs: number; maxMs: number };
    /** Called when a transport goes down, fails again, or is back. */
    changed: () => void;
  }) {
    const well = { pauseMs: 0, until: 0, probing: false, dropped: 0, change: 0, trouble: undefined };
    this.#health = parts.transports.map((transport) => ({ transport, ...well }));
    this.#changed = parts.changed;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#pause = parts.pause;
  }

  /** How many sends may be under way at once. */
  get parallel(): number {
    return Math.min(...this.#health.map(({ transport }) => transport.parallel));
  }

  /** Whether no transport is in trouble, nor has dropped the latest mail. */
  get well(): boolean {
    return this.#health.every(({ pauseMs, dropped }) => pauseMs === 0 && dropped === 0);
  }

  /** Who cannot be used just now. */
  get troubles(): readonly Trouble[] {
    return this.#health.flatMap(({ trouble, transport }) => [
      ...(trouble ? [trouble] : []),
      ...(transport.troubles?.() ?? []),
    ]);
  }

  /** Whether a mail could be given to none of them just now. */
  get resting(): boolean {
    return !this.#health.some((health) => this.#mayTry(health));
  }

  /** Whether a mail to this domain would be put off at once, because its own servers are left alone for now. */
  isResting(domain: string): boolean {
    return this.#health.every(({ transport }) => transport.isResting?.(domain));
  }

  /** Tries each transport that may be tried, in order. Undefined when there is none at the moment. */
  async send(mail: Outgoing): Promise<Outcome | undefined> {
    let last: Outcome | undefined;
    for (const health of this.#health) {
      if (!this.#mayTry(health)) continue;
      const { change } = health;
      const probe = health.pauseMs > 0;
      if (probe) health.probing = true;
      const outcome = await health.transport.send(mail);
      if (probe) health.probing = false;
      if (outcome.kind !== 'unreachable' && outcome.kind !== 'dropped') {
        this.#up(health);
        return outcome;
      }
      const bearable = outcome.kind === 'dropped' && ++health.dropped < droppedMax && !probe;
      if (health.change !== change) this.#setTimer();
      else if (!bearable) this.#down(health, outcome);
      // What one of them dropped has had its try; what none could be given has not.
      if (last?.kind !== 'dropped') last = outcome;
    }
    return last;
  }

  /** Resolves when a transport may be tried, at once when one may be tried now, or when the signal aborts. */
  async ready(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.resting) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake);
        this.#setTimer();
      });
    }
  }

  /** Ends every pause: somebody says that a transport is back. */
  tryNow(): void {
    for (const health of this.#health) {
      health.until = this.#clock.elapsed();
      health.transport.tryNow?.();
    }
    this.#wakeAll();
  }

  close(): void {
    this.#timer?.cancel();
    for (const { transport } of this.#health) transport.close();
  }

  #mayTry(health: Health): boolean {
    return health.pauseMs === 0 || (!health.probing && this.#clock.elapsed() >= health.until);
  }

  #up(health: Health): void {
    health.dropped = 0;
    if (health.pauseMs === 0) return;
    this.#log.info({ relay: health.transport.name }, 'relay is back');
    health.pauseMs = 0;
    health.trouble = undefined;
    health.change++;
    this.#changed();
    this.#wakeAll();
  }

  #down(health: Health, { code, text }: Outcome): void {
    const { firstMs, maxMs } = this.#pause;
    health.pauseMs = Math.min(health.pauseMs === 0 ? firstMs : health.pauseMs * 2, maxMs);
    health.until = this.#clock.elapsed() + health.pauseMs;
    health.change++;
    const { name } = health.transport;
    const now = this.#clock.now();
    health.trouble = { name, code, text, since: health.trouble?.since ?? now, nextTry: now + health.pauseMs };
    this.#changed();
    const details = { relay: name, code, text, pauseSeconds: health.pauseMs / 1000 };
    this.#log.warn(details, 'relay cannot be used; it is tried again after a pause');
    this.#setTimer();
  }

  #setTimer(): void {
    this.#timer?.cancel();
    const now = this.#clock.elapsed();
    const ends = this.#health.filter(({ probing, pauseMs }) => pauseMs > 0 && !probing).map(({ until }) => until);
    // While every transport is being probed, the probe's end wakes the waiting.
    if (ends.length > 0) this.#timer = this.#clock.after(Math.max(0, Math.min(...ends) - now), () => this.#wakeAll());
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
  }
}
