// The port of the request log: all that a stage may know of storage. One total order of requests; the log gives the numbers.
// The default implementation is src/spool (mailboxes on a disk); a replicated log can stand behind the same interfaces.

import type { NewRequest, StoredRequest } from '../model/request.ts';

/** The writing side, held by one intake at a time. */
export interface RequestWriter {
  /**
   * Gives each request the next number in the order and resolves with their sequence numbers, in the order of the array,
   * once all of them are on stable storage. A rejection means that the outcome is unknown: each of them is kept or not.
   * After a rejection the writer never writes again; whoever holds it leaves, and the next writer recovers.
   * A request whose `id` is already in the log from an attempt of unknown outcome keeps its first number; so does one that
   * has a fingerprint in common with a request kept within the log's window, or with one before it in the array. It is
   * not stored again. New numbers ascend: one that is not above all before it is a request's that was there already.
   * The log proves a common fingerprint by the kept request itself, and where it cannot, gives a number of its own.
   * Call it again only after the promise has settled.
   */
  append(requests: readonly NewRequest[]): Promise<number[]>;
  /** Last number given so far; 0 when the log is empty. */
  readonly lastSequence: number;
  /** Resolves when this writer may no longer write, with the reason. Never resolves after `close`. */
  readonly lost: Promise<Error>;
  close(): Promise<void>;
}

/** How much one `read` may give: it stops at whichever is reached first, but always gives at least one request. */
export interface ReadLimit {
  readonly count: number;
  /** Sum of message sizes. */
  readonly bytes: number;
}

/** The reading side: sees durable requests only, in order. Any number of readers, in any process. */
export interface RequestReader {
  /** The highest durable sequence number, 0 when there is none. */
  durable(): Promise<number>;
  /**
   * The durable requests that come after sequence `after`, in order and without a gap.
   * With a signal it waits until there is at least one, and gives [] when the signal aborts; without one it gives [] at once.
   * Throws `DamagedLogError` when a record's bytes are not what its digest says.
   */
  read(after: number, limit: ReadLimit, signal?: AbortSignal): Promise<StoredRequest[]>;
  /** Which log this is: a name made once, when the log was begun. Undefined before the first writer has been there. */
  logId(): Promise<string | undefined>;
  close(): Promise<void>;
}
