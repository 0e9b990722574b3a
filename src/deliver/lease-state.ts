// What the registry has done with the order so far: the state behind the deliver journal. Pure: takes events, answers
// questions; no clock, no I/O, never fails. The lease desk owns one; `seawall status` and `verify` replay one to look at.

import type { JournalState } from '../ports/journal.ts';
import { fromRanges, type Range, RangeSet, toRanges } from './ranges.ts';

/** The name of the journal of this state. */
export const journalName = 'deliver';

interface LeaseRecord {
  readonly batchId: string;
  readonly clientId: string;
  readonly attemptId: string;
  /** Wall clock, milliseconds: for people, and for what is left of it after a restart. */
  readonly until: number;
  /** How long it was granted for. */
  readonly ms: number;
  readonly window: readonly Range[];
}

export type DeliverEvent =
  /** The key of the lease tokens, made once. */
  | { readonly type: 'secret'; readonly secret: string }
  /** What a snapshot begins with. `delivered`: first, last, how often. */
  | {
      readonly type: 'base';
      readonly confirmedThrough: number;
      readonly confirmed: readonly Range[];
      readonly delivered: readonly (readonly [number, number, number])[];
    }
  | ({ readonly type: 'leased' } & LeaseRecord)
  /** A lease as a snapshot keeps it: `held` is what is left of its window. */
  | ({ readonly type: 'holds'; readonly held: readonly Range[] } & LeaseRecord)
  | { readonly type: 'confirmed'; readonly batchId: string; readonly sequences: readonly Range[] }
  /** Given back to its place in the line, undone. */
  | { readonly type: 'returned'; readonly batchId: string };

/** A lease in force, or one whose time is over and that has not been ended yet. */
export interface Lease extends Omit<LeaseRecord, 'window'> {
  /** What was leased, in the order of the line. */
  readonly window: readonly number[];
  /** What of it is still to be settled. */
  readonly held: Set<number>;
}

export interface Counts {
  readonly ready: number;
  readonly leased: number;
  readonly parked: number;
  readonly confirmed: number;
}

export class LeaseState implements JournalState<DeliverEvent> {
  #secret: string | undefined;
  #confirmedThrough = 0;
  /** Confirmed beyond that. */
  #confirmed = new RangeSet();
  /** How often each was delivered, for what was delivered and is not confirmed. */
  #delivered = new Map<number, number>();
  readonly #leases = new Map<string, Lease>();

  apply(event: DeliverEvent): void {
    if (event.type === 'secret') this.#secret = event.secret;
    else if (event.type === 'base') this.#begin(event);
    else if (event.type === 'leased') this.#lease(event);
    else if (event.type === 'holds') this.#hold(event, event.held);
    else if (event.type === 'confirmed') this.#confirm(event.batchId, event.sequences);
    else this.#leases.delete(event.batchId);
  }

  snapshot(): DeliverEvent[] {
    const delivered: [number, number, number][] = [];
    for (const [sequence, count] of [...this.#delivered].toSorted(([a], [b]) => a - b)) {
      const last = delivered.at(-1);
      if (last && last[1] + 1 === sequence && last[2] === count) last[1] = sequence;
      else delivered.push([sequence, sequence, count]);
    }
    return [
      ...(this.#secret === undefined ? [] : [{ type: 'secret', secret: this.#secret } as const]),
      { type: 'base', confirmedThrough: this.#confirmedThrough, confirmed: this.#confirmed.ranges(), delivered },
      ...[...this.#leases.values()].map((lease): DeliverEvent => ({
        ...lease,
        type: 'holds',
        window: toRanges(lease.window),
        held: toRanges(lease.held),
      })),
    ];
  }

  #begin(base: Extract<DeliverEvent, { type: 'base' }>): void {
    this.#confirmedThrough = base.confirmedThrough;
    this.#confirmed = new RangeSet(base.confirmed);
    this.#leases.clear();
    this.#delivered = new Map(
      base.delivered.flatMap(([first, last, count]) =>
        fromRanges([[first, last]]).map((each) => [each, count] as const),
      ),
    );
  }

  #lease(record: LeaseRecord): void {
    this.#hold(record, record.window);
    for (const sequence of fromRanges(record.window)) this.#delivered.set(sequence, this.deliveries(sequence) + 1);
  }

  #hold({ batchId, clientId, attemptId, until, ms, window }: LeaseRecord, held: readonly Range[]): void {
    const lease = { batchId, clientId, attemptId, until, ms, window: fromRanges(window) };
    this.#leases.set(batchId, { ...lease, held: new Set(fromRanges(held)) });
  }

  #confirm(batchId: string, sequences: readonly Range[]): void {
    const lease = this.#leases.get(batchId);
    for (const sequence of fromRanges(sequences)) {
      lease?.held.delete(sequence);
      this.#delivered.delete(sequence);
      if (sequence === this.#confirmedThrough + 1) {
        this.#confirmedThrough = this.#confirmed.takeFrom(sequence + 1) ?? sequence;
      } else if (sequence > this.#confirmedThrough) this.#confirmed.add(sequence);
    }
    if (lease?.held.size === 0) this.#leases.delete(batchId);
  }

  /** Key of the lease tokens, in hexadecimal; undefined before the first holder has made one. */
  get secret(): string | undefined {
    return this.#secret;
  }

  /** Every request up to here is confirmed. */
  get confirmedThrough(): number {
    return this.#confirmedThrough;
  }

  get confirmedCount(): number {
    return this.#confirmedThrough + this.#confirmed.size;
  }

  get leases(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  leaseOf(batchId: string): Lease | undefined {
    return this.#leases.get(batchId);
  }

  isConfirmed(sequence: number): boolean {
    return sequence <= this.#confirmedThrough || this.#confirmed.has(sequence);
  }

  /** How often a request that is not confirmed has been delivered. */
  deliveries(sequence: number): number {
    return this.#delivered.get(sequence) ?? 0;
  }

  /** What is not confirmed, in the order of the line, up to what is durable. Leases do not matter here. */
  line(durable: number): Iterable<Range> {
    return this.#confirmed.gaps(this.#confirmedThrough + 1, durable);
  }

  /**
   * How many requests are where.
   * @param durable the highest durable sequence of the log
   * @param now wall clock: a lease whose time is over holds nothing
   */
  counts(durable: number, now: number): Counts {
    const confirmed = this.confirmedCount;
    let leased = 0;
    for (const lease of this.#leases.values()) if (lease.until > now) leased += lease.held.size;
    const parked = 0;
    return { ready: Math.max(0, durable - confirmed - leased - parked), leased, parked, confirmed };
  }

  /** Where one request is, for `seawall list`. */
  stateOf(sequence: number, now: number): keyof Counts {
    if (this.isConfirmed(sequence)) return 'confirmed';
    return this.leases.some((lease) => lease.until > now && lease.held.has(sequence)) ? 'leased' : 'ready';
  }
}
