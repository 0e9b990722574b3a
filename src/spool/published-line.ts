// One short line in a file of its own that its writer overwrites in place and others read at any time: how far a log or a journal
// has come. Takes and gives a text; behind it stand 8 digits of its SHA-256, so that a torn or damaged line reads as none.
// It is not synced: what it says is on stable storage already, so after a crash it may be old, but never ahead.

import { hash } from 'node:crypto';
import { dirname } from 'node:path';
import { errorCode } from '../lib/system-error.ts';
import type { Disk, DiskFile } from '../ports/runtime.ts';
import type { FencedLock } from './fencing/fencing.ts';

const pattern = /^(.+) ([0-9a-f]{8}) *\n$/;

/** The line padded to so many bytes, so that a shorter one leaves nothing of a longer one. */
function lineOf(text: string, width: number): Buffer {
  return Buffer.from(`${`${text} ${hash('sha256', text).slice(0, 8)}`.padEnd(width - 1)}\n`, 'latin1');
}

/** What was published last, or undefined when there is nothing that can be read. */
export function readPublishedLine(disk: Disk, path: string): string | undefined {
  let line: string;
  try {
    line = disk.readFileNow(path).toString('latin1');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const [, text = '', digest] = pattern.exec(line) ?? [];
  return digest !== undefined && hash('sha256', text).slice(0, 8) === digest ? text : undefined;
}

/** The file as its writer holds it open. */
export class PublishedLine {
  readonly #disk: Disk;
  readonly #lock: FencedLock;
  readonly #path: string;
  readonly #width: number;
  #file: DiskFile | undefined;
  #identity: string | undefined;
  #text: string;

  private constructor(disk: Disk, lock: FencedLock, path: string, width: number, text: string) {
    this.#disk = disk;
    this.#lock = lock;
    this.#path = path;
    this.#width = width;
    this.#text = text;
  }

  /**
   * Replaces the file by a new one that says `text`: a writer that was fenced keeps writing to the old, unseen.
   * @param width bytes of the line, more than any text needs
   */
  static async create(disk: Disk, lock: FencedLock, path: string, width: number, text: string): Promise<PublishedLine> {
    const made = new PublishedLine(disk, lock, path, width, text);
    await made.restore();
    return made;
  }

  /** Writes the file anew when it is not there any more: whoever follows it would wait for ever. */
  async restore(): Promise<void> {
    if (this.#file && this.#disk.identityNow(this.#path) === this.#identity) return;
    await this.#file?.close();
    this.#file = undefined;
    this.#file = await this.#lock.replace(this.#path, (fresh) => fresh.write(lineOf(this.#text, this.#width), 0));
    this.#identity = this.#disk.identityNow(this.#path);
    await this.#disk.syncFolder(dirname(this.#path));
  }

  async publish(text: string): Promise<void> {
    this.#text = text;
    await this.#file?.write(lineOf(text, this.#width), 0);
    await this.restore();
  }

  /** @param healthy false after a failure: then nothing is synced any more */
  async close(healthy: boolean): Promise<void> {
    if (healthy) await this.#file?.sync();
    await this.#file?.close();
    this.#file = undefined;
  }
}
