// Reads a whole log and checks framing, digests, chain, sequence, and that everything up to the commit position is there.
// Takes a spool, gives a report of what is wrong; throws only what the disk says. Changes nothing and may run beside a writer.

import { join } from 'node:path';
import { DamagedLogError } from '../../model/errors.ts';
import type { Disk } from '../../ports/runtime.ts';
import { intactEnd } from './recovery.ts';
import { readCommitPosition } from './commit-position.ts';
import { BrokenRecord, decodeRecord, firstChain, nextChain } from './record-codec.ts';
import { listMailboxes, mailboxName, rawRecords } from './mailbox-file.ts';
import { isRehearsal, readLogId } from '../log-id.ts';
import { mailboxFolder } from './mailbox-file.ts';

/** What a verification found. */
export interface VerifyReport {
  readonly mailboxes: number;
  readonly requests: number;
  readonly bytes: number;
  /** Chain hash of the last request: two spools with the same one hold the same requests in the same order. */
  readonly chain: string;
  /** What is wrong, each with file and byte. Empty: nothing is. */
  readonly problems: readonly string[];
  /** What is worth knowing and not wrong. */
  readonly notes: readonly string[];
}

/** Told after every few records. */
export type Progress = (bytesDone: number, bytesInAll: number) => void;

/** More than this many problems are not listed one by one. */
const problemsListed = 50;

/** Verifies the log in `spool`. */
export async function verifyLog(
  disk: Disk,
  spool: string,
  progress: Progress = () => undefined,
): Promise<VerifyReport> {
  const folder = mailboxFolder(spool);
  const committed = readCommitPosition(disk, spool);
  const logId = await readLogId(disk, spool);
  if (logId === undefined) {
    const problems = [`${spool} holds no log (log-id is missing): is spool.dir right?`];
    return { mailboxes: 0, requests: 0, bytes: 0, chain: '', problems, notes: [] };
  }
  const firsts = await listMailboxes(disk, folder);
  const sizes = await Promise.all(firsts.map((first) => disk.sizeOf(join(folder, mailboxName(first)))));
  const bytesInAll = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  const problems: string[] = [];
  const notes: string[] = isRehearsal(logId) ? ["this is a rehearsal's log: nothing in it counts"] : [];
  let unlisted = 0;
  const problem = (text: string): void => {
    if (problems.length < problemsListed) problems.push(text);
    else unlisted++;
  };
  let expected = 1;
  let chain = firstChain(logId);
  let requests = 0;
  let done = 0;
  for (const [index, first] of firsts.entries()) {
    const name = mailboxName(first);
    const newest = index === firsts.length - 1;
    if (first !== expected) problem(`${name}: begins with request ${first}, but request ${expected} comes next`);
    expected = first;
    const file = await disk.open(join(folder, name), 'read');
    try {
      // What lies behind the commit position of the newest mailbox may be a write that is under way, or never came back.
      const size = await file.size();
      let end = size;
      if (newest && committed?.mailbox === first) end = Math.min(committed.offset, size);
      // After a power cut the commit position may be older than the newest mailbox, or missing.
      else if (newest) {
        end = await intactEnd(file, first, chain, committed).catch((error: unknown) => {
          if (error instanceof DamagedLogError) return size;
          throw error;
        });
      }
      if (end < size)
        notes.push(`${name}: ${size - end} bytes behind the commit position, of a write that is not finished`);
      for await (const { offset, bytes } of rawRecords(file, 0, end)) {
        try {
          const { request, head, length } = decodeRecord(bytes);
          if (request.sequence !== expected)
            problem(`${name}: byte ${offset}: request ${request.sequence} stands where ${expected} belongs`);
          else if (nextChain(chain, head) !== request.chain)
            problem(`${name}: byte ${offset}: the chain breaks at request ${expected}`);
          if ((request.client.rehearsal === true) !== isRehearsal(logId))
            problem(`${name}: byte ${offset}: request ${request.sequence} is not of the kind of its log (${logId})`);
          if (length < bytes.length)
            problem(`${name}: byte ${offset + length}: ${bytes.length - length} bytes that belong to no request`);
          expected = request.sequence + 1;
          chain = request.chain;
          requests++;
        } catch (error) {
          if (!(error instanceof BrokenRecord)) throw error;
          problem(`${name}: byte ${offset}: request ${expected}: ${error.message}`);
          expected++;
        }
        if (requests % 500 === 0) progress(done + offset, bytesInAll);
      }
      done += size;
    } finally {
      await file.close();
    }
    progress(done, bytesInAll);
  }
  if (committed && committed.sequence >= expected) {
    problem(`requests ${expected} to ${committed.sequence} were durable and are missing`);
  }
  for (const name of await disk.list(folder).catch(() => [])) {
    if (name.includes('.torn-')) notes.push(`${name}: cut away by a recovery, never acknowledged`);
  }
  if (unlisted > 0) problems.push(`… and ${unlisted} more`);
  return { mailboxes: firsts.length, requests, bytes: done, chain: requests === 0 ? '' : chain, problems, notes };
}
