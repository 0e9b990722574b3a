// The lease desk: who holds the head of the line, until when, and what is settled. Strict order: one window at a time.
// Takes calls of the contract, one after the other, gives their answers once what they change is durable; throws
// QueueError. Owns the leases' deadlines, on the clock that never goes back. Never logs a token.

import type { Config } from '../config.ts';
import type { Logger } from '../logger.ts';
import type { StoredRequest } from '../model/request.ts';
import type { RequestReader } from '../ports/request-log.ts';
import type { Clock, Timer } from '../ports/runtime.ts';
import type { Input, Output } from './contract.ts';
import { QueueError } from './fault.ts';
import type { Lease } from './lease-state.ts';
import { batchOf, tokenOf } from './lease-token.ts';
import type { Ledger } from './ledger.ts';
import { readAll, takeFromLine } from './line-reader.ts';
import { toRanges } from './ranges.ts';
import type { Caller } from './soap-dispatch.ts';
import { Turns } from './turns.ts';

interface Deadline {
  /** On the monotonic clock. */
  readonly at: number;
  readonly timer: Timer;
}

interface Parts {
  readonly limits: Config['soap'];
  readonly clock: Clock;
  readonly reader: RequestReader;
  readonly ledger: Ledger;
  readonly log: Logger;
}

export class LeaseDesk {
  readonly #limits: Config['soap'];
  readonly #clock: Clock;
  readonly #reader: RequestReader;
  readonly #ledger: Ledger;
  readonly #log: Logger;
  readonly #turns = new Turns();
  readonly #deadlines = new Map<string, Deadline>();
  readonly #stopping = new AbortController();
  #batches = 0;

  constructor({ limits, clock, reader, ledger, log }: Parts) {
    this.#limits = limits;
    this.#clock = clock;
    this.#reader = reader;
    this.#ledger = ledger;
    this.#log = log;
    // Leases outlive us. The wall clock may have jumped meanwhile: never more time than was granted.
    for (const lease of ledger.state.leases) {
      this.#setDeadline(lease.batchId, Math.min(Math.max(lease.until - clock.now(), 0), lease.ms));
    }
  }

  /** Ends every wait; what is being written is finished. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#turns.run(async () => undefined);
    for (const { timer } of this.#deadlines.values()) timer.cancel();
  }

  #isLive(lease: Lease): boolean {
    return (this.#deadlines.get(lease.batchId)?.at ?? 0) > this.#clock.elapsed();
  }

  /** Leases the head of the line; with waitMs it waits until there is one. An empty batch has no lease. */
  async fetch(input: Input<'Fetch'>, { signal }: Caller): Promise<Output<'Fetch'>> {
    const waitMs = Math.min(input.waitMs ?? 0, this.#limits.wait_seconds_max * 1_000);
    const until = this.#clock.elapsed() + waitMs;
    for (;;) {
      const batch = await this.#turns.run(() => this.#tryFetch(input, signal));
      if (batch) return batch;
      const left = until - this.#clock.elapsed();
      if (left <= 0 || signal.aborted || this.#stopping.signal.aborted) return { request: [], ready: 0 };
      await this.#waitForMore(left, signal);
    }
  }

  async #tryFetch(input: Input<'Fetch'>, signal: AbortSignal): Promise<Output<'Fetch'> | undefined> {
    this.#ledger.check();
    const { state } = this.#ledger;
    const live = state.leases.find((lease) => this.#isLive(lease));
    if (live) return this.#deliverAgain(live, input);
    const durable = await this.#reader.durable();
    const requests = await takeFromLine(this.#reader, state.line(durable), {
      count: Math.min(input.max, this.#limits.batch_count),
      bytes: Math.min(input.maxBytes ?? this.#limits.batch_bytes, this.#limits.batch_bytes),
    });
    // Whoever has hung up gets no lease: nobody would know its token.
    if (requests.length === 0 || signal.aborted) return undefined;
    const { batchId } = await this.#lease(input, requests);
    return this.#batch(batchId, requests, durable);
  }

  async #lease(input: Input<'Fetch'>, requests: readonly StoredRequest[]): Promise<{ batchId: string }> {
    const { state, epoch } = this.#ledger;
    const { clientId, attemptId } = input;
    const ms = Math.min(input.leaseMs ?? this.#limits.lease_seconds * 1_000, this.#limits.lease_seconds_max * 1_000);
    const batchId = `${epoch}-${++this.#batches}`;
    const window = toRanges(requests.map(({ sequence }) => sequence));
    const expired = state.leases.map((lease) => ({ type: 'returned', batchId: lease.batchId }) as const);
    const until = this.#clock.now() + ms;
    this.#setDeadline(batchId, ms);
    await this.#ledger.commit([...expired, { type: 'leased', batchId, clientId, attemptId, until, ms, window }]);
    for (const lease of expired) this.#dropDeadline(lease.batchId);
    const places = { from: requests[0]?.sequence, to: requests.at(-1)?.sequence, ticket: requests[0]?.ticket };
    this.#log.info({ batchId, clientId, attemptId, ...places, count: requests.length, leaseMs: ms }, 'batch leased');
    return { batchId };
  }

  async #deliverAgain(lease: Lease, { clientId, attemptId }: Input<'Fetch'>): Promise<Output<'Fetch'>> {
    const { batchId } = lease;
    if (lease.clientId !== clientId || lease.attemptId !== attemptId) {
      const leaseExpires = this.#expiryOf(lease);
      throw new QueueError('LEASE_HELD', `A lease is held until ${new Date(leaseExpires).toISOString()}.`, {
        leaseExpires,
      });
    }
    const held = lease.window.filter((sequence) => lease.held.has(sequence));
    const requests = await readAll(this.#reader, held);
    this.#log.info({ batchId, clientId, attemptId, from: held[0], to: held.at(-1) }, 'batch given again');
    return this.#batch(batchId, requests, await this.#reader.durable());
  }

  #batch(batchId: string, requests: readonly StoredRequest[], durable: number): Output<'Fetch'> {
    const { state, secret } = this.#ledger;
    const lease = state.leaseOf(batchId);
    const first = requests[0];
    if (!lease || !first) throw new Error(`batch ${batchId} is not there`);
    return {
      batchId,
      leaseToken: tokenOf(secret, batchId),
      leaseExpires: this.#expiryOf(lease),
      request: requests.map((request) => ({
        sequence: request.sequence,
        ticket: request.ticket,
        receivedAt: request.receivedAt,
        envelopeFrom: request.envelope.from,
        clientAddress: request.client.address,
        deliveryCount: state.deliveries(request.sequence),
        size: request.size,
        sha256: request.sha256,
        chain: request.chain,
        message: request.message,
      })),
      ready: state.counts(durable, this.#clock.now()).ready,
      oldestReceivedAt: first.receivedAt,
    };
  }

  /** Settles what a lease holds up to a sequence; what is settled already may be confirmed again. */
  confirm({ leaseToken, throughSequence, outcome }: Input<'Confirm'>): Promise<Output<'Confirm'>> {
    return this.#turns.run(async () => {
      this.#ledger.check();
      const { state } = this.#ledger;
      const batchId = batchOf(this.#ledger.secret, leaseToken);
      if (batchId === undefined) throw this.#lost('This is no lease token of ours.');
      const found = state.leaseOf(batchId);
      const lease = found && this.#isLive(found) ? found : undefined;
      const place = lease?.window.indexOf(throughSequence) ?? -1;
      const sequences = lease?.window.slice(0, place + 1).filter((sequence) => lease.held.has(sequence)) ?? [];
      if (sequences.length > 0) {
        await this.#ledger.commit([{ type: 'confirmed', batchId, sequences: toRanges(sequences) }]);
        const places = { from: sequences[0], to: throughSequence, count: sequences.length };
        this.#log.info({ batchId, clientId: lease?.clientId, ...places, outcome }, 'batch confirmed');
        if (!state.leaseOf(batchId)) this.#dropDeadline(batchId);
      } else if (!state.isConfirmed(throughSequence)) {
        const { confirmedThrough } = state;
        if (!lease) throw this.#lost('This lease has ended; its requests went back to the head of the line.');
        throw new QueueError('OUT_OF_ORDER', `${throughSequence} is not in this lease.`, { confirmedThrough });
      }
      return {
        confirmedThrough: state.confirmedThrough,
        remaining: (lease && state.leaseOf(batchId))?.held.size ?? 0,
        alreadyConfirmed: sequences.length === 0,
      };
    });
  }

  #lost(message: string): QueueError {
    return new QueueError('LEASE_LOST', message, { confirmedThrough: this.#ledger.state.confirmedThrough });
  }

  /** As a wall clock shows it now, even if it has jumped since the lease was made. */
  #expiryOf({ batchId }: Lease): number {
    const at = this.#deadlines.get(batchId)?.at ?? 0;
    return Math.round(this.#clock.now() + Math.max(at - this.#clock.elapsed(), 0));
  }

  #setDeadline(batchId: string, ms: number): void {
    const timer = this.#clock.after(ms, () => {
      const lease = this.#ledger.state.leaseOf(batchId);
      if (!lease || this.#isLive(lease)) return;
      const held = lease.window.filter((sequence) => lease.held.has(sequence));
      const places = { from: held[0], to: held.at(-1), count: held.length };
      this.#log.warn({ batchId, clientId: lease.clientId, ...places }, 'lease expired');
    });
    this.#deadlines.set(batchId, { at: this.#clock.elapsed() + ms, timer });
  }

  #dropDeadline(batchId: string): void {
    this.#deadlines.get(batchId)?.timer.cancel();
    this.#deadlines.delete(batchId);
  }

  /** Until there may be something to lease, the time is over, or nobody waits any more. */
  async #waitForMore(ms: number, signal: AbortSignal): Promise<void> {
    const wait = new AbortController();
    const end = (): void => wait.abort();
    const timer = this.#clock.after(ms, end);
    const signals = [signal, this.#stopping.signal];
    for (const each of signals) each.addEventListener('abort', end);
    try {
      if (signals.some(({ aborted }) => aborted)) return;
      await this.#reader.read(this.#ledger.state.confirmedThrough, { count: 1, bytes: 1 }, wait.signal);
    } finally {
      timer.cancel();
      for (const each of signals) each.removeEventListener('abort', end);
    }
  }
}
