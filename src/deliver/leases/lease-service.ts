// The lease service: who holds which requests, and what becomes of them. Takes calls of the contract, one after the other, gives
// their answers once what they change is durable; throws QueueError. Mails are read outside of the turn. Never logs a token.

import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { ParseMail } from '../../model/parsed-mail.ts';
import type { RequestReader } from '../../ports/request-log.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Input, Output } from '../soap/contract.ts';
import { asDelivered, readViews } from '../soap/delivered-request.ts';
import { QueueError } from '../soap/fault.ts';
import type { Lease } from './lease-state.ts';
import { LiveLeases, tokenOf } from './live-leases.ts';
import type { LeaseStore } from './lease-store.ts';
import { readAll } from './queue-reader.ts';
import { toRanges } from '../../model/range-set.ts';
import type { FetchPolicy } from './fetch-policy.ts';
import type { Caller } from '../soap/dispatch.ts';
import { waitForMore } from './long-poll.ts';

interface Parts {
  readonly limits: Config['soap'];
  /** Whether there may be more than one lease at a time. */
  readonly several: boolean;
  readonly policy: FetchPolicy;
  readonly clock: Clock;
  readonly reader: RequestReader;
  readonly leaseStore: LeaseStore;
  readonly parseMail: ParseMail;
  readonly log: Logger;
}

/** What a Fetch was decided to get, before the mails are read for what they ask. */
interface Leased {
  readonly batchId: string;
  readonly requests: readonly StoredRequest[];
  /** How often each of the requests was delivered, this time included. */
  readonly deliveries: readonly number[];
  readonly ready: number;
}

/** What came of one attempt of a Fetch. */
interface Tried {
  readonly durable: number;
  /** Whose names are to be read before the next attempt. */
  readonly unread: readonly number[];
  readonly leased?: Leased;
}

/** The longest that one Fetch reads mails for their names, in milliseconds. */
const learnMs = 2_000;

export class LeaseService {
  readonly #parts: Parts;
  readonly #live: LiveLeases;
  readonly #stopping = new AbortController();
  /** Leases whose first answer is still being made, and that no other call was given. */
  readonly #unheard = new Set<string>();
  #batches = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#live = new LiveLeases(parts);
  }

  /** Ends every wait. */
  stop(): void {
    this.#stopping.abort();
    this.#live.stop();
  }

  /** Leases what comes next; with waitMs it waits until there is something. An empty batch has no lease. */
  async fetch(input: Input<'Fetch'>, caller: Caller): Promise<Output<'Fetch'>> {
    const { limits, clock, leaseStore, policy } = this.#parts;
    const deadline = clock.elapsed() + Math.min(input.waitMs ?? 0, limits.wait_seconds_max * 1_000);
    const learnUntil = clock.elapsed() + learnMs;
    const enough = (): boolean => clock.elapsed() >= learnUntil || caller.signal.aborted;
    for (;;) {
      const { leased, durable, unread } = await leaseStore.inTurn(() => this.#tryFetch(input, caller, enough()));
      if (leased) return this.#show(leased, caller);
      if (unread.length > 0) {
        await policy.learn(unread, enough);
        continue;
      }
      const left = deadline - clock.elapsed();
      if (left <= 0 || caller.signal.aborted || this.#stopping.signal.aborted) return { request: [], ready: 0 };
      await waitForMore(this.#parts, durable, left, [caller.signal, this.#stopping.signal]);
    }
  }

  /** @param final whether what is known now has to do; otherwise nothing is leased while more could be learned */
  async #tryFetch(input: Input<'Fetch'>, { owner, signal }: Caller, final: boolean): Promise<Tried> {
    const { limits, several, policy, reader, leaseStore } = this.#parts;
    const { state } = leaseStore;
    if (state.paused !== undefined) throw new QueueError('PAUSED', `The delivery is paused: ${state.paused}`);
    const live = state.leases.filter((lease) => this.#live.isLive(lease));
    const durable = await reader.durable();
    const mine = live.find(
      (lease) => lease.owner === owner && lease.clientId === input.clientId && lease.attemptId === input.attemptId,
    );
    if (mine) return { durable, unread: [], leased: await this.#giveAgain(mine, durable) };
    if (live[0] && !several) throw this.#live.heldBy(live[0]);
    const { requests, unread } = await policy.choose(
      {
        line: state.line(durable),
        held: new Set(live.flatMap(({ held }) => [...held])),
        delayed: new Set([...state.delays()].flatMap(([each, until]) => (this.#live.isDelayed(until) ? [each] : []))),
      },
      {
        count: Math.min(input.max, limits.batch_count),
        bytes: Math.min(input.maxBytes ?? limits.batch_bytes, limits.batch_bytes),
      },
    );
    // Whoever has hung up gets no lease: nobody would know its token.
    if (unread.length > 0 && !final) return { durable, unread };
    if (requests.length === 0 || signal.aborted) return { durable, unread: [] };
    return { durable, unread: [], leased: await this.#lease(input, owner, requests, durable) };
  }

  async #lease(
    { clientId, attemptId, leaseMs }: Input<'Fetch'>,
    owner: string,
    requests: readonly StoredRequest[],
    durable: number,
  ): Promise<Leased> {
    const { leaseStore, clock, log } = this.#parts;
    const { state, epoch } = leaseStore;
    const ms = this.#live.allowed(leaseMs);
    const batchId = `${epoch}-${++this.#batches}`;
    const expired = state.leases.filter((lease) => !this.#live.isLive(lease));
    const window = toRanges(requests.map(({ sequence }) => sequence));
    await leaseStore.commit([
      ...expired.map((lease) => ({ type: 'returned', batchId: lease.batchId }) as const),
      { type: 'leased', batchId, owner, clientId, attemptId, until: clock.now() + ms, ms, window },
    ]);
    for (const lease of expired) this.#live.end(lease.batchId);
    this.#live.begin(batchId, ms);
    this.#unheard.add(batchId);
    const places = { from: requests[0]?.sequence, to: requests.at(-1)?.sequence, ticket: requests[0]?.ticket };
    log.info({ batchId, clientId, attemptId, ...places, count: requests.length, leaseMs: ms }, 'batch leased');
    return this.#leased(batchId, requests, durable);
  }

  async #giveAgain(lease: Lease, durable: number): Promise<Leased> {
    const { reader, log } = this.#parts;
    const { batchId, clientId, attemptId } = lease;
    const held = lease.window.filter((sequence) => lease.held.has(sequence));
    const requests = await readAll(reader, held);
    this.#unheard.delete(batchId);
    log.info({ batchId, clientId, attemptId, from: held[0], to: held.at(-1) }, 'batch given again');
    return this.#leased(batchId, requests, durable);
  }

  #leased(batchId: string, requests: readonly StoredRequest[], durable: number): Leased {
    const { leaseStore, clock } = this.#parts;
    const { state } = leaseStore;
    const deliveries = requests.map(({ sequence }) => state.deliveries(sequence));
    return { batchId, requests, deliveries, ready: state.counts(durable, clock.now()).ready };
  }

  /**
   * The answer to a Fetch. What the mails ask for is only a view: it is read when the lease is decided and others may go on,
   * and for no longer than a quarter of the lease.
   */
  async #show({ batchId, requests, deliveries, ready }: Leased, { signal }: Caller): Promise<Output<'Fetch'>> {
    const { leaseStore, clock, parseMail } = this.#parts;
    const views = await readViews(requests, parseMail, clock, this.#live.left(batchId) / 4);
    if (signal.aborted) await this.#giveBack(batchId);
    else this.#unheard.delete(batchId);
    return {
      batchId,
      leaseToken: tokenOf(leaseStore.secret, batchId),
      leaseExpires: this.#live.expiryOf(batchId),
      request: views.map(({ request, parsed }, i) => asDelivered(request, deliveries[i] ?? 0, parsed)),
      ready,
      ...(requests[0] && { oldestReceivedAt: requests[0].receivedAt }),
    };
  }

  /** A lease of which no client can have heard, because the only call that was given it has hung up, ends at once. */
  async #giveBack(batchId: string): Promise<void> {
    const { leaseStore, log } = this.#parts;
    await leaseStore.inTurn(async () => {
      if (!this.#unheard.delete(batchId) || !leaseStore.state.leaseOf(batchId)) return;
      await leaseStore.commit([{ type: 'returned', batchId }]);
      log.info({ batchId }, 'batch given back: its client has hung up');
      this.#live.tidy(batchId);
    });
  }

  /** Settles what a lease holds up to a sequence; what is settled already may be confirmed again. */
  confirm({ leaseToken, throughSequence, outcome }: Input<'Confirm'>, caller: Caller): Promise<Output<'Confirm'>> {
    const { leaseStore, log } = this.#parts;
    return leaseStore.inTurn(async () => {
      const { state } = leaseStore;
      const { batchId, lease } = this.#live.open(leaseToken, caller);
      const place = lease?.window.indexOf(throughSequence) ?? -1;
      const sequences = lease?.window.slice(0, place + 1).filter((sequence) => lease.held.has(sequence)) ?? [];
      if (sequences.length > 0) {
        await leaseStore.commit([{ type: 'confirmed', batchId, sequences: toRanges(sequences) }]);
        const places = { from: sequences[0], to: throughSequence, count: sequences.length };
        log.info({ batchId, clientId: lease?.clientId, ...places, outcome }, 'batch confirmed');
        this.#live.tidy(batchId);
      } else if (place < 0 && !state.isSettled(throughSequence)) {
        if (!lease) throw this.#live.lost();
        const { confirmedThrough } = state;
        throw new QueueError('OUT_OF_ORDER', `${throughSequence} is not in this lease.`, { confirmedThrough });
      }
      return {
        confirmedThrough: state.confirmedThrough,
        remaining: (lease && state.leaseOf(batchId))?.held.size ?? 0,
        alreadyConfirmed: sequences.length === 0,
      };
    });
  }

  /** Sets a lease's end anew, counted from now. */
  extend({ leaseToken, leaseMs }: Input<'Extend'>, caller: Caller): Promise<Output<'Extend'>> {
    const { leaseStore, clock, log } = this.#parts;
    return leaseStore.inTurn(async () => {
      const { batchId } = this.#live.openLive(leaseToken, caller);
      const ms = this.#live.allowed(leaseMs);
      await leaseStore.commit([{ type: 'extended', batchId, until: clock.now() + ms, ms }]);
      this.#live.begin(batchId, ms);
      log.info({ batchId, leaseMs: ms }, 'lease extended');
      return { leaseExpires: this.#live.expiryOf(batchId) };
    });
  }

  /** Gives the end of a window back to its place in the queue. */
  release({ leaseToken, fromSequence, delayMs }: Input<'Release'>, caller: Caller): Promise<Output<'Release'>> {
    const { leaseStore, clock, log } = this.#parts;
    return leaseStore.inTurn(async () => {
      const { batchId, lease } = this.#live.openLive(leaseToken, caller);
      const place = lease.window.indexOf(fromSequence);
      const back = place < 0 ? [] : lease.window.slice(place).filter((sequence) => lease.held.has(sequence));
      if (back.length === 0) return { releasedCount: 0 };
      const notBefore = delayMs ? clock.now() + delayMs : 0;
      await leaseStore.commit([{ type: 'returned', batchId, from: fromSequence, notBefore }]);
      if (delayMs) this.#live.delay(notBefore, delayMs);
      log.info({ batchId, clientId: lease.clientId, from: back[0], to: back.at(-1), delayMs }, 'batch released');
      this.#live.tidy(batchId);
      return { releasedCount: back.length };
    });
  }

  /** Sets one request aside. */
  park({ leaseToken, sequence, reasonCode, reasonText }: Input<'Park'>, caller: Caller): Promise<Output<'Park'>> {
    const { leaseStore, clock, log } = this.#parts;
    return leaseStore.inTurn(async () => {
      const { batchId, lease } = this.#live.open(leaseToken, caller);
      const parkId = `${batchId}-${sequence}`;
      if (leaseStore.state.parkedAs(sequence)?.parkId === parkId) return { parkId };
      if (!lease) throw this.#live.lost();
      if (!lease.held.has(sequence)) throw new QueueError('OUT_OF_ORDER', `${sequence} is not held by this lease.`);
      const parked = { sequence, parkId, reasonCode, reasonText, parkedBy: lease.clientId, parkedAt: clock.now() };
      await leaseStore.commit([{ type: 'parked', batchId, ...parked }]);
      log.warn({ batchId, ...parked }, 'request parked');
      this.#live.tidy(batchId);
      return { parkId };
    });
  }
}
