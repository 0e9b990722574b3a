// A stored request as the contract shows it: what the record says, and behind it what was read in the mail. Takes stored
// requests, gives the contract's; fails only as reading a mail does, which is never. Owns nothing.

import type { StoredRequest } from '../../model/request.ts';
import type { ParseMail, ParsedMail } from '../../model/parsed-mail.ts';
import type { Output } from './contract.ts';

type Delivered = Output<'GetRequest'>['request'];

/** Shows requests that were read; it is told how often each was delivered, 0 when that is no longer known. */
export type Show = (deliveries: (sequence: number) => number) => Delivered[];

/**
 * Reads what the requests ask for. That takes time, so it is done before a lease begins; what the counts are is known
 * only afterwards.
 * @returns what shows them
 */
export async function readRequests(requests: readonly StoredRequest[], parseMail: ParseMail): Promise<Show> {
  const read = await Promise.all(requests.map(async (request) => ({ request, understood: await parseMail(request) })));
  return (deliveries) =>
    read.map(({ request, understood }) => asDelivered(request, deliveries(request.sequence), understood));
}

function asDelivered(
  request: StoredRequest,
  deliveryCount: number,
  { names, operation, reference }: ParsedMail,
): Delivered {
  const { registrar, phase, early, late, rehearsal } = request.client;
  return {
    sequence: request.sequence,
    ticket: request.ticket,
    receivedAt: request.receivedAt,
    envelopeFrom: request.envelope.from,
    clientAddress: request.client.address,
    ...(registrar && { registrar: registrar.id }),
    deliveryCount,
    size: request.size,
    sha256: request.sha256,
    chain: request.chain,
    message: request.message,
    names: names.map(({ ascii }) => ascii),
    ...(operation !== undefined && { operation }),
    ...(reference !== undefined && { registrarReference: reference }),
    ...(phase !== undefined && { phase }),
    ...(early && { early }),
    ...(late && { late }),
    ...(rehearsal && { rehearsal }),
  };
}
