// Whether it is time: what MAIL is told, and what a request's record says of the hour at which it came. MAIL decides whether a
// message may come in, and which phase it belongs to: who says it a second too early is sent away, or belongs to what was
// before, even if the message ends in time, so that nobody gains by loading messages ahead of an hour. The final dot is the
// place in the order. Once mail has been let in, a clock that loses its source does not close the opening again.

import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import { countdown, type Opening, readOpening, type Standing, standingAt } from '../../model/opening.ts';
import type { Stamps } from '../../model/request.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { ClockMonitor } from '../clock/clock-monitor.ts';
import { Refusal } from '../smtp/replies.ts';

/** What the gate works with. */
export interface GateParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly watch: Pick<ClockMonitor, 'report' | 'trouble'>;
  readonly log: Logger;
}

export class OpeningGate {
  readonly #parts: GateParts;
  readonly #opening: Opening;
  readonly rehearsal: boolean;
  /** The phase in which mail was let in last. */
  #opened: string | undefined;

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#opening = readOpening(parts.config.opening);
    this.rehearsal = parts.config.serve.rehearsal;
  }

  /** What keeps a message from coming now, if anything does; `due`: the opening's own hours, so that nothing is wrong. */
  get refusal(): { readonly refusal: Refusal; readonly due: boolean } | undefined {
    const { config, clock, watch } = this.#parts;
    const now = clock.now();
    const { state, next } = standingAt(this.#opening, now);
    if (state === 'always') return undefined;
    if (state === 'closed')
      return { refusal: new Refusal(550, `5.7.1 Closed since ${this.#opening.closes?.words ?? ''}`), due: true };
    if (state === 'before' && next && config.opening.before === 'defer') {
      const text = `4.7.1 Not open before ${next.words} (in ${countdown(next.at - now)})`;
      return { refusal: new Refusal(450, text), due: true };
    }
    const { trouble } = watch;
    if (trouble === undefined || this.#opened !== undefined) return undefined;
    return { refusal: new Refusal(450, `4.3.2 Not open: ${trouble}, try again later`), due: false };
  }

  /** A message is announced: why it may not come now, if so. */
  mail(): Refusal | undefined {
    const refused = this.refusal;
    if (refused) return refused.refusal;
    const standing = standingAt(this.#opening, this.#parts.clock.now());
    if (standing.state === 'open') this.#letIn(standing);
    return undefined;
  }

  #letIn({ phase }: Standing): void {
    const name = phase?.name ?? '';
    if (name === this.#opened) return;
    this.#opened = name;
    this.#parts.log.info({ phase: name, since: phase?.words, clock: this.#parts.watch.report }, 'OPEN: mail is let in');
  }

  /**
   * What a message's record says of the opening.
   * @param mailAt when its MAIL was let in, milliseconds since 1970 UTC: this decides its phase, and whether it was early
   * @param at when its final dot was read: this decides whether it was late, and then no phase is said
   */
  stamps(mailAt: number, at: number): Stamps {
    const { state, phase } = standingAt(this.#opening, mailAt);
    const late = standingAt(this.#opening, at).state === 'closed';
    const { offsetMs } = this.#parts.watch.report;
    return {
      ...(phase && !late && { phase: phase.name }),
      ...(state === 'before' && !late && { early: true }),
      ...(late && { late: true }),
      ...(this.rehearsal && { rehearsal: true }),
      ...(offsetMs !== undefined && { clockOffsetMs: offsetMs }),
    };
  }
}
