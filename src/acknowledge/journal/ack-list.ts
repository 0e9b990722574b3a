// What operators look at of acknowledgements: those that failed for good, are tried again, or wait for their first try, and
// how one of them stands. Takes the replayed state and the log, gives rows; reads a batch at a time.

import { ticketOf } from '../../model/ticket.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { RequestReader } from '../../ports/request-log.ts';
import type { AckStateName } from './ack-events.ts';
import type { AckState } from './ack-state.ts';
import type { RecipientOf } from '../compose/recipient.ts';

/** One acknowledgement, as `seawall acks list --json` prints it. Times are UTC; null where there is nothing to say. */
export interface AckRow {
  readonly sequence: number;
  readonly ticket: string;
  readonly state: AckStateName;
  readonly recipient: string;
  readonly attempts: number | null;
  readonly nextTry: string | null;
  readonly failedAt: string | null;
  /** The relay's last reply code; 0 when there was no reply. */
  readonly code: number | null;
  readonly text: string | null;
  readonly receivedAt: string;
}

const time = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());

/** How the acknowledgement of one request stands. */
export function rowOf(request: StoredRequest, state: AckState, recipientOf: RecipientOf): AckRow {
  const { sequence } = request;
  const retry = state.retryOf(sequence);
  const failure = retry ? undefined : state.failureOf(sequence);
  const last = retry ?? failure;
  return {
    sequence,
    ticket: ticketOf(sequence),
    state: state.stateOf(sequence),
    recipient: recipientOf(request).to,
    attempts: last?.attempts ?? null,
    nextTry: time(retry?.nextAt),
    failedAt: time(failure?.at),
    code: last?.code ?? null,
    text: last?.text ?? null,
    receivedAt: new Date(request.receivedAt).toISOString(),
  };
}

/** Everything that is not settled well: first what failed or is tried again, then what waits for its first try. */
export async function* unsettled(
  state: AckState,
  reader: RequestReader,
  recipientOf: RecipientOf,
): AsyncGenerator<AckRow> {
  const troubled = [...state.failures, ...state.pending].map(({ sequence }) => sequence).toSorted((a, b) => a - b);
  for (const sequence of troubled) {
    const [request] = await reader.read(sequence - 1, { count: 1, bytes: 1 });
    if (request) yield rowOf(request, state, recipientOf);
  }
  for (let place = state.settledFrom(0); ; place = state.settledFrom(place)) {
    const batch = await reader.read(place, { count: 500, bytes: 8_388_608 });
    const last = batch.at(-1);
    if (!last) return;
    for (const request of batch) {
      if (state.stateOf(request.sequence) === 'waiting') yield rowOf(request, state, recipientOf);
    }
    place = last.sequence;
  }
}
