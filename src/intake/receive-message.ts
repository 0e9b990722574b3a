// What becomes of a message once its final dot has been read: it gets its time and asks for its place. Takes the message and
// the connection that brought it, gives the words for the `250`. Fails with the refusal to send.

import type { NewRequest } from '../model/request.ts';
import { ticketOf } from '../model/ticket.ts';
import { Refusal } from './policy/admission.ts';
import type { Connection } from './smtp/connection.ts';
import type { IncomingMessage } from './smtp/message.ts';
import { standing } from './policy/registrar-session.ts';
import type { SmtpParts } from './smtp/options.ts';

/** A client in a line of the log. */
export function spoken({ session, address, via, registrar }: NewRequest['client']): Record<string, string> {
  return {
    session,
    ...(registrar && { registrar: registrar.id }),
    client: address,
    ...(via !== undefined && { via }),
  };
}

/**
 * To be called in the moment in which the final dot was read. The message's memory is given back.
 * @returns the ticket and what else the client is told, and whether it is that of an earlier copy
 * @throws Refusal, or what `keep` throws
 */
export async function receiveMessage(
  { runtime, hours, keep, log }: Pick<SmtpParts, 'runtime' | 'hours' | 'keep' | 'log'>,
  message: IncomingMessage,
  { session, client, seat }: Connection,
): Promise<{ words: string; repeated: boolean }> {
  const receivedAt = runtime.clock.now();
  const bytes = message.end();
  if (bytes instanceof Refusal) throw bytes;
  try {
    const { mailFrom, rcptTo } = session.envelope;
    const request: NewRequest = {
      id: runtime.ids.uuid(),
      receivedAt,
      envelope: { from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map((each) => each.address) },
      client: {
        ...client,
        ...(seat && standing(seat.known)),
        ...hours.stamps(receivedAt),
      },
      message: bytes,
    };
    const { sequence, repeated } = await keep(request);
    const ticket = ticketOf(sequence);
    log.info(
      { ticket, sequence, ...spoken(request.client), from: request.envelope.from, size: bytes.length },
      repeated ? 'kept already: a copy, which got the first ticket' : 'kept',
    );
    return {
      words: `${ticket}${repeated ? ' (already kept)' : ''}${hours.rehearsal ? ' (rehearsal)' : ''}`,
      repeated,
    };
  } finally {
    message.release();
  }
}
