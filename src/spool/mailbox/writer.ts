// The writing side of the default request log: mailboxes on a disk. Takes requests, gives their sequence numbers once they are on
// stable storage. It alone writes the newest mailbox and the commit position. After any error it never writes again: the
// process ends, and the next writer recovers from the disk.

import { DamagedLogError, messageOf } from '../../model/errors.ts';
import type { NewRequest } from '../../model/request.ts';
import type { RequestWriter } from '../../ports/request-log.ts';
import { deferred, Mutex } from '../../lib/async.ts';
import type { Runtime, Timer } from '../../ports/runtime.ts';
import { type FencedLock, acquireFencedLock } from '../fencing/fencing.ts';
import { positionText, publishCommitPosition, readCommitPosition } from './commit-position.ts';
import type { PublishedLine } from '../published-line.ts';
import { assertJournalsCovered } from '../journal-position.ts';
import { encodeRecord } from './record-codec.ts';
import type { Locks } from '../fencing/lock-file.ts';
import { damagedLogId, logIdFor, readLogId } from '../log-id.ts';
import {
  beginMailbox,
  listMailboxes,
  mailboxFolder,
  type OpenMailbox,
  type Rotation,
  seal,
  writeMissingIndexes,
} from './mailbox-file.ts';
import { type Recovered, recover } from './recovery.ts';
import { fingerprintOf } from '../dedup/fingerprint.ts';
import { Deduplicator } from '../dedup/deduplication.ts';

/** How often the files of the log are looked after, in milliseconds. */
const lookMs = 1_000;

class MailboxWriter implements RequestWriter {
  readonly #runtime: Runtime;
  readonly #spool: string;
  readonly #folder: string;
  readonly #logId: string;
  readonly #rotation: Rotation;
  readonly #lock: FencedLock;
  readonly #publisher: PublishedLine;
  readonly #lastBatch: ReadonlyMap<string, number>;
  readonly #deduplicator: Deduplicator | undefined;
  /** None before the first request, so that no empty mailbox is left behind. */
  #mailbox: OpenMailbox | undefined;
  #lastSequence: number;
  #lastChain: string;
  #stopped: Error | undefined;
  #closing: Promise<void> | undefined;
  readonly #mutex = new Mutex();
  #look: Timer | undefined;
  #indexing: Promise<void> = Promise.resolve();
  readonly #lost = deferred<Error>();

  constructor(
    runtime: Runtime,
    spool: string,
    logId: string,
    rotation: Rotation,
    lock: FencedLock,
    publisher: PublishedLine,
    recovered: Recovered,
    deduplicator: Deduplicator | undefined,
  ) {
    this.#runtime = runtime;
    this.#spool = spool;
    this.#folder = mailboxFolder(spool);
    this.#logId = logId;
    this.#rotation = rotation;
    this.#lock = lock;
    this.#lastBatch = recovered.lastBatch;
    this.#deduplicator = deduplicator;
    this.#lastSequence = recovered.lastSequence;
    this.#lastChain = recovered.lastChain;
    this.#publisher = publisher;
    void lock.lost.then((reason) => this.#stop(reason));
    this.#lookLater();
  }

  get lost(): Promise<Error> {
    return this.#lost.promise;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  append(requests: readonly NewRequest[]): Promise<number[]> {
    return this.#mutex.run(() => this.#append(requests));
  }

  async #append(requests: readonly NewRequest[]): Promise<number[]> {
    if (this.#stopped) throw this.#stopped;
    try {
      const sequences: number[] = [];
      let fresh: NewRequest[] = [];
      const inThisCall = new Map<string, number>();
      for (const given of requests) {
        const request =
          this.#deduplicator && !given.fingerprint ? { ...given, fingerprint: fingerprintOf(given) } : given;
        const known = this.#lastBatch.get(request.id) ?? (await this.#firstOf(request, inThisCall));
        if (known === undefined) fresh.push(request);
        const sequence = known ?? this.#lastSequence + fresh.length;
        sequences.push(sequence);
        if (request.fingerprint !== undefined && known === undefined) inThisCall.set(request.fingerprint, sequence);
      }
      // An earlier number is an answer too, so the lock is checked as after a write.
      if (fresh.length < requests.length) this.#checkMayAnswer();
      while (fresh.length > 0) fresh = fresh.slice(await this.#write(fresh));
      return sequences;
    } catch (error) {
      throw this.#stop(error);
    }
  }

  /** The number of the same request when it is kept already, or comes before this one in the same call. */
  async #firstOf(request: NewRequest, inThisCall: ReadonlyMap<string, number>): Promise<number | undefined> {
    if (!this.#deduplicator || !request.fingerprint) return undefined;
    const sequence = inThisCall.get(request.fingerprint);
    if (sequence !== undefined) return sequence;
    const candidates = this.#deduplicator.candidates(request);
    if (candidates.length === 0) return undefined;
    const { first = 0, offsets = [] } = this.#mailbox ?? {};
    return this.#deduplicator.prove(request, candidates, (each) => offsets[each - first]);
  }

  /** Writes as many as still belong into one mailbox; gives how many. */
  async #write(requests: readonly NewRequest[]): Promise<number> {
    const mailbox = await this.#mailboxWithRoom();
    const batch = this.#lastSequence + 1;
    const parts: Buffer[] = [];
    const offsets: number[] = [];
    let end = mailbox.size;
    let chain = this.#lastChain;
    for (const request of requests) {
      if (
        parts.length > 0 &&
        (end >= this.#rotation.bytes || mailbox.offsets.length + offsets.length >= this.#rotation.count)
      )
        break;
      const record = encodeRecord(request, batch + offsets.length, batch, chain);
      chain = record.chain;
      offsets.push(end);
      for (const part of record.parts) {
        parts.push(part);
        end += part.length;
      }
    }
    await mailbox.file.write(Buffer.concat(parts), mailbox.size);
    await mailbox.file.sync();
    // The last look before any answer.
    this.#checkMayAnswer();
    mailbox.size = end;
    mailbox.offsets.push(...offsets);
    this.#lastChain = chain;
    this.#lastSequence += offsets.length;
    await this.#publisher.publish(
      positionText({ sequence: this.#lastSequence, mailbox: mailbox.first, offset: mailbox.size }),
    );
    for (const [i] of offsets.entries()) {
      const request = requests[i];
      if (request) this.#deduplicator?.add(batch + i, request);
    }
    return offsets.length;
  }

  /**
   * Looks whether another writer has taken over, and whether the newest mailbox still has its name: what is written to a file
   * that was removed, replaced or moved away is lost when this process ends.
   */
  #checkMayAnswer(): void {
    this.#lock.check();
    const { path, identity } = this.#mailbox ?? {};
    if (path === undefined || (identity !== undefined && this.#runtime.disk.identityNow(path) === identity)) return;
    // A new holder replaces the mailbox too.
    this.#lock.check();
    throw new DamagedLogError(
      `${path} was removed, replaced or moved while it was written to, and what is written now would be lost. Nothing more is taken: restore it from a copy, then start again.`,
    );
  }

  /** Writes missing indexes in the background. @param firsts first sequences of all finished mailboxes */
  writeMissingIndexes(firsts: readonly number[]): void {
    const isStopped = (): boolean => this.#stopped !== undefined;
    const next = this.#lastSequence + 1;
    this.#indexing = writeMissingIndexes(this.#runtime.disk, this.#folder, firsts, next, isStopped);
  }

  #lookLater(): void {
    this.#look = this.#runtime.clock.after(lookMs, () => {
      void this.#mutex.run(() => this.#lookNow());
    });
  }

  /** Looks after the files of the log as long as the writer works, also when nothing is written. */
  async #lookNow(): Promise<void> {
    if (this.#stopped) return;
    try {
      this.#checkMayAnswer();
      const logId = await readLogId(this.#runtime.disk, this.#spool);
      if (logId !== this.#logId) throw damagedLogId(this.#spool, logId === undefined ? 'is missing' : 'was changed');
      await this.#publisher.restore();
      this.#lookLater();
    } catch (error) {
      this.#stop(error);
    }
  }

  async #mailboxWithRoom(): Promise<OpenMailbox> {
    if (this.#mailbox && !this.#isFull(this.#mailbox)) return this.#mailbox;
    if (this.#mailbox) await seal(this.#runtime.disk, this.#folder, this.#mailbox);
    this.#mailbox = await beginMailbox(this.#runtime, this.#lock, this.#folder, this.#lastSequence + 1);
    await this.#deduplicator?.rotated(this.#mailbox.first);
    return this.#mailbox;
  }

  #isFull({ size, begun, offsets }: OpenMailbox): boolean {
    const age = this.#runtime.clock.elapsed() - begun;
    return (
      size >= this.#rotation.bytes || offsets.length >= this.#rotation.count || age >= this.#rotation.seconds * 1000
    );
  }

  #stop(cause: unknown): Error {
    if (!this.#stopped) {
      const error = cause instanceof Error ? cause : new Error(messageOf(cause));
      this.#stopped = error;
      this.#lost.resolve(error);
    }
    return this.#stopped;
  }

  /** Seals the newest mailbox and gives the lock back. After an error it only closes what is open. */
  close(): Promise<void> {
    this.#closing ??= this.#mutex.run(() => this.#close());
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#look?.cancel();
    const failed = this.#stopped !== undefined;
    this.#stopped ??= new Error('the log is closed');
    await this.#indexing;
    await this.#deduplicator?.close(!failed);
    if (failed) {
      await this.#mailbox?.file.close();
      await this.#publisher.close(false);
      await this.#lock.release();
      return;
    }
    if (this.#mailbox) await seal(this.#runtime.disk, this.#folder, this.#mailbox);
    await this.#publisher.close(true);
    await this.#lock.release();
  }
}

/**
 * Takes the fenced lock of the log in `spool` and recovers it.
 * @param duplicateMs how long a kept request is known when it comes again; 0: not at all
 * @param rehearsal whether this is a rehearsal's log, and is to be begun as one
 * @returns the writer, and what recovery found
 * @throws InUseError, DamagedLogError, ConfigError for a log of the other kind, or what the disk says
 */
export async function openMailboxWriter(
  runtime: Runtime,
  locks: Locks,
  spool: string,
  rotation: Rotation,
  duplicateMs = 0,
  rehearsal = false,
): Promise<{ writer: RequestWriter; recovered: Recovered; epoch: string }> {
  const { disk } = runtime;
  const folder = mailboxFolder(spool);
  const lock = await acquireFencedLock(runtime, locks, spool, 'intake', [spool, folder]);
  let deduplicator: Deduplicator | undefined;
  try {
    await disk.makeFolder(folder);
    await disk.syncFolder(spool);
    const committed = readCommitPosition(disk, spool);
    const begun = (committed?.sequence ?? 0) > 0 || (await listMailboxes(disk, folder)).length > 0;
    const logId = await logIdFor(runtime, lock, spool, rehearsal, begun);
    const recovered = await recover(disk, folder, logId, committed, lock, duplicateMs > 0);
    const { lastSequence } = recovered;
    await assertJournalsCovered(disk, spool, logId, lastSequence);
    const firsts = (await listMailboxes(disk, folder)).filter((first) => first <= lastSequence);
    if (duplicateMs > 0) deduplicator = await Deduplicator.open(runtime, folder, firsts, lastSequence + 1, duplicateMs);
    const position = { sequence: lastSequence, mailbox: lastSequence + 1, offset: 0 };
    const publisher = await publishCommitPosition(disk, lock, spool, position);
    const writer = new MailboxWriter(runtime, spool, logId, rotation, lock, publisher, recovered, deduplicator);
    writer.writeMissingIndexes(firsts);
    return { writer, recovered, epoch: lock.epochName };
  } catch (error) {
    await deduplicator?.close(false);
    await lock.release();
    throw error;
  }
}
