// Turns an operator's wish into events: which of the wished acknowledgements are tried again. Takes a wish and the state,
// writes `again` events, says what became of how many. Those that have never been tried need no event: they come by
// themselves. Fails when writing does. Owns nothing.

import { fromRanges } from '../../model/range-set.ts';
import type { AckEvent } from '../journal/ack-events.ts';
import type { AckState } from '../journal/ack-state.ts';
import { type RetryRequest, retryRequestMax } from './retry-requests.ts';

/** Events in one line of the journal. */
const eventsAtOnce = 500;

/**
 * Grants a wish.
 * @returns which are tried again, and how many are not: under way, settled otherwise, or more than can be open at once
 */
export async function grantRetry(
  wish: RetryRequest,
  state: AckState,
  now: number,
  write: (...events: readonly AckEvent[]) => Promise<void>,
): Promise<{ granted: readonly number[]; ignored: number }> {
  const wanted = fromRanges(wish.ranges);
  let room = retryRequestMax - state.reopenedCount;
  const events: Extract<AckEvent, { type: 'again' }>[] = [];
  for (const sequence of wanted) {
    const how = state.stateOf(sequence);
    const before = state.retryOf(sequence) ?? state.failureOf(sequence);
    const wait = how === 'retrying';
    if (!wait && (room <= 0 || (how !== 'failed' && !(wish.resend && how === 'acknowledged')))) continue;
    if (!wait) room--;
    events.push({
      type: 'again',
      sequence,
      attempts: before?.attempts ?? 0,
      nextAt: now,
      code: before?.code ?? 0,
      text: before?.text ?? '',
      askedAt: now,
    });
  }
  for (let start = 0; start < events.length; start += eventsAtOnce) {
    await write(...events.slice(start, start + eventsAtOnce));
  }
  return { granted: events.map(({ sequence }) => sequence), ignored: wanted.length - events.length };
}
