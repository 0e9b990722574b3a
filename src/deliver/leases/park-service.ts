// What an operator decides: what is parked and comes back, and whether anything is delivered at all. Takes calls of the
// contract, gives their answers once what they change is durable; throws QueueError.

import type { Logger } from '../../lib/logger.ts';
import { ticketOf } from '../../model/ticket.ts';
import type { RequestReader } from '../../ports/request-log.ts';
import type { Input, Output } from '../soap/contract.ts';
import { QueueError } from '../soap/fault.ts';
import type { LeaseState, Parked } from './lease-state.ts';
import type { LeaseStore } from './lease-store.ts';

/** The most parked requests that one answer lists. */
const listMost = 1_000;

/** A parked request as the contract shows it. */
export function asListed(parked: Parked, state: LeaseState): Output<'ListParked'>['parked'][number] {
  return { ...parked, ticket: ticketOf(parked.sequence), deliveryCount: state.deliveries(parked.sequence) };
}

export class ParkService {
  readonly #reader: RequestReader;
  readonly #leaseStore: LeaseStore;
  readonly #log: Logger;

  constructor({ reader, leaseStore, log }: { reader: RequestReader; leaseStore: LeaseStore; log: Logger }) {
    this.#reader = reader;
    this.#leaseStore = leaseStore;
    this.#log = log;
  }

  listParked({ cursor = 0, max }: Input<'ListParked'>): Promise<Output<'ListParked'>> {
    return this.#leaseStore.inTurn(async () => {
      const { state } = this.#leaseStore;
      const listed = state.parkedAfter(cursor).slice(0, Math.min(max, listMost));
      return { parked: listed.map((each) => asListed(each, state)) };
    });
  }

  /** Back into the queue: before everything that waits, or behind everything that is durable now. */
  unpark({ sequence, operator, place = 'head' }: Input<'Unpark'>): Promise<Output<'Unpark'>> {
    return this.#leaseStore.inTurn(async () => {
      const { state } = this.#leaseStore;
      if (place !== 'head' && place !== 'tail') {
        throw new QueueError('BAD_ARGUMENT', 'place wants head or tail.');
      }
      if (!state.parkedAs(sequence)) throw new QueueError('NOT_FOUND', `${sequence} is not parked.`);
      const durable = await this.#reader.durable();
      const after = place === 'head' ? 0 : durable;
      await this.#leaseStore.commit([{ type: 'unparked', sequence, after, operator }]);
      this.#log.warn({ sequence, ticket: ticketOf(sequence), operator, place }, 'request unparked');
      this.#leaseStore.ring();
      let position = 0;
      for (const [first, last] of state.line(durable)) {
        if (first === sequence) break;
        position += last - first + 1;
      }
      return { position };
    });
  }

  pause({ reason }: Input<'Pause'>): Promise<Output<'Pause'>> {
    return this.#leaseStore.inTurn(async () => {
      await this.#leaseStore.commit([{ type: 'paused', reason }]);
      this.#log.warn({ reason }, 'delivery paused');
      this.#leaseStore.ring();
      return { state: 'paused' };
    });
  }

  resume({ reason }: Input<'Resume'>): Promise<Output<'Resume'>> {
    return this.#leaseStore.inTurn(async () => {
      await this.#leaseStore.commit([{ type: 'resumed' }]);
      this.#log.warn({ reason }, 'delivery resumed');
      this.#leaseStore.ring();
      return { state: 'delivering' };
    });
  }
}
