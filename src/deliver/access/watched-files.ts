// Files that may change while we run: certificates, keys, the clients file. Takes their paths, gives their contents, now and
// whenever one has changed. Fails at the start when one cannot be read; later it only says so and keeps what it has.
// Owns the watches.

import { dirname } from 'node:path';
import { ConfigError, messageOf } from '../../model/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Runtime, Timer } from '../../ports/runtime.ts';

/** A watch may miss a change: we also look now and then. */
const lookMs = 30_000;
/** Several files change together, one after the other. */
const settleMs = 300;

export class WatchedFiles {
  readonly #runtime: Pick<Runtime, 'clock' | 'disk'>;
  readonly #paths: readonly string[];
  readonly #changed: (texts: readonly string[]) => void;
  readonly #log: Logger;
  readonly #watches: { close(): void }[];
  #texts: readonly string[] = [];
  #timer: Timer | undefined;
  #stopped = false;

  /** @param changed is called with the contents in the order of the paths; it throws when they cannot be used */
  constructor(
    runtime: Pick<Runtime, 'clock' | 'disk'>,
    paths: readonly string[],
    changed: (texts: readonly string[]) => void,
    log: Logger,
  ) {
    this.#runtime = runtime;
    this.#paths = paths;
    this.#changed = changed;
    this.#log = log;
    this.#watches = [...new Set(paths.map((path) => dirname(path)))].map((folder) =>
      runtime.disk.watch(folder, () => this.#lookIn(settleMs)),
    );
  }

  /** Reads everything for the first time. @throws ConfigError */
  async start(): Promise<void> {
    this.#texts = await this.#read();
    this.#changed(this.#texts);
    this.#lookIn(lookMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const watch of this.#watches) watch.close();
  }

  #lookIn(ms: number): void {
    this.#timer?.cancel();
    if (!this.#stopped) this.#timer = this.#runtime.clock.after(ms, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      const texts = await this.#read();
      if (!this.#stopped && texts.some((text, index) => text !== this.#texts[index])) {
        this.#texts = texts;
        this.#changed(texts);
        this.#log.info({ files: this.#paths }, 'read again');
      }
    } catch (error) {
      this.#log.error(
        { reason: messageOf(error) },
        'a changed file cannot be used: what was there before stays in force',
      );
    }
    this.#lookIn(lookMs);
  }

  #read(): Promise<string[]> {
    return Promise.all(
      this.#paths.map(async (path) => {
        try {
          return (await this.#runtime.disk.readFile(path)).toString('utf8');
        } catch (error) {
          throw new ConfigError(`${path} cannot be read: ${messageOf(error)}`);
        }
      }),
    );
  }
}
