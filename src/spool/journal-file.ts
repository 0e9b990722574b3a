// Journals on a disk: `<name>.journal`, one line a write, each `digest JSON-array-of-events`. Takes events, puts them on stable
// storage, applies them to the holder's state. Only the last line can be unfinished, because its write never came back; any
// other line that is not whole is a DamagedLogError. Each opening, and now and then a write, replaces the file by a snapshot
// of the state, so its size goes with what is outstanding. A fenced holder is left with a file that has no name any more.

import { hash } from 'node:crypto';
import { join } from 'node:path';
import { DamagedLogError, messageOf } from '../model/errors.ts';
import type { Journal, JournalState } from '../ports/journal.ts';
import { deferred } from '../lib/async.ts';
import { GroupCommit } from '../lib/group-commit.ts';
import { errorCode } from '../lib/system-error.ts';
import type { Disk, DiskFile, Runtime } from '../ports/runtime.ts';
import { type FencedLock, acquireFencedLock } from './fencing/fencing.ts';
import type { Locks } from './fencing/lock-file.ts';

/** A journal is compacted when it is larger than this, and much larger than its snapshot was. */
const compactBytes = 1_048_576;

function lineOf(events: readonly unknown[]): Buffer {
  const json = JSON.stringify(events);
  return Buffer.from(`${hash('sha256', json).slice(0, 16)} ${json}\n`);
}

function isWhole(line: string): boolean {
  return hash('sha256', line.slice(17)).slice(0, 16) === line.slice(0, 16);
}

function pathOf(spool: string, name: string): string {
  return join(spool, `${name}.journal`);
}

/**
 * Replays a journal from its file.
 * @throws DamagedLogError when anything but the last line is not whole
 */
export async function replayJournal<Event>(
  disk: Disk,
  spool: string,
  name: string,
  state: Pick<JournalState<Event>, 'apply'>,
): Promise<void> {
  let text: string;
  try {
    text = (await disk.readFile(pathOf(spool, name))).toString('utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    if (line === '' && index === lines.length - 1) break;
    if (index === lines.length - 1 || !isWhole(line)) {
      if (lines.slice(index + 1).some(isWhole)) {
        throw new DamagedLogError(`${name}.journal: line ${index + 1} is damaged, but later lines are whole.`);
      }
      break;
    }
    for (const event of JSON.parse(line.slice(17)) as Event[]) state.apply(event);
  }
}

class JournalFile<Event> implements Journal<Event> {
  readonly epoch: string;
  readonly #disk: Disk;
  readonly #spool: string;
  readonly #name: string;
  readonly #state: JournalState<Event>;
  readonly #lock: FencedLock;
  #file: DiskFile | undefined;
  #size = 0;
  #snapshotSize = 0;
  readonly #commit: GroupCommit<readonly Event[], undefined>;
  #stopped: Error | undefined;
  readonly #lost = deferred<Error>();

  constructor(disk: Disk, spool: string, name: string, state: JournalState<Event>, lock: FencedLock) {
    this.#disk = disk;
    this.#spool = spool;
    this.#name = name;
    this.#state = state;
    this.#lock = lock;
    this.epoch = lock.epochName;
    this.#commit = new GroupCommit((group) => this.#write(group));
    void lock.lost.then((reason) => this.#stop(reason));
  }

  get lost(): Promise<Error> {
    return this.#lost.promise;
  }

  append(events: readonly Event[]): Promise<void> {
    return this.#stopped ? Promise.reject(this.#stopped) : this.#commit.add(events);
  }

  /** Writes a group of appends as one line. */
  async #write(group: readonly (readonly Event[])[]): Promise<undefined[]> {
    try {
      if (this.#stopped) throw this.#stopped;
      const events = group.flat();
      const line = lineOf(events);
      await this.#open().write(line, this.#size);
      await this.#open().sync();
      this.#lock.check();
      this.#size += line.length;
      for (const event of events) this.#state.apply(event);
      if (this.#size > compactBytes && this.#size > 8 * this.#snapshotSize) await this.compact();
      return group.map(() => undefined);
    } catch (error) {
      throw this.#stop(error);
    }
  }

  #open(): DiskFile {
    if (!this.#file) throw new Error(`the journal ${this.#name} is not open`);
    return this.#file;
  }

  /** Puts a snapshot of the state in the place of the file. */
  async compact(): Promise<void> {
    const line = lineOf(this.#state.snapshot());
    const file = await this.#lock.replace(pathOf(this.#spool, this.#name), (fresh) => fresh.write(line, 0));
    try {
      await this.#disk.syncFolder(this.#spool);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#size = line.length;
    this.#snapshotSize = line.length;
  }

  #stop(cause: unknown): Error {
    if (!this.#stopped) {
      this.#stopped = cause instanceof Error ? cause : new Error(messageOf(cause));
      this.#lost.resolve(this.#stopped);
    }
    return this.#stopped;
  }

  async close(): Promise<void> {
    await this.#commit.idle();
    this.#stopped ??= new Error(`the journal ${this.#name} is closed`);
    await this.#file?.close();
    this.#file = undefined;
    await this.#lock.release();
  }
}

/**
 * Opens the journal `name` in `spool`: takes its lock, replays it into `state`, and begins a fresh file.
 * @throws InUseError when a living process holds it, DamagedLogError when it cannot be trusted
 */
export async function openJournalFile<Event>(
  runtime: Runtime,
  locks: Locks,
  spool: string,
  name: string,
  state: JournalState<Event>,
): Promise<Journal<Event>> {
  const lock = await acquireFencedLock(runtime, locks, spool, name);
  try {
    await replayJournal(runtime.disk, spool, name, state);
    const journal = new JournalFile(runtime.disk, spool, name, state, lock);
    await journal.compact();
    return journal;
  } catch (error) {
    await lock.release();
    throw error;
  }
}
