// Where the intake stands under load. Takes how full each thing is that can be full, gives a level and the reason for it:
//   normal  everything is taken;
//   slow    half full: MAIL is answered after a pause, and who is silent must leave sooner;
//   defer   nine tenths full: MAIL gets 451 before the message is spent;
//   refuse  that for ten seconds, or no connection left: new connections get 421.
// It goes down by itself, a fifth below where it went up, so that it does not swing. Keeps the level, and since when it defers.

import type { Clock } from '../../ports/runtime.ts';

export type LoadLevel = 'normal' | 'slow' | 'defer' | 'refuse';

/** Something that can be full. */
export interface Gauge {
  readonly name: string;
  readonly used: number;
  readonly most: number;
}

/** The level, and what brought us there. */
export interface LoadState {
  readonly level: LoadLevel;
  /** The level that the work alone would have: where only connections are short, those who are in may go on. */
  readonly work: LoadLevel;
  readonly why: string;
}

export const slowAt = 0.5;
const deferAt = 0.9;
/** Connections are meant to be many: only the last fifth of them is a reason to hurry the silent. */
const crowdedAt = 0.8;
const downAt = 0.8;
/** 451 keeps the client on its connection, trying; after so long it does not help any more. */
const refuseAfterMs = 10_000;

function share({ used, most }: Gauge): number {
  return used / most;
}

export class LoadShedder {
  readonly #clock: Clock;
  #level: LoadLevel = 'normal';
  #deferringSince: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Standing at the lowest level: nothing that is less than half full moves it. */
  get atRest(): boolean {
    return this.#level === 'normal';
  }

  /**
   * Looks at the gauges, and moves.
   * @param work what a message takes: memory, a place in the queue for the disk
   */
  stand(work: readonly Gauge[], connections: Gauge): LoadState {
    const fullest = work.reduce((most, each) => (share(each) > share(most) ? each : most));
    const fullness = share(fullest);
    const holds = (at: number, ...levels: LoadLevel[]): boolean =>
      fullness >= (levels.includes(this.#level) ? at * downAt : at);
    const deferring = holds(deferAt, 'defer', 'refuse');
    if (!deferring) this.#deferringSince = undefined;
    else this.#deferringSince ??= this.#clock.elapsed();
    const long = this.#deferringSince !== undefined && this.#clock.elapsed() - this.#deferringSince >= refuseAfterMs;
    const slow = holds(slowAt, 'slow', 'defer', 'refuse');
    this.#level = long ? 'refuse' : deferring ? 'defer' : slow ? 'slow' : 'normal';
    if (this.#level !== 'refuse' && connections.used >= connections.most) return this.#say('refuse', connections);
    if (this.#level === 'normal' && share(connections) >= crowdedAt) return this.#say('slow', connections);
    return this.#level === 'normal' ? { level: 'normal', work: 'normal', why: '' } : this.#say(this.#level, fullest);
  }

  #say(level: LoadLevel, { name, used, most }: Gauge): LoadState {
    return { level, work: this.#level, why: `${name}: ${used} of ${most}` };
  }
}
