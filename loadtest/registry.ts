// Plays the registry's backend: pulls batches over SOAP from the WSDL, as any client would, and confirms each. Paced by the
// number of requests a second that it is willing to take.

import { createClientAsync } from 'soap';

/** A request as the registry gets it. */
export interface Pulled {
  readonly sequence: number;
  readonly ticket: string;
  readonly message: string;
  readonly deliveryCount: number;
}

interface FetchResult {
  batchId?: string;
  leaseToken?: string;
  request?: { sequence: string; ticket: string; message: string; deliveryCount: string | number }[] | undefined;
}

export interface RegistryOptions {
  readonly wsdl: string;
  /** Requests a second; Infinity as fast as it goes. */
  readonly pace: number;
  readonly batch: number;
  /** Told of each batch when it is confirmed. */
  readonly onConfirmed: (requests: readonly Pulled[]) => void;
  /** Ends the pulling, once nothing is ready. */
  readonly enough: () => boolean;
}

/** Pulls and confirms until there is enough. Gives how many were confirmed. */
export async function playRegistry({ wsdl, pace, batch, onConfirmed, enough }: RegistryOptions): Promise<number> {
  const client = await createClientAsync(wsdl);
  const call = async <T>(operation: string, args: Record<string, unknown>): Promise<T> => {
    const [result] = (await client[`${operation}Async`](args)) as [T];
    return result;
  };
  const began = performance.now();
  let confirmed = 0;
  for (let attempt = 1; !enough(); attempt++) {
    const fetched = await call<FetchResult>('Fetch', {
      clientId: 'backend',
      attemptId: `a${attempt}`,
      max: batch,
      waitMs: 200,
    });
    const requests = [fetched.request ?? []].flat().map((each) => ({
      sequence: Number(each.sequence),
      ticket: each.ticket,
      message: Buffer.from(each.message, 'base64').toString('latin1'),
      deliveryCount: Number(each.deliveryCount),
    }));
    const last = requests.at(-1);
    if (!last || fetched.leaseToken === undefined) continue;
    await call('Confirm', { leaseToken: fetched.leaseToken, throughSequence: String(last.sequence) });
    confirmed += requests.length;
    onConfirmed(requests);
    const aheadMs = (confirmed / pace) * 1000 - (performance.now() - began);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  return confirmed;
}
