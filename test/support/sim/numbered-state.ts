// A stage's real state with every event numbered, so that after a replay one can tell which events are there. The simulation
// follows the log with it: each event speaks of requests that were read.

import type { JournalState } from '../../../src/ports/journal.ts';
import { Violation } from './oracle.ts';

/** A journalled event with its number, or what a snapshot begins with: how many came before. */
export type Numbered<Event> =
  | { readonly number: number; readonly through: number; readonly event: Event }
  | { readonly base: number; readonly through: number }
  | { readonly kept: Event };

export class NumberedState<Event> implements JournalState<Numbered<Event>> {
  readonly #inner: JournalState<Event>;
  count = 0;
  /** The last request that an event has spoken of. */
  through = 0;

  constructor(inner: JournalState<Event>) {
    this.#inner = inner;
  }

  apply(each: Numbered<Event>): void {
    if ('base' in each) {
      this.count = each.base;
      this.through = each.through;
    } else if ('kept' in each) this.#inner.apply(each.kept);
    else {
      if (each.number !== this.count + 1) {
        throw new Violation(`journal event ${each.number} follows event ${this.count}`);
      }
      this.count = each.number;
      this.through = each.through;
      this.#inner.apply(each.event);
    }
  }

  snapshot(): Numbered<Event>[] {
    return [
      { base: this.count, through: this.through },
      ...this.#inner.snapshot().map((kept): Numbered<Event> => ({ kept })),
    ];
  }

  /** The whole state as text: two that know the same are equal. */
  get text(): string {
    return JSON.stringify(this.#inner.snapshot());
  }
}
