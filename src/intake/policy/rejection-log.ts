// What the log hears of strangers who were refused: one line a second for each address, with the count, however many there
// were. Takes refusals, gives lines when it is told that a second has gone by. Owns the counts of that second, bounded.

import type { Logger } from '../../lib/logger.ts';

/** Addresses with a line of their own; all others of the same second share one. */
const addressesMost = 50;

export class RejectionLog {
  readonly #log: Logger;
  readonly #counts = new Map<string, { count: number; from: string }>();
  #others = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param from its latest envelope sender */
  refused(client: string, from: string): void {
    const known = this.#counts.get(client);
    if (known) {
      known.count++;
      known.from = from;
    } else if (this.#counts.size < addressesMost) this.#counts.set(client, { count: 1, from });
    else this.#others++;
  }

  /** A second has gone by, or it is the end. */
  flush(): void {
    for (const [client, { count, from }] of this.#counts) this.#log.info({ client, count, from }, 'strangers refused');
    if (this.#others > 0) this.#log.info({ count: this.#others }, 'strangers refused, from other addresses');
    this.#counts.clear();
    this.#others = 0;
  }
}
