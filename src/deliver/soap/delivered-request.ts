// A stored request as the contract shows it: what the record says, and behind it what was read in the mail. Takes stored
// requests, gives the contract's; fails only as reading a mail does, which is never.

import type { StoredRequest } from '../../model/request.ts';
import { sleep } from '../../lib/async.ts';
import { type ParseMail, type ParsedMail, unparsedMail } from '../../model/parsed-mail.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Output } from './contract.ts';

type Delivered = Output<'GetRequest'>['request'];

/** The longest that the mails of one reply are read for what they ask, in milliseconds. */
const viewMs = 2_000;
/** After so many milliseconds of it others get their turn. */
const turnMs = 10;

/** A request and what was read in its mail. */
interface View {
  readonly request: StoredRequest;
  readonly parsed: ParsedMail;
}

/**
 * Reads what the requests ask for, one after the other. It is a view, so it never keeps a reply waiting for long: mails that
 * are not read in time are delivered without it. The mail that is begun in time is read to its end.
 * @param ms the longest it may take in all, milliseconds
 */
export async function readViews(
  requests: readonly StoredRequest[],
  parseMail: ParseMail,
  clock: Clock,
  ms = viewMs,
): Promise<View[]> {
  const begun = clock.elapsed();
  const most = Math.min(ms, viewMs);
  const done = new AbortController();
  const over = sleep(clock, most, done.signal).then(() => unparsedMail);
  const views: View[] = [];
  let yielded = begun;
  for (const request of requests) {
    const now = clock.elapsed();
    const inTime = now - begun < most;
    views.push({ request, parsed: inTime ? await Promise.race([parseMail(request), over]) : unparsedMail });
    // Mails of one part are read on this thread: timers and other calls get their turn in between.
    if (inTime && clock.elapsed() - yielded >= turnMs) {
      await sleep(clock, 0);
      yielded = clock.elapsed();
    }
  }
  done.abort();
  return views;
}

/** A request as the contract has it. @param deliveryCount 0 when it is no longer known */
export function asDelivered(
  request: StoredRequest,
  deliveryCount: number,
  { names, operation, reference, partly }: ParsedMail,
): Delivered {
  const { registrar, phase, early, late, rehearsal, unverified } = request.client;
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
    ...(partly && { partlyRead: true }),
    ...(registrar && { knownBy: registrar.by }),
    ...(unverified && { unverified }),
  };
}
