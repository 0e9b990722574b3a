// Journals on a disk: `<name>.journal`, a first line that says whose it is, and a line for each write: `digest JSON-array-of-events`.
// Each digest covers the one before it, so that nothing can be missing, and `<name>.position` says how far the file must reach.
// Takes events, puts them on stable storage, applies them to the holder's state. Only the last line, behind the position, can be
// unfinished: its write never came back. Anything else that is not whole, older, shorter or of another log is a DamagedLogError.
// Each opening, and now and then a write, replaces the file by a snapshot of the state, so its size goes with what is
// outstanding. A fenced holder is left with a file that has no name any more.

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
import * as positions from './journal-position.ts';
import { readLogId } from './log-id.ts';
import { readCommitPosition } from './mailbox/commit-position.ts';
import { PublishedLine } from './published-line.ts';

/** A journal is compacted when it is larger than this, and much larger than its snapshot was. */
const compactBytes = 1_048_576;

/** What the first line of a journal says. */
interface Header {
  readonly journal: string;
  /** The log that the journal belongs to; null before that log has a name. */
  readonly log: string | null;
  readonly generation: number;
}

/** What the digests of a journal's lines begin with. */
const seedOf = (name: string): string => `seawall journal 2 ${name}`;

/** The digest of a line. @param previous of the line before it; undefined in journals of before, whose lines stand alone */
function digestOf(previous: string | undefined, json: string): string {
  return hash('sha256', previous === undefined ? json : `${previous} ${json}`).slice(0, 16);
}

function lineOf(previous: string, value: unknown): { line: Buffer; digest: string } {
  const json = JSON.stringify(value);
  const digest = digestOf(previous, json);
  return { line: Buffer.from(`${digest} ${json}\n`), digest };
}

function pathOf(spool: string, name: string): string {
  return join(spool, `${name}.journal`);
}

function damaged(name: string, what: string): DamagedLogError {
  return new DamagedLogError(
    `${name}.journal: ${what} Restore ${name}.journal and ${name}.position from the newest copy; to begin anew instead, which does all of that stage's work again, move both away.`,
  );
}

/**
 * Replays a journal from its file.
 * @returns the generation of the file, 0 when there is none
 * @throws DamagedLogError when it is damaged, missing, older or shorter than it was, or of another log
 */
export async function replayJournal<Event>(
  disk: Disk,
  spool: string,
  name: string,
  state: Pick<JournalState<Event>, 'apply'>,
): Promise<number> {
  // Before the journal: its holder may write while we read.
  const position = positions.readJournalPosition(disk, spool, name);
  let text: string;
  try {
    text = (await disk.readFile(pathOf(spool, name))).toString('utf8');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    if (position) throw damaged(name, 'it is missing, but has been written.');
    return 0;
  }
  if (text === '' && !position) return 0;
  const lines = text.split('\n');
  const [firstLine = ''] = lines;
  let previous = firstLine.startsWith(digestOf(seedOf(name), firstLine.slice(17))) ? seedOf(name) : undefined;
  const header = previous === undefined ? undefined : (JSON.parse(firstLine.slice(17)) as Header);
  if (header) await assertOwn(disk, spool, name, header);
  const generation = header?.generation ?? 0;
  const must = position && position.generation >= generation ? position.length : 0;
  let length = 0;
  for (const [index, line] of lines.entries()) {
    if (line === '' && index === lines.length - 1) break;
    const json = line.slice(17);
    const digest = digestOf(previous, json);
    if (index === lines.length - 1 || line.slice(0, 17) !== `${digest} `) {
      const isLast = index === lines.length - 1 || (index === lines.length - 2 && lines.at(-1) === '');
      if (index === 0 || !isLast || length < must) throw damaged(name, `line ${index + 1} is damaged.`);
      break;
    }
    if (index > 0 || !header) for (const event of JSON.parse(json) as Event[]) state.apply(event);
    if (previous !== undefined) previous = digest;
    length += Buffer.byteLength(line) + 1;
  }
  if (position && position.generation > generation) throw damaged(name, 'it is older than what was written last.');
  if (length < must) throw damaged(name, `it has ${length} bytes, but ${must} were written.`);
  return generation;
}

async function assertOwn(disk: Disk, spool: string, name: string, { journal, log }: Header): Promise<void> {
  if (journal !== name) throw damaged(name, `it is the journal of ${journal}.`);
  const logId = await readLogId(disk, spool);
  if (log === null || logId === undefined || log === logId) return;
  throw damaged(name, `it belongs to the log ${log}, but this log is ${logId}.`);
}

class JournalFile<Event> implements Journal<Event> {
  readonly epoch: string;
  readonly #disk: Disk;
  readonly #spool: string;
  readonly #name: string;
  readonly #state: JournalState<Event>;
  readonly #lock: FencedLock;
  readonly #commit: GroupCommit<readonly Event[], undefined>;
  readonly #publishing: GroupCommit<string, undefined>;
  #file: DiskFile | undefined;
  #identity: string | undefined;
  #generation: number;
  #digest = '';
  #size = 0;
  #snapshotSize = 0;
  #logId: string | undefined;
  #through = 0;
  #position: PublishedLine | undefined;
  #stopped: Error | undefined;
  readonly #lost = deferred<Error>();

  constructor(
    disk: Disk,
    spool: string,
    name: string,
    state: JournalState<Event>,
    lock: FencedLock,
    generation: number,
  ) {
    this.#disk = disk;
    this.#spool = spool;
    this.#name = name;
    this.#state = state;
    this.#lock = lock;
    this.#generation = generation;
    this.epoch = lock.epochName;
    this.#commit = new GroupCommit((group) => this.#write(group));
    this.#publishing = new GroupCommit(async (texts) => {
      await this.#position?.publish(texts.at(-1) ?? '');
      return texts.map(() => undefined);
    });
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
      const { line, digest } = lineOf(this.#digest, events);
      await this.#open().write(line, this.#size);
      await this.#open().sync();
      this.#lock.check();
      this.#size += line.length;
      this.#digest = digest;
      for (const event of events) this.#state.apply(event);
      const isLong = this.#size > compactBytes && this.#size > 8 * this.#snapshotSize;
      const isRemoved = this.#disk.identityNow(pathOf(this.#spool, this.#name)) !== this.#identity;
      const isBound = this.#logId !== undefined || (await readLogId(this.#disk, this.#spool)) === undefined;
      if (isLong || isRemoved || !isBound) await this.compact();
      else await this.#publishPosition();
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
    this.#logId = await readLogId(this.#disk, this.#spool);
    const generation = this.#generation + 1;
    const header: Header = { journal: this.#name, log: this.#logId ?? null, generation };
    const first = lineOf(seedOf(this.#name), header);
    const { line: snapshot, digest } = lineOf(first.digest, this.#state.snapshot());
    const line = Buffer.concat([first.line, snapshot]);
    const file = await this.#lock.replace(pathOf(this.#spool, this.#name), (fresh) => fresh.write(line, 0));
    try {
      this.#identity = this.#disk.identityNow(pathOf(this.#spool, this.#name));
      await this.#disk.syncFolder(this.#spool);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#generation = generation;
    this.#digest = digest;
    this.#size = line.length;
    this.#snapshotSize = line.length;
    await this.#publishPosition();
  }

  /** Says how far the journal is on stable storage, and how far the log was meanwhile. Nobody waits for it: it may be old. */
  async #publishPosition(): Promise<void> {
    const log = this.#logId ?? 'none';
    const committed = readCommitPosition(this.#disk, this.#spool)?.sequence ?? 0;
    const before = this.#position ? undefined : positions.readJournalPosition(this.#disk, this.#spool, this.#name);
    this.#through = Math.max(this.#through, committed, before?.log === log ? before.through : 0);
    const position = { generation: this.#generation, length: this.#size, through: this.#through, log };
    const text = positions.journalPositionText(position);
    if (this.#position) return void this.#publishing.add(text).catch((error: unknown) => this.#stop(error));
    const path = positions.journalPositionPath(this.#spool, this.#name);
    this.#position = await PublishedLine.create(this.#disk, this.#lock, path, positions.positionWidth, text);
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
    await this.#publishing.idle();
    await this.#position?.close(false);
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
    const generation = await replayJournal(runtime.disk, spool, name, state);
    const journal = new JournalFile(runtime.disk, spool, name, state, lock, generation);
    await journal.compact();
    return journal;
  } catch (error) {
    await lock.release();
    throw error;
  }
}
