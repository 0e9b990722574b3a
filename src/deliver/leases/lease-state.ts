// What the registry has done with the order so far: the state behind the deliver journal. Pure: takes events, answers
// questions; no clock, no I/O, never fails. The services share one; `seawall status` and `verify` replay one to look at.

import type { JournalState } from '../../ports/journal.ts';
import { RequestQueue, type LineRecord } from './request-queue.ts';
import { fromRanges, type Range, toRanges } from '../../model/range-set.ts';

/** The name of the journal of this state. */
export const journalName = 'deliver';

interface LeaseRecord {
  readonly batchId: string;
  /** The name under which the client logged in; empty when the authenticator was open. */
  readonly owner: string;
  readonly clientId: string;
  readonly attemptId: string;
  /** Wall clock, milliseconds: for people, and for what is left of it after a restart. */
  readonly until: number;
  /** How long it was granted for. */
  readonly ms: number;
  readonly window: readonly Range[];
}

/** A request that was set aside. */
export interface Parked {
  readonly sequence: number;
  readonly parkId: string;
  readonly reasonCode: string;
  readonly reasonText: string;
  /** The client that parked it. */
  readonly parkedBy: string;
  readonly parkedAt: number;
}

export type DeliverEvent =
  /** The key of the lease tokens, made once. */
  | { readonly type: 'secret'; readonly secret: string }
  /** What a snapshot begins with. `delivered`: first, last, how often, not before (0: at once). */
  | {
      readonly type: 'base';
      readonly line: LineRecord;
      readonly delivered: readonly (readonly [number, number, number, number])[];
    }
  | ({ readonly type: 'leased' } & LeaseRecord)
  /** A lease as a snapshot keeps it: `held` is what is left of its window. */
  | ({ readonly type: 'holds'; readonly held: readonly Range[] } & LeaseRecord)
  | { readonly type: 'extended'; readonly batchId: string; readonly until: number; readonly ms: number }
  | { readonly type: 'confirmed'; readonly batchId: string; readonly sequences: readonly Range[] }
  /** Given back to its place in the queue, undone: the end of the window from `from` on, or all of it. */
  | { readonly type: 'returned'; readonly batchId: string; readonly from?: number; readonly notBefore?: number }
  | ({ readonly type: 'parked'; readonly batchId?: string } & Parked)
  | { readonly type: 'unparked'; readonly sequence: number; readonly after: number; readonly operator: string }
  | { readonly type: 'paused'; readonly reason: string }
  | { readonly type: 'resumed' };

type EventOf<Type extends DeliverEvent['type']> = Extract<DeliverEvent, { readonly type: Type }>;

/** A lease in force, or one whose time is over and that has not been ended yet. */
export interface Lease extends Omit<LeaseRecord, 'window'> {
  /** What was leased and not released, in the order of the queue. */
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

interface Delivery {
  readonly count: number;
  /** Wall clock; 0: at once. */
  readonly notBefore: number;
}

export class LeaseState implements JournalState<DeliverEvent> {
  #secret: string | undefined;
  #line = new RequestQueue();
  /** What was delivered and is not confirmed. */
  #delivered = new Map<number, Delivery>();
  readonly #leases = new Map<string, Lease>();
  readonly #parked = new Map<number, Parked>();
  #paused: string | undefined;

  apply(event: DeliverEvent): void {
    if (event.type === 'secret') this.#secret = event.secret;
    else if (event.type === 'base') this.#begin(event);
    else if (event.type === 'leased') this.#lease(event);
    else if (event.type === 'holds') this.#hold(event, event.held);
    else if (event.type === 'extended') this.#change(event.batchId, { until: event.until, ms: event.ms });
    else if (event.type === 'confirmed') this.#confirm(event);
    else if (event.type === 'returned') this.#return(event);
    else if (event.type === 'parked') this.#park(event);
    else if (event.type === 'unparked') {
      this.#parked.delete(event.sequence);
      this.#line.putBack(event.sequence, event.after);
    } else this.#paused = event.type === 'paused' ? event.reason : undefined;
  }

  snapshot(): DeliverEvent[] {
    const delivered: [number, number, number, number][] = [];
    for (const [sequence, { count, notBefore }] of [...this.#delivered].toSorted(([a], [b]) => a - b)) {
      const last = delivered.at(-1);
      if (last && last[1] + 1 === sequence && last[2] === count && last[3] === notBefore) last[1] = sequence;
      else delivered.push([sequence, sequence, count, notBefore]);
    }
    const events: DeliverEvent[] = [{ type: 'base', line: this.#line.record(), delivered }];
    if (this.#secret !== undefined) events.push({ type: 'secret', secret: this.#secret });
    for (const lease of this.#leases.values()) {
      events.push({ ...lease, type: 'holds', window: toRanges(lease.window), held: toRanges(lease.held) });
    }
    for (const parked of this.#parked.values()) events.push({ type: 'parked', ...parked });
    if (this.#paused !== undefined) events.push({ type: 'paused', reason: this.#paused });
    return events;
  }

  #begin({ line, delivered }: EventOf<'base'>): void {
    this.#line = new RequestQueue(line);
    for (const [first, last, count, notBefore] of delivered) {
      for (const sequence of fromRanges([[first, last]])) this.#delivered.set(sequence, { count, notBefore });
    }
  }

  #lease(event: EventOf<'leased'>): void {
    this.#hold(event, event.window);
    for (const sequence of fromRanges(event.window)) {
      this.#delivered.set(sequence, { count: this.deliveries(sequence) + 1, notBefore: 0 });
    }
  }

  #hold({ batchId, owner, clientId, attemptId, until, ms, window }: LeaseRecord, held: readonly Range[]): void {
    const lease = { batchId, owner, clientId, attemptId, until, ms };
    this.#leases.set(batchId, { ...lease, window: fromRanges(window), held: new Set(fromRanges(held)) });
  }

  #change(batchId: string, change: Partial<Lease>): void {
    const lease = this.#leases.get(batchId);
    if (lease) this.#leases.set(batchId, { ...lease, ...change });
  }

  #confirm({ batchId, sequences }: EventOf<'confirmed'>): void {
    const lease = this.#leases.get(batchId);
    for (const sequence of fromRanges(sequences)) {
      lease?.held.delete(sequence);
      this.#delivered.delete(sequence);
      this.#line.take(sequence);
    }
    if (lease?.held.size === 0) this.#leases.delete(batchId);
  }

  #return({ batchId, from, notBefore = 0 }: EventOf<'returned'>): void {
    const lease = this.#leases.get(batchId);
    if (!lease) return;
    const cut = from === undefined ? 0 : lease.window.indexOf(from);
    for (const sequence of lease.window.slice(cut)) {
      if (lease.held.delete(sequence)) this.#delivered.set(sequence, { count: this.deliveries(sequence), notBefore });
    }
    if (lease.held.size === 0) this.#leases.delete(batchId);
    else this.#change(batchId, { window: lease.window.slice(0, cut) });
  }

  #park({ type: _type, batchId, ...parked }: EventOf<'parked'>): void {
    this.#parked.set(parked.sequence, parked);
    // Without a batch it comes from a snapshot, and the queue knows already.
    if (batchId === undefined) return;
    this.#line.take(parked.sequence);
    const lease = this.#leases.get(batchId);
    lease?.held.delete(parked.sequence);
    if (lease?.held.size === 0) this.#leases.delete(batchId);
  }

  /** Key of the lease tokens, in hexadecimal; undefined before the first holder has made one. */
  get secret(): string | undefined {
    return this.#secret;
  }

  /** Every request up to here is confirmed, or was parked. */
  get confirmedThrough(): number {
    return this.#line.through;
  }

  get confirmedCount(): number {
    return this.#line.leftCount - this.#parked.size;
  }

  /** Why the delivery is paused; undefined when it is not. */
  get paused(): string | undefined {
    return this.#paused;
  }

  get leases(): readonly Lease[] {
    return [...this.#leases.values()];
  }

  leaseOf(batchId: string): Lease | undefined {
    return this.#leases.get(batchId);
  }

  /** Confirmed or parked. */
  isSettled(sequence: number): boolean {
    return !this.#line.has(sequence);
  }

  parkedAs(sequence: number): Parked | undefined {
    return this.#parked.get(sequence);
  }

  /** What is parked behind sequence `after`, in the order of the log. */
  parkedAfter(after: number): Parked[] {
    return [...this.#parked.values()]
      .filter(({ sequence }) => sequence > after)
      .toSorted((a, b) => a.sequence - b.sequence);
  }

  /** How often a request that is not confirmed has been delivered. */
  deliveries(sequence: number): number {
    return this.#delivered.get(sequence)?.count ?? 0;
  }

  /** The requests that were given back with a delay, and the time on the wall clock before which they are not delivered. */
  *delays(): Generator<readonly [sequence: number, notBefore: number]> {
    for (const [sequence, { notBefore }] of this.#delivered) if (notBefore > 0) yield [sequence, notBefore];
  }

  /** What is neither confirmed nor parked, in the order of the queue, up to what is durable. Leases do not matter here. */
  line(durable: number): Iterable<Range> {
    return this.#line.upTo(durable);
  }

  /**
   * How many requests are where.
   * @param durable the highest durable sequence of the log
   * @param now wall clock: a lease whose time is over holds nothing
   */
  counts(durable: number, now: number): Counts {
    const confirmed = this.confirmedCount;
    const parked = this.#parked.size;
    let leased = 0;
    for (const lease of this.#leases.values()) if (lease.until > now) leased += lease.held.size;
    return { ready: Math.max(0, durable - confirmed - leased - parked), leased, parked, confirmed };
  }

  /** Where one request is, for `seawall list`. */
  stateOf(sequence: number, now: number): keyof Counts {
    if (this.#parked.has(sequence)) return 'parked';
    if (this.isSettled(sequence)) return 'confirmed';
    return this.leases.some((lease) => lease.until > now && lease.held.has(sequence)) ? 'leased' : 'ready';
  }
}
