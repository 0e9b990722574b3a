// The long poll: waits until there may be something to lease. Costs nothing while it waits. Throws what the reader throws.
// Owns its timer and its listeners, and leaves none behind.

import type { RequestReader } from '../../ports/request-log.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { LeaseStore } from './lease-store.ts';

/**
 * Resolves when a request behind `durable` is durable, when the leaseStore rings, when the time is over, or when one of the
 * signals aborts.
 * @param ms the longest to wait
 */
export async function waitForMore(
  { clock, leaseStore, reader }: { clock: Clock; leaseStore: LeaseStore; reader: RequestReader },
  durable: number,
  ms: number,
  signals: readonly AbortSignal[],
): Promise<void> {
  const wait = new AbortController();
  const end = (): void => wait.abort();
  const timer = clock.after(ms, end);
  const deaf = leaseStore.onRing(end);
  for (const each of signals) each.addEventListener('abort', end);
  try {
    if (signals.some(({ aborted }) => aborted)) return;
    await reader.read(durable, { count: 1, bytes: 1 }, wait.signal);
  } finally {
    timer.cancel();
    deaf();
    for (const each of signals) each.removeEventListener('abort', end);
  }
}
