// The reading side of the default request log. Follows the mailboxes from any process, up to the published commit position and
// never past it, although more may stand in the file. Gives requests whose size and digest have been checked; a record that
// is not what its header says is a DamagedLogError with file and byte. Holds no file open between reads, and writes nothing.

import { join } from 'node:path';
import { DamagedLogError, messageOf } from '../../model/errors.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { ReadLimit, RequestReader } from '../../ports/request-log.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { isCommitPositionFile, type CommitPosition, readCommitPosition } from './commit-position.ts';
import { BrokenRecord, decodeRecord } from './record-codec.ts';
import { indexedOffset, listMailboxes, mailboxName, rawRecords } from './mailbox-file.ts';
import { readLogId } from '../log-id.ts';
import { mailboxFolder } from './mailbox-file.ts';

/** Where a record starts. */
interface RecordLocation {
  readonly mailbox: number;
  readonly offset: number;
}

/** How many locations at which reading stopped are remembered: whoever follows the log goes on there without a seek. */
const locationsKept = 16;
/** A watch may miss a change; this often a waiting reader looks by itself. */
const lookMs = 200;

class MailboxReader implements RequestReader {
  readonly #runtime: Runtime;
  readonly #spool: string;
  readonly #folder: string;
  readonly #locations = new Map<number, RecordLocation>();
  /** Where the first records of one mailbox start, as far as they are known: of the newest, or of one without an index. */
  #known: { readonly mailbox: number; readonly offsets: number[] } = { mailbox: 0, offsets: [] };
  readonly #waiting = new Set<() => void>();
  #watch: { close(): void } | undefined;

  constructor(runtime: Runtime, spool: string) {
    this.#runtime = runtime;
    this.#spool = spool;
    this.#folder = mailboxFolder(spool);
  }

  #position(): CommitPosition {
    return readCommitPosition(this.#runtime.disk, this.#spool) ?? { sequence: 0, mailbox: 1, offset: 0 };
  }

  async durable(): Promise<number> {
    return this.#position().sequence;
  }

  logId(): Promise<string | undefined> {
    return readLogId(this.#runtime.disk, this.#spool);
  }

  async read(after: number, limit: ReadLimit, signal?: AbortSignal): Promise<StoredRequest[]> {
    let position = this.#position();
    while (position.sequence <= after) {
      if (!signal || signal.aborted) return [];
      await this.#change(signal);
      position = this.#position();
    }
    try {
      return await this.#collect(after + 1, position, limit);
    } catch (error) {
      // A new writer replaces the last mailbox while we look: look again. What is truly missing stays missing.
      if (errorCode(error) !== 'ENOENT') throw error;
      this.#locations.clear();
      this.#known = { mailbox: 0, offsets: [] };
      return this.#collect(after + 1, this.#position(), limit);
    }
  }

  async #collect(from: number, position: CommitPosition, limit: ReadLimit): Promise<StoredRequest[]> {
    const { disk } = this.#runtime;
    const requests: StoredRequest[] = [];
    let bytes = 0;
    let next = from;
    let location = this.#locations.get(from) ?? (await this.#seek(from, position));
    while (next <= position.sequence && requests.length < limit.count) {
      const name = mailboxName(location.mailbox);
      const file = await disk.open(join(this.#folder, name), 'read');
      try {
        const end = location.mailbox === position.mailbox ? position.offset : await file.size();
        const chunk = Math.min(1_048_576, Math.max(65_536, limit.bytes - bytes));
        for await (const raw of rawRecords(file, location.offset, end, chunk)) {
          const request = this.#decode(raw.bytes, next, name, raw.offset);
          this.#learn(location.mailbox, next, raw.offset);
          if (requests.length > 0 && bytes + request.size > limit.bytes) return requests;
          requests.push(request);
          bytes += request.size;
          next++;
          location = { mailbox: location.mailbox, offset: raw.offset + raw.bytes.length };
          if (next > position.sequence || requests.length >= limit.count) break;
        }
      } finally {
        await file.close();
        this.#remember(next, location);
      }
      if (next <= position.sequence && requests.length < limit.count) {
        // This mailbox is finished: the next one begins with the request that comes next.
        const following = { mailbox: next, offset: 0 };
        if (following.mailbox === location.mailbox) throw this.#gap(next);
        location = following;
      }
    }
    return requests;
  }

  #gap(sequence: number): DamagedLogError {
    return new DamagedLogError(`Request ${sequence} is durable, but no mailbox holds it. Run seawall verify.`);
  }

  #decode(bytes: Buffer, expected: number, name: string, offset: number): StoredRequest {
    const damaged = (why: string): DamagedLogError =>
      new DamagedLogError(`${name}: the record of request ${expected}, at byte ${offset}, is damaged: ${why}.`);
    try {
      const { request } = decodeRecord(bytes);
      if (request.sequence !== expected) throw damaged(`it is number ${request.sequence}`);
      return request;
    } catch (error) {
      if (error instanceof BrokenRecord) throw damaged(error.message);
      throw error;
    }
  }

  /** Notes where a record starts when those before it are known. */
  #learn(mailbox: number, sequence: number, offset: number): void {
    if (sequence === mailbox && this.#known.mailbox < mailbox) this.#known = { mailbox, offsets: [] };
    const { mailbox: known, offsets } = this.#known;
    if (known === mailbox && offsets.length === sequence - mailbox) offsets.push(offset);
  }

  #remember(next: number, location: RecordLocation): void {
    this.#locations.delete(next);
    this.#locations.set(next, location);
    const oldest = this.#locations.keys().next();
    if (this.#locations.size > locationsKept && oldest.done !== true) this.#locations.delete(oldest.value);
  }

  /** Finds a record whose location is not remembered: by the index, or by reading the mailbox when the index is missing or wrong. */
  async #seek(sequence: number, position: CommitPosition): Promise<RecordLocation> {
    const { disk } = this.#runtime;
    const mailbox = (await listMailboxes(disk, this.#folder)).findLast((first) => first <= sequence);
    if (mailbox === undefined) throw this.#gap(sequence);
    if (mailbox === sequence) return { mailbox, offset: 0 };
    const name = mailboxName(mailbox);
    const file = await disk.open(join(this.#folder, name), 'read');
    try {
      const live = mailbox === position.mailbox;
      const end = live ? position.offset : await file.size();
      const learnt = this.#known.mailbox === mailbox ? this.#known.offsets[sequence - mailbox] : undefined;
      if (learnt !== undefined) return { mailbox, offset: learnt };
      const indexed = live ? undefined : await indexedOffset(disk, this.#folder, mailbox, sequence);
      if (indexed !== undefined && indexed < end) {
        for await (const { bytes } of rawRecords(file, indexed, end, 65_536)) {
          if (sequenceIn(bytes) === sequence) return { mailbox, offset: indexed };
          break;
        }
      }
      if (this.#known.mailbox !== mailbox) this.#known = { mailbox, offsets: [] };
      const { offsets } = this.#known;
      const last = mailbox + offsets.length - 1;
      if (sequence > last) {
        let next = Math.max(last, mailbox);
        for await (const { offset } of rawRecords(file, offsets.at(-1) ?? 0, end)) {
          this.#learn(mailbox, next, offset);
          if (next++ >= sequence) break;
        }
      }
      const offset = offsets[sequence - mailbox];
      if (offset === undefined) throw this.#gap(sequence);
      return { mailbox, offset };
    } finally {
      await file.close();
    }
  }

  /** Resolves when the commit position may have changed, or the signal aborts. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = this.#runtime.clock.after(lookMs, done);
      signal.addEventListener('abort', done);
      this.#waiting.add(done);
      this.#startWatch();
    });
  }

  #startWatch(): void {
    if (this.#watch) return;
    try {
      this.#watch = this.#runtime.disk.watch(this.#spool, (name) => {
        if (isCommitPositionFile(name)) for (const wake of this.#waiting) wake();
      });
    } catch (error) {
      // No spool yet, or a folder that cannot be watched: the commit position is read every `lookMs` anyway.
      if (errorCode(error) === undefined) throw new Error(messageOf(error), { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#watch?.close();
    this.#watch = undefined;
    for (const wake of this.#waiting) wake();
  }
}

/** The sequence that a record says it has, or undefined when the bytes are not a record. */
function sequenceIn(bytes: Buffer): number | undefined {
  try {
    return decodeRecord(bytes).request.sequence;
  } catch {
    return undefined;
  }
}

/** A reader of the log in `spool`, which need not exist yet. */
export function openReader(runtime: Runtime, spool: string): RequestReader {
  return new MailboxReader(runtime, spool);
}
