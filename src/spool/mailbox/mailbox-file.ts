// Mailbox files: their names, and how to split one into raw records without holding it in memory. Takes an open file,
// gives bytes; knows nothing of what the bytes mean beyond where a record starts.

import type { Disk, DiskFile } from '../../ports/runtime.ts';
import { recordStart } from './record-codec.ts';

const namePattern = /^(\d{12})\.mbox$/;

/** Name of the mailbox whose first record is `first`. */
export function mailboxName(first: number): string {
  return `${String(first).padStart(12, '0')}.mbox`;
}

/** Name of the index beside it. */
export function indexName(first: number): string {
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
