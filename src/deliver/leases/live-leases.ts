// The leases in force: until when, and who may use them. Takes the journal's state, gives a lease for its token; calls the lease
// store when one is over. Owns the deadlines, on the clock that never goes back. Lease tokens are a batch's name and the proof
// that we gave it: any genuine one is recognised by its proof, so that old ones need not be remembered. Tokens never go to a log.

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Clock, Timer } from '../../ports/runtime.ts';
import type { Caller } from '../soap/dispatch.ts';
import { QueueError } from '../soap/fault.ts';
import type { Lease } from './lease-state.ts';
import type { LeaseStore } from './lease-store.ts';

function proofOf(secret: string, batchId: string): string {
  return createHmac('sha256', Buffer.from(secret, 'hex')).update(batchId).digest('base64url');
}

/** @param secret in hexadecimal */
export function tokenOf(secret: string, batchId: string): string {
  return `${batchId}.${proofOf(secret, batchId)}`;
}

/** The batch that a token is for, or undefined when we did not make it. Takes the same time for every wrong proof. */
function batchOf(secret: string, token: string): string | undefined {
  const dot = token.lastIndexOf('.');
  const batchId = token.slice(0, Math.max(dot, 0));
  const expected = Buffer.from(proofOf(secret, batchId));
  const given = Buffer.from(token.slice(dot + 1));
  return expected.length === given.length && timingSafeEqual(expected, given) ? batchId : undefined;
}

/** Points in time within this process, by name. Calls `over` once when a time has come. */
class Timers<Name> {
  readonly #clock: Clock;
  readonly #over: (name: Name) => void;
  readonly #entries = new Map<Name, { readonly at: number; readonly timer: Timer }>();

  constructor(clock: Clock, over: (name: Name) => void) {
    this.#clock = clock;
    this.#over = over;
  }

  set(name: Name, ms: number): void {
    this.drop(name);
    const timer = this.#clock.after(ms, () => this.#over(name));
    this.#entries.set(name, { at: this.#clock.elapsed() + ms, timer });
  }

  /** Milliseconds that are left; 0 when it is over, or was never set. */
  left(name: Name): number {
    return Math.max(0, (this.#entries.get(name)?.at ?? 0) - this.#clock.elapsed());
  }

  drop(name: Name): void {
    this.#entries.get(name)?.timer.cancel();
    this.#entries.delete(name);
  }

  stop(): void {
    for (const { timer } of this.#entries.values()) timer.cancel();
  }
}

interface Parts {
  readonly limits: Config['soap'];
  readonly clock: Clock;
  readonly leaseStore: LeaseStore;
  readonly log: Logger;
}

/** A lease that a token opens, if it is still in force. */
interface Opened {
  readonly batchId: string;
  readonly lease: Lease | undefined;
}

export class LiveLeases {
  readonly #parts: Parts;
  readonly #leases: Timers<string>;
  /** By the time on the wall clock before which what was given back is not delivered. */
  readonly #delays: Timers<number>;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { clock, leaseStore } = parts;
    this.#leases = new Timers(clock, (batchId) => this.#expired(batchId));
    this.#delays = new Timers(clock, () => leaseStore.ring());
    // Leases and delays outlive us. The wall clock may have jumped meanwhile: never more time than was granted.
    const now = clock.now();
    for (const { batchId, until, ms } of leaseStore.state.leases) {
      this.#leases.set(batchId, Math.min(Math.max(until - now, 0), ms));
    }
    for (const notBefore of new Set([...leaseStore.state.delays()].map(([, time]) => time))) {
      this.#delays.set(notBefore, Math.min(Math.max(notBefore - now, 0), 86_400_000));
    }
  }

  stop(): void {
    this.#leases.stop();
    this.#delays.stop();
  }

  /** A lease begins, or its end is set anew. */
  begin(batchId: string, ms: number): void {
    this.#leases.set(batchId, ms);
  }

  end(batchId: string): void {
    this.#leases.drop(batchId);
  }

  /** Milliseconds that are left of a lease. */
  left(batchId: string): number {
    return this.#leases.left(batchId);
  }

  delay(notBefore: number, ms: number): void {
    this.#delays.set(notBefore, ms);
  }

  isDelayed(notBefore: number): boolean {
    return this.#delays.left(notBefore) > 0;
  }

  /** @throws QueueError LEASE_LOST when the token was not made by us, or not for this caller */
  open(token: string, { owner }: Caller): Opened {
    const { state, secret } = this.#parts.leaseStore;
    const batchId = batchOf(secret, token);
    const lease = batchId === undefined ? undefined : state.leaseOf(batchId);
    if (batchId === undefined || (lease && lease.owner !== owner)) throw this.lost('This is no lease token of yours.');
    return { batchId, lease: lease && this.isLive(lease) ? lease : undefined };
  }

  openLive(token: string, caller: Caller): { batchId: string; lease: Lease } {
    const { batchId, lease } = this.open(token, caller);
    if (!lease) throw this.lost();
    return { batchId, lease };
  }

  lost(message = 'This lease has ended; its requests are back in their place in the queue.'): QueueError {
    return new QueueError('LEASE_LOST', message, { confirmedThrough: this.#parts.leaseStore.state.confirmedThrough });
  }

  heldBy({ batchId }: Lease): QueueError {
    const leaseExpires = this.expiryOf(batchId);
    const until = new Date(leaseExpires).toISOString();
    return new QueueError('LEASE_HELD', `A lease is held until ${until}.`, { leaseExpires });
  }

  allowed(ms: number | undefined): number {
    const { lease_seconds: usual, lease_seconds_max: most } = this.#parts.limits;
    return Math.min(ms ?? usual * 1_000, most * 1_000);
  }

  isLive({ batchId }: Lease): boolean {
    return this.#leases.left(batchId) > 0;
  }

  /** As a wall clock shows it now, even if it has jumped since the lease was made. */
  expiryOf(batchId: string): number {
    return Math.round(this.#parts.clock.now() + this.#leases.left(batchId));
  }

  /** After a change of a lease: it may have ended, and what it held back may be free. */
  tidy(batchId: string): void {
    const { leaseStore } = this.#parts;
    if (!leaseStore.state.leaseOf(batchId)) this.#leases.drop(batchId);
    leaseStore.ring();
  }

  #expired(batchId: string): void {
    const { leaseStore, log } = this.#parts;
    const lease = leaseStore.state.leaseOf(batchId);
    if (!lease || this.isLive(lease)) return;
    const held = lease.window.filter((sequence) => lease.held.has(sequence));
    const places = { from: held[0], to: held.at(-1), count: held.length };
    log.warn({ batchId, clientId: lease.clientId, ...places }, 'lease expired');
    leaseStore.ring();
  }
}
