// A request as the log is asked to keep it: takes its envelope, its client and its bytes. Pure but for its id and time.

import type { NewRequest } from '../model/request.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Known } from './seat.ts';
import type { SMTPServerSession } from './smtp-library.ts';

/**
 * To be called when the final dot has been read.
 * @param client whose message it is, as the connection has it
 * @param known who the registrar book says it is
 * @param hasBook whether there is a book: who is not known then is unverified
 */
export function requestOf(
  { mailFrom, rcptTo }: SMTPServerSession['envelope'],
  client: NewRequest['client'],
  message: Buffer,
  { ids, clock }: Pick<Runtime, 'ids' | 'clock'>,
  known: Known | undefined,
  hasBook: boolean,
): NewRequest {
  return {
    id: ids.uuid(),
    receivedAt: clock.now(),
    envelope: {
      from: mailFrom === false ? '' : mailFrom.address,
      to: rcptTo.map((each) => each.address),
    },
    client: {
      ...client,
      ...(known && { registrar: { id: known.registrar.id, by: known.by } }),
      ...(hasBook && !known && { unverified: true as const }),
    },
    message,
  };
}
