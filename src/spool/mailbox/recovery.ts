// What a new writer does before it writes. Takes the folder of mailboxes, gives the end of the order; throws DamagedLogError where
// a person has to decide. Reads only the last mailbox, to its end, and the last record of the one before it.
//
// A torn tail (cut off, zero-filled) belongs to a write that never came back, so nothing in it was ever acknowledged: it is
// cut away and kept beside. Anything else that is not intact is damage. Two facts tell the one from the other: the published
// commit position, and the `Seawall-Batch` of later records: a write begins only after the one before it is on stable
// storage, so a broken record before the last batch was once whole.
//
// The valid part is then copied into a new file that takes the old one's name. That puts it on stable storage even if the
// kernel had dropped its pages after a failed sync, and a writer that was merely stopped is left with a file that has no
// name any more.

import { dirname, join } from 'node:path';
import { DamagedLogError } from '../../model/errors.ts';
import { fingerprintOf } from '../dedup/fingerprint.ts';
import { damagedLogId } from '../log-id.ts';
import type { Disk, DiskFile } from '../../ports/runtime.ts';
import type { FencedLock } from '../fencing/fencing.ts';
import type { CommitPosition } from './commit-position.ts';
import { MailboxFingerprints, newestFingerprint, writeFingerprints } from '../dedup/fingerprint-file.ts';
import { BrokenRecord, decodeRecord, firstChain, nextChain } from './record-codec.ts';
import { lastRawRecord, listMailboxes, mailboxName, rawRecords, writeIndex } from './mailbox-file.ts';

/** The end of the order. */
export interface Recovered {
  readonly lastSequence: number;
  readonly lastChain: string;
  /** Ids of the last batch with their sequences: its outcome may have been unknown to whoever sent it. */
  readonly lastBatch: ReadonlyMap<string, number>;
  /** Name and size of what was cut away, if anything was. */
  readonly cut?: { readonly name: string; readonly bytes: number };
}

/** The mailboxes' end as found on reading: everything before `end` is intact. */
interface Scan {
  lastSequence: number;
  lastChain: string;
  lastBatch: Map<string, number>;
  end: number;
  offsets: number[];
  broken?: { offset: number; why: string };
}

/** Reads the last mailbox from its start to the first record that is not intact. */
async function scan(
  file: DiskFile,
  size: number,
  first: number,
  chainBefore: string,
  fingerprints?: MailboxFingerprints,
): Promise<Scan> {
  const found: Scan = { lastSequence: first - 1, lastChain: chainBefore, lastBatch: new Map(), end: 0, offsets: [] };
  let batch = 0;
  for await (const { offset, bytes } of rawRecords(file, 0, size)) {
    try {
      const record = decodeRecord(bytes);
      if (record.request.sequence !== found.lastSequence + 1) {
        throw new BrokenRecord(`it is number ${record.request.sequence} where ${found.lastSequence + 1} belongs`);
      }
      if (record.request.chain !== nextChain(found.lastChain, record.head)) {
        throw new BrokenRecord('its chain hash does not follow from the record before it');
      }
      if (record.batch !== batch) found.lastBatch.clear();
      batch = record.batch;
      found.lastBatch.set(record.request.id, record.request.sequence);
      fingerprints?.push(record.request.receivedAt, fingerprintOf(record.request));
      found.lastSequence = record.request.sequence;
      found.lastChain = record.request.chain;
      found.offsets.push(offset);
      found.end = offset + record.length;
      if (record.length < bytes.length) return { ...found, broken: { offset: found.end, why: 'it has no beginning' } };
    } catch (error) {
      if (!(error instanceof BrokenRecord)) throw error;
      return { ...found, broken: { offset, why: error.message } };
    }
  }
  return found;
}

/** Sequence and chain hash at the end of the mailbox before `first`. */
async function endOfPrevious(disk: Disk, folder: string, previous: number, first: number): Promise<string> {
  const name = mailboxName(previous);
  const file = await disk.open(join(folder, name), 'read');
  try {
    const bytes = await lastRawRecord(file);
    const { request } = decodeRecord(bytes ?? Buffer.alloc(0));
    if (request.sequence !== first - 1) {
      throw new BrokenRecord(`it is number ${request.sequence}, but the next mailbox begins with ${first}`);
    }
    return request.chain;
  } catch (error) {
    if (error instanceof BrokenRecord)
      throw new DamagedLogError(`${name}: the last record is damaged: ${error.message}.`);
    throw error;
  } finally {
    await file.close();
  }
}

/** Halts when the first record was not chained from this name. A name that is another's would break the chain for ever. */
async function assertLogId(disk: Disk, folder: string, logId: string): Promise<void> {
  const file = await disk.open(join(folder, mailboxName(1)), 'read');
  try {
    for await (const { bytes } of rawRecords(file, 0, await file.size(), 65_536)) {
      const { request, head } = decodeRecord(bytes);
      if (request.chain !== nextChain(firstChain(logId), head)) {
        throw damagedLogId(dirname(folder), `says ${logId}, which is not the name that request 1 was chained from`);
      }
      return;
    }
  } catch (error) {
    // A first record that is damaged is judged with the others.
    if (!(error instanceof BrokenRecord)) throw error;
  } finally {
    await file.close();
  }
}

/** Halts unless what is broken can only be a write that never came back. */
async function assertTorn(
  file: DiskFile,
  size: number,
  sealed: boolean,
  name: string,
  found: Scan,
  committed: CommitPosition | undefined,
): Promise<void> {
  const missing = found.lastSequence + 1;
  const where = `${name}: the record of request ${missing}, at byte ${found.broken?.offset ?? found.end}`;
  if (committed && committed.sequence > found.lastSequence) {
    const what = found.broken ? `is damaged (${found.broken.why})` : 'is missing';
    throw new DamagedLogError(
      `${where}, ${what}, but everything up to ${committed.sequence} was once durable and may have been acknowledged.`,
    );
  }
  if (sealed)
    throw new DamagedLogError(`${where}, is damaged (${found.broken?.why ?? ''}), in a mailbox that was finished.`);
  for await (const { bytes } of rawRecords(file, found.end, size)) {
    try {
      const { request, batch } = decodeRecord(bytes);
      if (request.sequence > missing && batch > missing) {
        throw new DamagedLogError(
          `${where}, is damaged (${found.broken?.why ?? ''}), but request ${request.sequence} was written after it was durable.`,
        );
      }
    } catch (error) {
      if (!(error instanceof BrokenRecord)) throw error;
    }
  }
}

/**
 * Where the intact part of the newest mailbox ends, as the next recovery would find it: behind it stands at most a write that
 * never came back.
 * @param chainBefore chain hash of the record before its first one
 * @throws DamagedLogError when what is broken cannot be such a write
 */
export async function intactEnd(
  file: DiskFile,
  first: number,
  chainBefore: string,
  committed: CommitPosition | undefined,
): Promise<number> {
  const size = await file.size();
  const found = await scan(file, size, first, chainBefore);
  if (found.broken) await assertTorn(file, size, await file.isSealed(), mailboxName(first), found, committed);
  return found.end;
}

/** Puts a sealed copy of [from, to) of a file in the place of `path`, once `prove` has looked at it. */
async function copyDurably(
  lock: FencedLock,
  source: DiskFile,
  [from, to]: readonly [number, number],
  path: string,
  prove: (copy: DiskFile) => Promise<void> = async () => undefined,
): Promise<void> {
  const copy = await lock.replace(path, async (target) => {
    const chunk = Buffer.allocUnsafe(Math.min(4_194_304, Math.max(to - from, 1)));
    for (let position = from; position < to;) {
      const got = await source.read(chunk.subarray(0, Math.min(chunk.length, to - position)), position);
      if (got === 0) throw new Error(`${path} became shorter while it was read`);
      await target.write(chunk.subarray(0, got), position - from);
      position += got;
    }
    await prove(target);
    await target.seal();
  });
  await copy.close();
}

/**
 * Recovers the log in `folder`. The caller holds the fenced lock of the log.
 * Afterwards every mailbox is sealed; one that begins with `lastSequence + 1` holds nothing, and is there to be replaced.
 * @param committed the published commit position, if it is known
 * @param withFingerprints whether the mailbox gets its fingerprints too, when it has none
 * @throws DamagedLogError when an intact order cannot be had without a person's decision
 */
export async function recover(
  disk: Disk,
  folder: string,
  logId: string,
  committed: CommitPosition | undefined,
  lock: FencedLock,
  withFingerprints = false,
): Promise<Recovered> {
  const firsts = await listMailboxes(disk, folder);
  // Begun and never written to. It is not removed, for by now the name may belong to another writer's mailbox.
  if (firsts.length > 0 && (await disk.sizeOf(join(folder, mailboxName(firsts.at(-1) ?? 0)))) === 0) firsts.pop();
  const first = firsts.at(-1);
  if (first === undefined) {
    if (committed && committed.sequence > 0) {
      throw new DamagedLogError(`${folder} holds no mailbox, but ${committed.sequence} requests were once durable.`);
    }
    return { lastSequence: 0, lastChain: firstChain(logId), lastBatch: new Map() };
  }
  if (firsts[0] !== 1)
    throw new DamagedLogError(`${folder} does not hold ${mailboxName(1)}: earlier mailboxes are missing.`);
  await assertLogId(disk, folder, logId);
  const previous = firsts.at(-2);
  const chainBefore = previous === undefined ? firstChain(logId) : await endOfPrevious(disk, folder, previous, first);
  const name = mailboxName(first);
  const path = join(folder, name);
  const file = await disk.open(path, 'read');
  const fingerprints =
    withFingerprints && (await newestFingerprint(disk, folder, first)) === undefined
      ? new MailboxFingerprints(first)
      : undefined;
  let cut: Recovered['cut'];
  let found: Scan;
  try {
    const size = await file.size();
    const sealed = await file.isSealed();
    found = await scan(file, size, first, chainBefore, fingerprints);
    if (found.broken || (committed && committed.sequence > found.lastSequence)) {
      await assertTorn(file, size, sealed, name, found, committed);
      cut = { name: `${name}.torn-${lock.epochName}`, bytes: size - found.end };
      await copyDurably(lock, file, [found.end, size], join(folder, cut.name));
    }
    // A sealed mailbox was synced before it was sealed, and whoever sealed it writes to it no more.
    if (!sealed) {
      const { end, lastChain: chain } = found;
      await copyDurably(lock, file, [0, end], path, async (copy) => {
        // What a failed sync left in the cache may be gone by the second look.
        const copied = await scan(copy, end, first, chainBefore);
        if (copied.end !== end || copied.lastChain !== chain) throw new Error(`${name} changed while it was copied.`);
      });
    }
  } finally {
    await file.close();
  }
  if (found.end > 0) await writeIndex(disk, folder, first, found.offsets);
  if (fingerprints && fingerprints.count > 0) await writeFingerprints(disk, folder, fingerprints);
  await disk.syncFolder(folder);
  const { lastSequence, lastChain, lastBatch } = found;
  return { lastSequence, lastChain, lastBatch, ...(cut && { cut }) };
}
