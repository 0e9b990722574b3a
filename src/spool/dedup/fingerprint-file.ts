// The fingerprints of a mailbox's requests, in a file beside it, so that a start need not read the mailboxes to know a copy
// when it comes. Never an authority: a hit is proved by the record itself, and a file that is missing or wrong is made
// anew from the mailbox. Not synced: it can be lost.
//
// Numbers are little-endian. Header, 40 bytes: `SWMARKS3`, first sequence (double), newest time of receipt in ms (double),
// count (u32), 4 zero bytes, first 8 bytes of the SHA-256 over what precedes and the entries. Then for each request the
// first 8 bytes of its fingerprint, as two numbers (u32); zeros where it has none.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { replaceFile } from '../../lib/replace-file.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk } from '../../ports/runtime.ts';

const magic = 'SWMARKS3';
const headerBytes = 40;
const signedBytes = 32;
const entryBytes = 8;

/** Name of the file of the mailbox whose first record is `first`. */
function fingerprintName(first: number): string {
  return `${String(first).padStart(12, '0')}.fpr`;
}

/** The part of a fingerprint (hex) that is kept: two words of 32 bits. */
export function keyOf(fingerprint: string): { readonly high: number; readonly low: number } {
  return { high: Number.parseInt(fingerprint.slice(0, 8), 16), low: Number.parseInt(fingerprint.slice(8, 16), 16) };
}

/** The keys of one mailbox's requests, in order. */
export class MailboxFingerprints {
  readonly first: number;
  /** Time of receipt of the newest, milliseconds since 1970 UTC. */
  newest = 0;
  count = 0;
  #entries: Buffer = Buffer.alloc(64 * entryBytes);

  constructor(first: number) {
    this.first = first;
  }

  /** Adds the next request's fingerprint. */
  push(receivedAt: number, fingerprint: string | undefined): void {
    if ((this.count + 1) * entryBytes > this.#entries.length) {
      this.#entries = Buffer.concat([this.#entries, Buffer.alloc(this.#entries.length)]);
    }
    const { high, low } = fingerprint === undefined ? { high: 0, low: 0 } : keyOf(fingerprint);
    this.#entries.writeUInt32LE(high, this.count * entryBytes);
    this.#entries.writeUInt32LE(low, this.count * entryBytes + 4);
    this.count++;
    this.newest = Math.max(this.newest, receivedAt);
  }

  /** Calls back with every key and the sequence that it stands for. */
  each(take: (sequence: number, high: number, low: number) => void): void {
    for (let i = 0; i < this.count; i++) {
      const at = i * entryBytes;
      const [high, low] = [this.#entries.readUInt32LE(at), this.#entries.readUInt32LE(at + 4)];
      if (high !== 0 || low !== 0) take(this.first + i, high, low);
    }
  }

  toBytes(): Buffer {
    const entries = this.#entries.subarray(0, this.count * entryBytes);
    const header = Buffer.alloc(headerBytes);
    header.write(magic, 'latin1');
    header.writeDoubleLE(this.first, 8);
    header.writeDoubleLE(this.newest, 16);
    header.writeUInt32LE(this.count, 24);
    digest(header, entries).copy(header, signedBytes);
    return Buffer.concat([header, entries]);
  }

  /** @returns undefined when the bytes are not whole, or not those of a mailbox with so many requests */
  static fromBytes(bytes: Buffer, first: number, count: number): MailboxFingerprints | undefined {
    if (bytes.length !== headerBytes + count * entryBytes) return undefined;
    const entries = bytes.subarray(headerBytes);
    if (!digest(bytes, entries).equals(bytes.subarray(signedBytes, headerBytes))) return undefined;
    if (newestIn(bytes) === undefined || bytes.readDoubleLE(8) !== first) return undefined;
    const fingerprints = new MailboxFingerprints(first);
    fingerprints.count = count;
    fingerprints.newest = bytes.readDoubleLE(16);
    fingerprints.#entries = entries;
    return fingerprints;
  }
}

function digest(header: Buffer, entries: Buffer): Buffer {
  return createHash('sha256').update(header.subarray(0, signedBytes)).update(entries).digest().subarray(0, 8);
}

function newestIn(header: Buffer): number | undefined {
  return header.length >= headerBytes && header.toString('latin1', 0, 8) === magic
    ? header.readDoubleLE(16)
    : undefined;
}

/** Writes the file. Trouble is not reported: without it the next start reads the mailbox. */
export async function writeFingerprints(disk: Disk, folder: string, fingerprints: MailboxFingerprints): Promise<void> {
  try {
    const path = join(folder, fingerprintName(fingerprints.first));
    await replaceFile(disk, path, fingerprints.toBytes(), { sync: false });
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
  }
}

/** When the newest request of a mailbox came, as the file says; undefined when it does not. */
export async function newestFingerprint(disk: Disk, folder: string, first: number): Promise<number | undefined> {
  try {
    const file = await disk.open(join(folder, fingerprintName(first)), 'read');
    try {
      const header = Buffer.alloc(headerBytes);
      return (await file.read(header, 0)) === headerBytes ? newestIn(header) : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** The fingerprints of a mailbox that holds `count` requests; undefined when the file is missing or wrong. */
export async function readFingerprints(
  disk: Disk,
  folder: string,
  first: number,
  count: number,
): Promise<MailboxFingerprints | undefined> {
  try {
    return MailboxFingerprints.fromBytes(await disk.readFile(join(folder, fingerprintName(first))), first, count);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}
