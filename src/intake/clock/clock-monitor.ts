// Keeps an eye on the machine's clock: asks at the start and twice a minute, says in the log what has changed, and what is
// wrong with it when there is an opening to be on time for. An answer that does not come changes nothing.

import type { Config } from '../../config/config.ts';
import { messageOf } from '../../model/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Clock, Timer } from '../../ports/runtime.ts';
import { type ClockReport, unknownClock } from './clock-sync.ts';

/** What the watch works with. */
export interface ClockParts {
  readonly opening: Pick<Config['opening'], 'clock' | 'clock_offset_ms_max'>;
  /** Whether there is an opening: without one nothing depends on the clock, and nothing is wrong with it. */
  readonly matters: boolean;
  readonly clock: Clock;
  readonly ask: () => Promise<ClockReport>;
  readonly log: Logger;
}

const askMs = 30_000;

export class ClockMonitor {
  readonly #parts: ClockParts;
  #report: ClockReport | undefined;
  #said: string | undefined;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(parts: ClockParts) {
    this.#parts = parts;
  }

  /** What was said last. */
  get report(): ClockReport {
    return this.#report ?? unknownClock;
  }

  /** Why nothing may depend on this clock; undefined when all is well. */
  get trouble(): string | undefined {
    const { opening, matters } = this.#parts;
    if (!matters || opening.clock === 'ignore') return undefined;
    if (!this.#report) return 'nobody has said yet whether the clock here is right';
    const { synchronised, offsetMs = 0 } = this.#report;
    if (synchronised === false) return 'the clock here is not synchronised';
    if (Math.abs(offsetMs) > opening.clock_offset_ms_max) return `the clock here is ${Math.abs(offsetMs)} ms off`;
    if (synchronised === undefined && opening.clock === 'require')
      return 'nobody knows whether the clock here is right';
    return undefined;
  }

  /** Asks now, and from then on twice a minute. Never rejects. */
  async start(): Promise<void> {
    const { clock, ask, log } = this.#parts;
    try {
      this.#report = await ask();
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the clock could not be asked about');
    }
    if (this.#stopped) return;
    this.#say();
    this.#timer = clock.after(askMs, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** The first report, and each one that says something else. */
  #say(): void {
    const { log, matters } = this.#parts;
    const { report, trouble } = this;
    const what = trouble ?? String(report.synchronised);
    if (what === this.#said) return;
    this.#said = what;
    const found = { ...report };
    if (trouble !== undefined)
      log.error(found, `${trouble}: the opening waits for it. Set the clock right, or opening.clock to "ignore"`);
    else if (report.synchronised) log.info(found, 'the clock is synchronised');
    else if (matters) log.warn(found, 'the clock is not known to be synchronised: the hour is only as right as it is');
    else log.info(found, 'the clock is not known to be synchronised');
  }
}
