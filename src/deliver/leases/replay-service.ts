// Looks back into the log: Replay and GetRequest. Takes calls of the contract, gives requests whatever became of them;
// throws QueueError, and what the reader throws. Moves nothing, leases nothing, owns nothing.

import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import type { StoredRequest } from '../../model/request.ts';
import { sequenceOf } from '../../model/ticket.ts';
import type { ParseMail } from '../../model/parsed-mail.ts';
import type { RequestReader } from '../../ports/request-log.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Input, Output } from '../soap/contract.ts';
import { asDelivered, readViews } from '../soap/delivered-request.ts';
import { QueueError } from '../soap/fault.ts';
import type { LeaseStore } from './lease-store.ts';
import { asListed } from './park-service.ts';
import type { Caller } from '../soap/dispatch.ts';

interface Parts {
  readonly limits: Config['soap'];
  readonly clock: Clock;
  readonly reader: RequestReader;
  readonly leaseStore: LeaseStore;
  readonly parseMail: ParseMail;
  readonly log: Logger;
}

export class ReplayService {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async replay({ fromSequence, fromTime, max, purpose }: Input<'Replay'>): Promise<Output<'Replay'>> {
    const { limits, reader, log } = this.#parts;
    if ((fromSequence === undefined) === (fromTime === undefined)) {
      throw new QueueError('BAD_ARGUMENT', 'Give either fromSequence or fromTime.');
    }
    const durable = await reader.durable();
    const first = fromSequence ?? (await this.#firstSince(fromTime ?? 0, durable));
    if (first > durable) throw new QueueError('RANGE', `The log ends at ${durable}.`);
    const limit = { count: Math.min(max, limits.batch_count), bytes: limits.batch_bytes };
    const requests = await reader.read(first - 1, limit);
    log.info({ from: first, to: requests.at(-1)?.sequence, count: requests.length, purpose }, 'replayed');
    return { request: await this.#shown(requests) };
  }

  async getRequest(input: Input<'GetRequest'>, caller: Caller): Promise<Output<'GetRequest'>> {
    const { sequence, ticket, sha256 } = input;
    if ([sequence, ticket, sha256].filter((each) => each !== undefined).length !== 1) {
      throw new QueueError('BAD_ARGUMENT', 'Give one of sequence, ticket and sha256.');
    }
    const found =
      sha256 === undefined
        ? await this.#at(sequence ?? sequenceOf(ticket ?? ''))
        : await this.#withDigest(sha256.toLowerCase(), caller.signal);
    const [request] = found ? await this.#shown([found]) : [];
    if (!request) throw new QueueError('NOT_FOUND', 'There is no such request.');
    return { request, history: this.#historyOf(request.sequence) };
  }

  async #shown(requests: readonly StoredRequest[]): Promise<Output<'Replay'>['request']> {
    const { clock, leaseStore, parseMail } = this.#parts;
    const views = await readViews(requests, parseMail, clock);
    return views.map(({ request, parsed }) =>
      asDelivered(request, leaseStore.state.deliveries(request.sequence), parsed),
    );
  }

  #historyOf(sequence: number): Output<'GetRequest'>['history'] {
    const { leaseStore, clock } = this.#parts;
    const { state } = leaseStore;
    const now = clock.now();
    const parked = state.parkedAs(sequence);
    const lease = state.leases.find(({ held, until }) => until > now && held.has(sequence));
    return {
      state: state.stateOf(sequence, now),
      ...(lease && { batchId: lease.batchId, leasedBy: lease.clientId, leaseExpires: lease.until }),
      ...(parked && { parked: asListed(parked, state) }),
    };
  }

  async #at(sequence: number | undefined): Promise<StoredRequest | undefined> {
    if (sequence === undefined) return undefined;
    const [request] = await this.#parts.reader.read(sequence - 1, { count: 1, bytes: 1 });
    return request?.sequence === sequence ? request : undefined;
  }

  /** From the first request to the last: nothing of ours knows digests. Ends when nobody waits for it any more. */
  async #withDigest(sha256: string, signal: AbortSignal): Promise<StoredRequest | undefined> {
    const { reader } = this.#parts;
    for (let after = 0; !signal.aborted;) {
      const piece = await reader.read(after, { count: 200, bytes: 4_194_304 });
      const found = piece.find((request) => request.sha256 === sha256);
      if (found || piece.length === 0) return found;
      after = piece.at(-1)?.sequence ?? after;
    }
    return undefined;
  }

  /** By halving: times of receipt go up with the sequence, apart from jumps of the clock. */
  async #firstSince(time: number, durable: number): Promise<number> {
    let low = 1;
    let high = durable + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const request = await this.#at(middle);
      if (request && request.receivedAt < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
