// A request as the log is asked to keep it: takes the session in which it came and its bytes. Pure but for its id and time.

import type { NewRequest } from '../model/request.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Known } from './seat.ts';
import type { SMTPServerSession } from './smtp-library.ts';

/**
 * To be called when the final dot has been read.
 * @param known who the registrar book says it is
 * @param hasBook whether there is a book: who is not known then is unverified
 */
export function requestOf(
  session: SMTPServerSession,
  message: Buffer,
  { ids, clock }: Pick<Runtime, 'ids' | 'clock'>,
  known: Known | undefined,
  hasBook: boolean,
): NewRequest {
  const { mailFrom, rcptTo } = session.envelope;
  return {
    id: ids.uuid(),
    receivedAt: clock.now(),
    envelope: {
      from: mailFrom === false ? '' : mailFrom.address,
      to: rcptTo.map((each) => each.address),
    },
    client: {
      address: session.remoteAddress,
      port: session.remotePort,
      helo: session.hostNameAppearsAs,
      protocol: session.transmissionType,
      session: session.id,
      ...(known && { registrar: { id: known.registrar.id, by: known.by } }),
      ...(hasBook && !known && { unverified: true as const }),
    },
    message,
  };
}
