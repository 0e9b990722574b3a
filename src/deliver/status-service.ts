// The operations that only tell: Hello and Status. Takes the lease store and the log's reader, gives counts, limits and rates;
// throws what the reader throws. Holds a minute of samples, and the timer that takes them.

import type { Config } from '../config/config.ts';
import { messageOf } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { RequestReader } from '../ports/request-log.ts';
import type { Clock, Timer } from '../ports/runtime.ts';
import type { Output } from './soap/contract.ts';
import type { LeaseStore } from './leases/lease-store.ts';

interface Parts {
  readonly limits: Config['soap'];
  readonly clock: Clock;
  readonly reader: RequestReader;
  readonly leaseStore: LeaseStore;
  readonly log: Logger;
  readonly version: string;
  readonly acksPending: () => Promise<number>;
}

const sampleMs = 5_000;

interface Sample {
  readonly at: number;
  readonly received: number;
  readonly confirmed: number;
}

const windowMs = 60_000;

/** How fast requests come and go: the slope of two counters over the last minute. Holds a minute of samples at most. */
export class Rates {
  #samples: Sample[] = [];

  /** @param at milliseconds that never go back */
  add(at: number, received: number, confirmed: number): void {
    this.#samples.push({ at, received, confirmed });
    // One sample from before the window stays: the slope is to span all of it.
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? at) <= at - windowMs) this.#samples.shift();
  }

  perSecond(): { receivedPerSecond: number; confirmedPerSecond: number } {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const seconds = first && last ? (last.at - first.at) / 1_000 : 0;
    const slope = (from: number, to: number): number =>
      seconds > 0 ? Math.round(((to - from) / seconds) * 1_000) / 1_000 : 0;
    return {
      receivedPerSecond: slope(first?.received ?? 0, last?.received ?? 0),
      confirmedPerSecond: slope(first?.confirmed ?? 0, last?.confirmed ?? 0),
    };
  }
}

export class StatusService {
  readonly #parts: Parts;
  readonly #rates = new Rates();
  #timer: Timer | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#sampleNowAndThen();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  async hello(): Promise<Output<'Hello'>> {
    const { limits, clock, reader, leaseStore, version } = this.#parts;
    const logId = await reader.logId();
    return {
      serverVersion: version,
      ...(logId === undefined ? {} : { logId }),
      epoch: leaseStore.epoch,
      serverTime: clock.now(),
      limits: {
        maxBatch: limits.batch_count,
        maxBytes: limits.batch_bytes,
        maxLeaseMs: limits.lease_seconds_max * 1_000,
        maxWaitMs: limits.wait_seconds_max * 1_000,
      },
    };
  }

  async status(): Promise<Output<'Status'>> {
    const { clock, reader, leaseStore, acksPending } = this.#parts;
    leaseStore.check();
    const durable = await this.#sample();
    const [first] = leaseStore.state.line(durable);
    const oldest = first ? (await reader.read(first[0] - 1, { count: 1, bytes: 1 }))[0] : undefined;
    return {
      ...leaseStore.state.counts(durable, clock.now()),
      acksPending: await acksPending(),
      ...(oldest ? { oldestAge: Math.max(clock.now() - oldest.receivedAt, 0) / 1_000 } : {}),
      rates: this.#rates.perSecond(),
    };
  }

  async #sample(): Promise<number> {
    const { clock, reader, leaseStore } = this.#parts;
    const durable = await reader.durable();
    this.#rates.add(clock.elapsed(), durable, leaseStore.state.confirmedCount);
    return durable;
  }

  #sampleNowAndThen(): void {
    this.#sample().catch((error: unknown) => this.#parts.log.warn({ reason: messageOf(error) }, 'no sample for rates'));
    this.#timer = this.#parts.clock.after(sampleMs, () => this.#sampleNowAndThen());
  }
}
