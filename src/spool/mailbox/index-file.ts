// The index beside a mailbox: where each record starts, 8 bytes little-endian each, in order. A help for seeks, never an
// authority: whoever uses it checks what it finds there, and it is made anew when it is missing or wrong.

import { join } from 'node:path';
import { replaceFile } from '../../lib/replace-file.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk } from '../../ports/runtime.ts';
import { indexName } from './mailbox-file.ts';

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
