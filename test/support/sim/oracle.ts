// What must hold, whatever happened. Told everything that anybody outside was told (numbers given, requests seen, journal events
// kept), it looks at a recovered spool and throws a Violation when a promise was broken.

import type { NewRequest, StoredRequest } from '../../../src/model/request.ts';
import type { Runtime } from '../../../src/ports/runtime.ts';
import type { Subject } from './subject.ts';

/** A promise was broken. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export class Oracle {
  readonly #subject: Subject;
  readonly #spool: string;
  readonly #submitted = new Map<string, NewRequest>();
  /** Sequence → id, for every number that was given out. */
  readonly #acknowledged = new Map<number, string>();
  /** What was answered with the number of an earlier copy. */
  readonly #repeats: { readonly sequence: number; readonly request: NewRequest }[] = [];
  /** Sequence → chain hash, for everything that somebody has read. */
  readonly #seen = new Map<number, string>();
  readonly #epochs = new Set<number>();
  #lastEpoch = 0;

  constructor(subject: Subject, spool: string) {
    this.#subject = subject;
    this.#spool = spool;
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size;
  }

  /** The highest sequence that anybody outside knows of. */
  get knownThrough(): number {
    return [...this.#acknowledged.keys(), ...this.#seen.keys()].reduce((a, b) => Math.max(a, b), 0);
  }

  submitted(request: NewRequest): void {
    this.#submitted.set(request.id, request);
  }

  acknowledged(sequence: number, id: string): void {
    const other = this.#acknowledged.get(sequence);
    if (other !== undefined && other !== id) throw new Violation(`number ${sequence} was given to two requests`);
    this.#acknowledged.set(sequence, id);
  }

  repeated(sequence: number, request: NewRequest): void {
    this.#repeats.push({ sequence, request });
  }

  /** A follower was given a request. */
  seen(request: StoredRequest): void {
    const before = this.#seen.get(request.sequence);
    if (before !== undefined && before !== request.chain) {
      throw new Violation(`request ${request.sequence} was seen as two different ones`);
    }
    this.#seen.set(request.sequence, request.chain);
  }

  /** The newest epoch in which a writer has opened the log. */
  get lastEpoch(): number {
    return this.#lastEpoch;
  }

  /**
   * A writer has opened the log.
   * @param before the newest epoch when it began to
   * @returns whether its epoch is the newest; another one was stalled while it opened and has been replaced
   */
  opened(epochName: string, before: number): boolean {
    const epoch = Number.parseInt(epochName, 10);
    if (this.#epochs.has(epoch) || epoch <= before) throw new Violation(`epoch ${epoch} is opened after ${before}`);
    this.#epochs.add(epoch);
    this.#lastEpoch = Math.max(this.#lastEpoch, epoch);
    return epoch === this.#lastEpoch;
  }

  /** Looks at a spool as a power cut left it: what the next writer recovers by itself is no damage. */
  async checkUnrecovered(runtime: Runtime): Promise<void> {
    const { problems } = await this.#subject.verifyLog(runtime.disk, this.#spool);
    const damage = problems.filter((problem) => !problem.includes('holds no log'));
    if (damage.length > 0) throw new Violation(`verify before recovery: ${damage.join('; ')}`);
  }

  /**
   * Looks at a spool that a writer has just recovered.
   * @returns how many requests it holds
   */
  async check(runtime: Runtime, lastSequence: number): Promise<number> {
    const report = await this.#subject.verifyLog(runtime.disk, this.#spool);
    if (report.problems.length > 0) throw new Violation(`verify: ${report.problems.join('; ')}`);
    const reader = this.#subject.openReader(runtime, this.#spool);
    const all: StoredRequest[] = [];
    for (;;) {
      const some = await reader.read(all.length, { count: 1_000, bytes: 10_000_000 });
      if (some.length === 0) break;
      all.push(...some);
    }
    if (all.length < lastSequence) {
      throw new Violation(`the writer goes on after ${lastSequence}, but only ${all.length} can be read`);
    }
    this.#checkRequests(all);
    return all.length;
  }

  #checkRequests(all: readonly StoredRequest[]): void {
    const places = new Map<string, number>();
    for (const [index, stored] of all.entries()) {
      const { sequence, id } = stored;
      if (sequence !== index + 1) throw new Violation(`request ${sequence} stands in place ${index + 1}`);
      if (places.has(id)) throw new Violation(`requests ${places.get(id)} and ${sequence} are the same one`);
      places.set(id, sequence);
      const sent = this.#submitted.get(id);
      if (!sent) throw new Violation(`request ${sequence} was never sent`);
      const same =
        sent.message.equals(stored.message) &&
        JSON.stringify([sent.envelope, sent.client, sent.receivedAt]) ===
          JSON.stringify([stored.envelope, stored.client, stored.receivedAt]);
      if (!same) throw new Violation(`request ${sequence} is not what was sent`);
    }
    for (const [sequence, id] of this.#acknowledged) {
      const there = all[sequence - 1]?.id;
      if (there !== id) {
        throw new Violation(`acknowledged request ${sequence} ${there === undefined ? 'is lost' : 'is another now'}`);
      }
    }
    for (const { sequence, request } of this.#repeats) {
      if (all[sequence - 1]?.message.equals(request.message) !== true) {
        throw new Violation(`a request was acknowledged as a copy of ${sequence}, which is none`);
      }
    }
    for (const [sequence, chain] of this.#seen) {
      if (all[sequence - 1]?.chain !== chain) {
        throw new Violation(`request ${sequence} was seen by a follower and does not exist any more`);
      }
    }
  }
}
