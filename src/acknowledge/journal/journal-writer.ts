// Writes what became of acknowledgements into the journal, many at a time. Takes events, gives nothing back at once:
// `written` hears of each sequence when it is on stable storage and the journal has applied it to the state. Fails by
// calling `failed` once, and then never writes again. Owns the journal.

import type { Journal } from '../../ports/journal.ts';
import type { Clock, Timer } from '../../ports/runtime.ts';
import type { AckEvent } from './ack-events.ts';
import { type Range, RangeSet } from '../../model/range-set.ts';

/** So many events are written at once … */
const groupCount = 256;
/** … or so long after the first of them, whichever comes first. A crash repeats at most what was gathered. */
const groupMs = 100;

/** What becomes of one request. Several `sent` go into one event. */
export type Happening =
  /** With `ranges`, of all that one mail acknowledges. */
  | { readonly type: 'sent'; readonly sequence: number; readonly ranges?: readonly Range[] }
  | { readonly type: 'skipped'; readonly sequence: number }
  | Extract<AckEvent, { type: 'failed' | 'retry' }>;

export class JournalWriter {
  readonly #journal: Journal<AckEvent>;
  readonly #clock: Clock;
  readonly #written: (sequences: readonly number[]) => void;
  readonly #failed: (error: Error) => void;
  #gathered: Happening[] = [];
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #underWay = 0;
  #broken = false;

  constructor(parts: {
    journal: Journal<AckEvent>;
    clock: Clock;
    written: (sequences: readonly number[]) => void;
    failed: (error: Error) => void;
  }) {
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#written = parts.written;
    this.#failed = parts.failed;
  }

  /** How many results are not yet in the journal. */
  get waiting(): number {
    return this.#gathered.length + this.#underWay;
  }

  /** Takes note of what became of a request; it is written with the next group. */
  record(happening: Happening): void {
    this.#gathered.push(happening);
    this.#schedule();
  }

  /** Writes events now, outside the groups. @throws when the journal does */
  async writeAlone(...events: readonly AckEvent[]): Promise<void> {
    await this.#journal.append(events);
  }

  /** Writes nothing more: the journal is no longer ours, or what it says is in doubt. */
  abandon(): void {
    this.#broken = true;
    this.#timer?.cancel();
  }

  /** Writes what is gathered and closes the journal. After a failure it only closes. */
  async close(): Promise<void> {
    while (this.#gathered.length > 0 && !this.#broken) await this.#write();
    await this.#writing;
    await this.#journal.close();
  }

  /** Each write is a sync: the next one waits until it is worth one, too. */
  #schedule(): void {
    if (this.#gathered.length === 0 || this.#broken) return;
    if (this.#gathered.length >= groupCount) void this.#write();
    else this.#timer ??= this.#clock.after(groupMs, () => void this.#write());
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeGroup().finally(() => {
      this.#writing = undefined;
      this.#schedule();
    });
    return this.#writing;
  }

  async #writeGroup(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const group = this.#gathered;
    this.#gathered = [];
    this.#underWay = group.length;
    try {
      await this.#journal.append(eventsOf(group));
    } catch (error) {
      this.abandon();
      this.#failed(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#underWay = 0;
    this.#written(group.map((happening) => happening.sequence));
  }
}

/** The fewest events that say the same. Their order between requests means nothing: each speaks of one. */
function eventsOf(group: readonly Happening[]): AckEvent[] {
  const events: AckEvent[] = [];
  const done = { sent: new RangeSet(), skipped: new RangeSet() };
  for (const happening of group) {
    if (happening.type === 'failed' || happening.type === 'retry') events.push(happening);
    else if (happening.type === 'sent' && happening.ranges)
      for (const [from, to] of happening.ranges) done.sent.add(from, to);
    else done[happening.type].add(happening.sequence);
  }
  for (const type of ['sent', 'skipped'] as const) {
    if (done[type].size > 0) events.push({ type, ranges: done[type].ranges.map(([from, to]) => [from, to] as const) });
  }
  return events;
}
