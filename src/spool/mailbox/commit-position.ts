// The commit position: how far the log is on stable storage. The writer publishes it in the file `durable`, one short line that is
// overwritten in place, before it answers the registrar; followers read no further. A torn, damaged or missing line counts
// as "not known": readers then wait, and recovery decides from the mailboxes alone.

import { hash } from 'node:crypto';
import { join } from 'node:path';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk, DiskFile } from '../../ports/runtime.ts';
import type { FencedLock } from '../fencing/fencing.ts';

/** The end of what is on stable storage. */
export interface CommitPosition {
  readonly sequence: number;
  /** First sequence of the mailbox that was written last, and how many of its bytes are on stable storage. */
  readonly mailbox: number;
  readonly offset: number;
}

const fileName = 'durable';
const pattern = /^(sequence (\d+) mailbox (\d+) offset (\d+)) ([0-9a-f]{8}) *\n$/;

function line({ sequence, mailbox, offset }: CommitPosition): Buffer {
  const text = `sequence ${sequence} mailbox ${mailbox} offset ${offset}`;
  return Buffer.from(`${`${text} ${hash('sha256', text).slice(0, 8)}`.padEnd(127)}\n`, 'latin1');
}

/** The published position, or undefined when there is none that can be read. */
export function readCommitPosition(disk: Disk, spool: string): CommitPosition | undefined {
  let text: string;
  try {
    text = disk.readFileNow(join(spool, fileName)).toString('latin1');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const match = pattern.exec(text);
  if (!match || hash('sha256', match[1] ?? '').slice(0, 8) !== match[5]) return undefined;
  return { sequence: Number(match[2]), mailbox: Number(match[3]), offset: Number(match[4]) };
}

/** Whether a file of the spool folder, by name, is the one that holds the commit position. */
export function isCommitPositionFile(name: string): boolean {
  return name === fileName;
}

/** The file as its writer holds it open. */
export class CommitPositionFile {
  readonly #disk: Disk;
  readonly #lock: FencedLock;
  readonly #spool: string;
  readonly #path: string;
  #file: DiskFile | undefined;
  #identity: string | undefined;
  #position: CommitPosition;

  private constructor(disk: Disk, lock: FencedLock, spool: string, position: CommitPosition) {
    this.#disk = disk;
    this.#lock = lock;
    this.#spool = spool;
    this.#path = join(spool, fileName);
    this.#position = position;
  }

  /** Replaces the file by a new one that says `position`: a writer that was fenced keeps writing to the old, unseen. */
  static async create(
    disk: Disk,
    lock: FencedLock,
    spool: string,
    position: CommitPosition,
  ): Promise<CommitPositionFile> {
    const made = new CommitPositionFile(disk, lock, spool, position);
    await made.restore();
    return made;
  }

  /** Writes the file anew when it is not there any more: followers would wait for ever. */
  async restore(): Promise<void> {
    if (this.#file && this.#disk.identityNow(this.#path) === this.#identity) return;
    await this.#file?.close();
    this.#file = undefined;
    this.#file = await this.#lock.replace(this.#path, (fresh) => fresh.write(line(this.#position), 0));
    this.#identity = this.#disk.identityNow(this.#path);
    await this.#disk.syncFolder(this.#spool);
  }

  /** Publishes how far the log is durable. Not synced: it is true already, and recovery can do without it. */
  async publish(position: CommitPosition): Promise<void> {
    this.#position = position;
    await this.#file?.write(line(position), 0);
    await this.restore();
  }

  /** @param healthy false after a failure: then nothing is synced any more */
  async close(healthy: boolean): Promise<void> {
    if (healthy) await this.#file?.sync();
    await this.#file?.close();
  }
}
