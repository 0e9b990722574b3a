// Recognises a request that is kept already when it comes again. Takes a request's fingerprint, gives the sequence of the first
// one. What it remembers is never an authority: a hit counts only when the record itself is read and has the same fingerprint
// within the window. What cannot be read or proved is no hit: the request then gets a number of its own, which loses
// nothing. Keeps the table in memory and writes the fingerprint files beside the mailboxes.

import { join } from 'node:path';
import type { NewRequest, StoredRequest } from '../../model/request.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { DiskFile, Runtime } from '../../ports/runtime.ts';
import { fingerprintOf } from './fingerprint.ts';
import {
  keyOf,
  MailboxFingerprints,
  newestFingerprint,
  readFingerprints,
  writeFingerprints,
} from './fingerprint-file.ts';
import { FingerprintTable } from './fingerprint-table.ts';
import { BrokenRecord, decodeRecord } from '../mailbox/record-codec.ts';
import { indexedOffset, lastRawRecord, mailboxName, rawRecords, writeIndex } from '../mailbox/mailbox-file.ts';

/** A finished mailbox and how many requests it holds. */
interface Finished {
  readonly first: number;
  readonly count: number;
}

export class Deduplicator {
  readonly #runtime: Runtime;
  readonly #folder: string;
  readonly #windowMs: number;
  readonly #table = new FingerprintTable();
  readonly #firsts: number[] = [];
  #current: MailboxFingerprints;
  #rebuilding: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(runtime: Runtime, folder: string, windowMs: number, first: number) {
    this.#runtime = runtime;
    this.#folder = folder;
    this.#windowMs = windowMs;
    this.#current = new MailboxFingerprints(first);
  }

  /**
   * Loads what the files beside the mailboxes say. Mailboxes without a good file are read in the background, after the log
   * is open: until then a copy of one of their requests gets a number of its own.
   * @param firsts first sequences of all finished mailboxes, ascending @param next first sequence of the one just begun
   * @param windowMs how long a kept request's copies are known, milliseconds
   */
  static async open(
    runtime: Runtime,
    folder: string,
    firsts: readonly number[],
    next: number,
    windowMs: number,
  ): Promise<Deduplicator> {
    const deduplicator = new Deduplicator(runtime, folder, windowMs, next);
    deduplicator.#firsts.push(...firsts);
    const missing: Finished[] = [];
    const recent: Finished[] = [];
    for (const [i, first] of [...firsts.entries()].toReversed()) {
      const finished = { first, count: (firsts[i + 1] ?? next) - first };
      const newest = await newestFingerprint(runtime.disk, folder, first);
      if (newest !== undefined && deduplicator.#until(newest) <= runtime.clock.elapsed()) break;
      recent.unshift(finished);
    }
    for (const finished of recent) {
      const fingerprints = await readFingerprints(runtime.disk, folder, finished.first, finished.count);
      if (!fingerprints)
        missing.unshift(finished); // the newest first: the likeliest to come again
      else {
        const until = deduplicator.#until(fingerprints.newest);
        fingerprints.each((sequence, high, low) =>
          deduplicator.#table.add(sequence, { high, low }, until, runtime.clock.elapsed()),
        );
      }
    }
    deduplicator.#rebuilding = deduplicator.#rebuild(missing);
    return deduplicator;
  }

  /** When a request of that age may be forgotten, on the clock that never jumps: a wall clock put forward forgets nothing. */
  #until(receivedAt: number): number {
    const { clock } = this.#runtime;
    return clock.elapsed() - Math.max(0, clock.now() - receivedAt) + this.#windowMs;
  }

  /** A request with that first sequence begins a new mailbox: the one before is finished, and its file is written. */
  async rotated(first: number): Promise<void> {
    const finished = this.#current;
    this.#current = new MailboxFingerprints(first);
    if (finished.count === 0) return;
    this.#firsts.push(finished.first);
    await writeFingerprints(this.#runtime.disk, this.#folder, finished);
  }

  /** Remembers a request that is kept now. Every request of a mailbox, in order. */
  add(sequence: number, request: NewRequest): void {
    const { fingerprint, receivedAt } = request;
    this.#current.push(receivedAt, fingerprint);
    if (fingerprint === undefined) return;
    const now = this.#runtime.clock.elapsed();
    this.#table.add(sequence, keyOf(fingerprint), now + this.#windowMs, now);
  }

  /** Sequences that may be this request's first, ascending; most often none. */
  candidates(request: NewRequest): readonly number[] {
    return request.fingerprint === undefined ? [] : this.#table.find(keyOf(request.fingerprint));
  }

  /**
   * The first of the candidates that is the same request, kept within the window; undefined when none is.
   * @param offsetNow where a record of the mailbox that is being written starts; undefined for others
   */
  async prove(
    request: NewRequest,
    candidates: readonly number[],
    offsetNow: (sequence: number) => number | undefined,
  ): Promise<number | undefined> {
    for (const sequence of candidates) {
      const kept = await this.#read(sequence, offsetNow(sequence));
      if (!kept || request.receivedAt - kept.receivedAt > this.#windowMs) continue;
      if (fingerprintOf(kept) === request.fingerprint) return sequence;
    }
    return undefined;
  }

  async #read(sequence: number, offsetNow: number | undefined): Promise<StoredRequest | undefined> {
    const { disk } = this.#runtime;
    const first = offsetNow === undefined ? this.#firsts.findLast((each) => each <= sequence) : this.#current.first;
    if (first === undefined) return undefined;
    try {
      const offset = offsetNow ?? (await indexedOffset(disk, this.#folder, first, sequence));
      const file = await disk.open(join(this.#folder, mailboxName(first)), 'read');
      try {
        const size = await file.size();
        const found = offset === undefined ? undefined : await recordAt(file, offset, size, sequence);
        if (found || offsetNow !== undefined) return found;
        // The index is missing or wrong: made anew, once.
        const offsets: number[] = [];
        for await (const raw of rawRecords(file, 0, size)) offsets.push(raw.offset);
        await writeIndex(disk, this.#folder, first, offsets);
        return await recordAt(file, offsets[sequence - first] ?? size, size, sequence);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (error instanceof BrokenRecord || errorCode(error) !== undefined) return undefined;
      throw error;
    }
  }

  async #rebuild(missing: readonly Finished[]): Promise<void> {
    const { disk, clock } = this.#runtime;
    for (const { first, count } of missing) {
      if (this.#closed) return;
      try {
        const file = await disk.open(join(this.#folder, mailboxName(first)), 'read');
        const fingerprints = new MailboxFingerprints(first);
        try {
          const last = await lastRawRecord(file);
          if (!last || this.#until(decodeRecord(last).request.receivedAt) <= clock.elapsed()) return;
          for await (const { bytes } of rawRecords(file, 0, await file.size(), 262_144)) {
            if (this.#closed) return;
            const { request } = decodeRecord(bytes);
            fingerprints.push(request.receivedAt, fingerprintOf(request));
          }
        } finally {
          await file.close();
        }
        this.#table.addOlder(first, count, this.#until(fingerprints.newest), clock.elapsed(), (add) =>
          fingerprints.each(add),
        );
        await writeFingerprints(disk, this.#folder, fingerprints);
      } catch (error) {
        // A mailbox that cannot be read is for recovery and `verify` to report.
        if (!(error instanceof BrokenRecord) && errorCode(error) === undefined) throw error;
      }
    }
  }

  /** Resolves when every mailbox within the window is known. */
  get complete(): Promise<void> {
    return this.#rebuilding;
  }

  /** Ends the reading in the background; with `healthy` the newest mailbox, which is sealed, gets its file. */
  async close(healthy: boolean): Promise<void> {
    this.#closed = true;
    await this.#rebuilding;
    if (healthy && this.#current.count > 0) await writeFingerprints(this.#runtime.disk, this.#folder, this.#current);
  }
}

/** The record at a byte, if it is that of `sequence`. */
async function recordAt(
  file: DiskFile,
  offset: number,
  size: number,
  sequence: number,
): Promise<StoredRequest | undefined> {
  for await (const { bytes } of rawRecords(file, offset, size, 16_384)) {
    try {
      const { request } = decodeRecord(bytes);
      return request.sequence === sequence ? request : undefined;
    } catch (error) {
      if (error instanceof BrokenRecord) return undefined;
      throw error;
    }
  }
  return undefined;
}
