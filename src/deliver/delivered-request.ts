// A stored request as the contract shows it. Pure.

import type { StoredRequest } from '../model/request.ts';
import type { Output } from './contract.ts';

/** @param deliveryCount how often it was delivered, 0 when that is no longer known */
export function asDelivered(request: StoredRequest, deliveryCount: number): Output<'GetRequest'>['request'] {
  const { phase, early, late, rehearsal } = request.client;
  return {
    sequence: request.sequence,
    ticket: request.ticket,
    receivedAt: request.receivedAt,
    envelopeFrom: request.envelope.from,
    clientAddress: request.client.address,
    deliveryCount,
    size: request.size,
    sha256: request.sha256,
    chain: request.chain,
    message: request.message,
    ...(phase !== undefined && { phase }),
    ...(early && { early }),
    ...(late && { late }),
    ...(rehearsal && { rehearsal }),
  };
}
