// Mailbox files and the indexes beside them: names, how to split a mailbox into raw records without holding it in memory, and
// where a record starts. Takes open files, gives bytes and offsets; what the bytes mean is the record codec's.
// An index (`.idx`) holds the offset of each record, 8 bytes little-endian each, in order. It speeds up seeks and is never an
// authority: whoever uses it checks what it finds there. The writer writes it again when it is missing; readers write nothing.

import { join } from 'node:path';
import { replaceFile } from '../../lib/replace-file.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk, DiskFile, Runtime } from '../../ports/runtime.ts';
import type { FencedLock } from '../fencing/fencing.ts';
import { recordStart } from './record-codec.ts';

/** The folder of mailboxes in a spool. */
export function mailboxFolder(spool: string): string {
  return join(spool, 'mailboxes');
}

/** When a new mailbox is begun. */
export interface Rotation {
  readonly bytes: number;
  readonly count: number;
  readonly seconds: number;
}

const namePattern = /^(\d{12})\.mbox$/;

/** Name of the mailbox whose first record is `first`. */
export function mailboxName(first: number): string {
  return `${String(first).padStart(12, '0')}.mbox`;
}

/** Name of the index beside it. */
function indexName(first: number): string {
  return `${String(first).padStart(12, '0')}.idx`;
}

/** First sequences of all mailboxes in a folder, ascending. */
export async function listMailboxes(disk: Disk, folder: string): Promise<number[]> {
  const names = await disk.list(folder);
  return names
    .flatMap((name) => namePattern.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b);
}

/** A piece of a mailbox from one record start to the next. */
export interface RawRecord {
  readonly offset: number;
  readonly bytes: Buffer;
}

const boundary = Buffer.concat([Buffer.from('\n'), recordStart]);

/**
 * Splits [from, to) of a mailbox at record starts. The last piece is whatever is left, complete or not.
 * @param chunk bytes read at a time; grows for records that are larger
 */
export async function* rawRecords(
  file: DiskFile,
  from: number,
  to: number,
  chunk = 1_048_576,
): AsyncGenerator<RawRecord> {
  let window: Buffer = Buffer.alloc(0);
  let offset = from;
  let position = from;
  let searched = 0;
  for (;;) {
    const at = window.indexOf(boundary, searched);
    if (at !== -1) {
      yield { offset, bytes: window.subarray(0, at + 1) };
      window = window.subarray(at + 1);
      offset += at + 1;
      searched = 0;
      continue;
    }
    searched = Math.max(0, window.length - boundary.length + 1);
    const want = Math.min(to - position, Math.max(chunk, window.length));
    const more = Buffer.allocUnsafe(Math.max(want, 0));
    const got = want > 0 ? await file.read(more, position) : 0;
    if (got === 0) {
      if (window.length > 0) yield { offset, bytes: window };
      return;
    }
    position += got;
    window = window.length === 0 ? more.subarray(0, got) : Buffer.concat([window, more.subarray(0, got)]);
  }
}

/** The last record of a mailbox, found from its end; undefined when there is none. */
export async function lastRawRecord(file: DiskFile): Promise<Buffer | undefined> {
  const size = await file.size();
  for (let length = 65_536; ; length *= 4) {
    const from = Math.max(0, size - length);
    const tail = Buffer.allocUnsafe(size - from);
    let filled = 0;
    while (filled < tail.length) {
      const got = await file.read(tail.subarray(filled), from + filled);
      if (got === 0) break;
      filled += got;
    }
    const at = tail.lastIndexOf(boundary);
    if (at !== -1) return tail.subarray(at + 1);
    if (from === 0) return tail.length > 0 ? tail : undefined;
  }
}

/** Writes the index of a mailbox. Not synced: it can be lost. Trouble is not reported: without it a seek reads the mailbox. */
export async function writeIndex(disk: Disk, folder: string, first: number, offsets: readonly number[]): Promise<void> {
  const bytes = Buffer.allocUnsafe(offsets.length * 8);
  offsets.forEach((offset, i) => bytes.writeBigUInt64LE(BigInt(offset), i * 8));
  try {
    await replaceFile(disk, join(folder, indexName(first)), bytes, { sync: false });
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
  }
}

/**
 * Writes the index of each finished mailbox whose size or last entry is wrong: it is not synced, and a power cut may take it. For
 * the log's writer only; a mailbox that cannot be read is left to recovery and `verify`.
 * @param firsts first sequences of the finished mailboxes, ascending @param next first sequence behind them
 */
export async function writeMissingIndexes(
  disk: Disk,
  folder: string,
  firsts: readonly number[],
  next: number,
  isStopped: () => boolean,
): Promise<void> {
  for (const [i, first] of firsts.entries()) {
    if (isStopped()) return;
    try {
      const last = (firsts[i + 1] ?? next) - 1;
      const offsets: number[] = [];
      const file = await disk.open(join(folder, mailboxName(first)), 'read');
      try {
        const size = await file.size();
        const lastOffset = size - ((await lastRawRecord(file))?.length ?? 0);
        const isComplete = (await disk.sizeOf(join(folder, indexName(first)))) === (last - first + 1) * 8;
        if (isComplete && (await indexedOffset(disk, folder, first, last)) === lastOffset) continue;
        for await (const { offset } of rawRecords(file, 0, size)) offsets.push(offset);
      } finally {
        await file.close();
      }
      await writeIndex(disk, folder, first, offsets);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
  }
}

/** Where the index says that `sequence` starts, or undefined when there is no index or it does not reach that far. */
export async function indexedOffset(
  disk: Disk,
  folder: string,
  first: number,
  sequence: number,
): Promise<number | undefined> {
  const path = join(folder, indexName(first));
  if ((await disk.sizeOf(path)) === undefined) return undefined;
  const file = await disk.open(path, 'read');
  try {
    const entry = Buffer.alloc(8);
    const got = await file.read(entry, (sequence - first) * 8);
    return got === 8 ? Number(entry.readBigUInt64LE()) : undefined;
  } finally {
    await file.close();
  }
}

/** The newest mailbox: the only one that is written to. */
export interface OpenMailbox {
  readonly file: DiskFile;
  readonly first: number;
  readonly path: string;
  /** Of the file, as long as it has its name. */
  readonly identity: string | undefined;
  readonly begun: number;
  readonly offsets: number[];
  size: number;
}

/** Begins the mailbox whose first record will be `first`. A file of that name holds only what was never acknowledged, and is replaced. */
export async function beginMailbox(
  runtime: Runtime,
  lock: FencedLock,
  folder: string,
  first: number,
): Promise<OpenMailbox> {
  const path = join(folder, mailboxName(first));
  const file = await lock.replace(path, async () => undefined);
  await runtime.disk.syncFolder(folder);
  const identity = runtime.disk.identityNow(path);
  return { file, first, path, identity, begun: runtime.clock.elapsed(), offsets: [], size: 0 };
}

/** Finishes a mailbox: all of it is synced already; it gets its index and becomes read-only. */
export async function seal(disk: Runtime['disk'], folder: string, mailbox: OpenMailbox): Promise<void> {
  await mailbox.file.seal();
  await mailbox.file.sync();
  await mailbox.file.close();
  await writeIndex(disk, folder, mailbox.first, mailbox.offsets);
}
