// How fast requests come and go: samples of two counters, and their slope over the last minute.
// Takes numbers and a monotonic time, gives requests per second. Owns at most a minute of samples.

interface Sample {
  readonly at: number;
  readonly received: number;
  readonly confirmed: number;
}

const windowMs = 60_000;

export class Rates {
  #samples: Sample[] = [];

  /** @param at milliseconds that never go back */
  add(at: number, received: number, confirmed: number): void {
    this.#samples.push({ at, received, confirmed });
    // One sample from before the window stays: the slope is to span all of it.
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? at) <= at - windowMs) this.#samples.shift();
  }

  perSecond(): { receivedPerSecond: number; confirmedPerSecond: number } {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const seconds = first && last ? (last.at - first.at) / 1_000 : 0;
    const slope = (from: number, to: number): number =>
      seconds > 0 ? Math.round(((to - from) / seconds) * 1_000) / 1_000 : 0;
    return {
      receivedPerSecond: slope(first?.received ?? 0, last?.received ?? 0),
      confirmedPerSecond: slope(first?.confirmed ?? 0, last?.confirmed ?? 0),
    };
  }
}
