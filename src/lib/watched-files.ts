// Files that may change while we run: certificates, keys, the clients file. Takes their names, gives their contents, now and
// whenever one has changed. Fails at the start when one cannot be read; later it only says so and keeps what it has.
// Owns the watches.

import { dirname } from 'node:path';
import { ConfigError, messageOf } from '../model/errors.ts';
import type { Logger } from './logger.ts';
import type { Runtime, Timer } from '../ports/runtime.ts';

/** A watch may miss a change: we also look now and then. */
const lookMs = 30_000;
/** Several files change together, one after the other. */
const settleMs = 300;

/** A file, and the key of the configuration that names it. */
export interface NamedFile {
  readonly setting: string;
  readonly path: string;
}

/** The text of a file. @throws ConfigError that names the setting */
export async function readNamed(
  disk: Pick<Runtime['disk'], 'readFile'>,
  { setting, path }: NamedFile,
): Promise<string> {
  try {
    return (await disk.readFile(path)).toString('utf8');
  } catch (error) {
    throw new ConfigError(`${setting}: ${path} cannot be read: ${messageOf(error)}`);
  }
}

export class WatchedFiles {
  readonly #runtime: Pick<Runtime, 'clock' | 'disk'>;
  readonly #files: readonly NamedFile[];
  readonly #changed: (texts: readonly string[]) => void;
  readonly #log: Logger;
  readonly #watches: { close(): void }[];
  #texts: readonly string[] = [];
  #timer: Timer | undefined;
  #stopped = false;

  /** @param changed is called with the contents in the order of the files; it throws when they cannot be used */
  constructor(
    runtime: Pick<Runtime, 'clock' | 'disk'>,
    files: readonly NamedFile[],
    changed: (texts: readonly string[]) => void,
    log: Logger,
  ) {
    this.#runtime = runtime;
    this.#files = files;
    this.#changed = changed;
    this.#log = log;
    this.#watches = [...new Set(files.map(({ path }) => dirname(path)))].map((folder) =>
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
        this.#log.info({ files: this.#files.map(({ path }) => path) }, 'read again');
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
    return Promise.all(this.#files.map((file) => readNamed(this.#runtime.disk, file)));
  }
}
