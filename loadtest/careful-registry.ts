// A registry's backend that can be killed at any moment: it writes what it does into a book and syncs it, first that it will
// fetch, then what it pulled, and only then does it confirm. Run as a program of its own (fork):
//   careful-registry.ts WSDL BOOK; tells its parent `{ confirmed }`. It goes on where its book ends.

import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Client, createClientAsync } from 'soap';

/** A line of the book. */
export type Entry =
  | { readonly attempt: number }
  | { readonly batch: string; readonly token: string; readonly pulled: readonly PulledEntry[] }
  | { readonly confirmed: number; readonly batch: string };

export type PulledEntry = readonly [sequence: number, ticket: string, sha256: string];

/** Reads a book; a line that was cut off by a kill is left out. */
export function readBook(path: string): Entry[] {
  if (!existsSync(path)) return [];
  const entries: Entry[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    try {
      entries.push(JSON.parse(line) as Entry);
    } catch {
      // An empty or torn line: nothing was done upon it.
    }
  }
  return entries;
}

interface Fetched {
  batchId?: string;
  leaseToken?: string;
  request?: { sequence: string; ticket: string; message: string; sha256: string }[];
}

/** Between attempts, and for the work on what was pulled: long enough to be killed in. */
const pauseMs = 50;

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}

async function work(wsdl: string, path: string): Promise<never> {
  const entries = readBook(path);
  const book = openSync(path, 'a');
  writeSync(book, '\n');
  const write = (entry: Entry): void => {
    writeSync(book, `${JSON.stringify(entry)}\n`);
    fsyncSync(book);
  };
  process.once('exit', () => closeSync(book));
  let attempt = entries.reduce((last, entry) => ('attempt' in entry ? entry.attempt : last), 0);
  const last = entries.at(-1);
  // An attempt whose outcome is not in the book is made again under its own name.
  let repeat = last !== undefined && !('confirmed' in last);
  let client: Client | undefined;
  const call = async <T>(operation: string, args: Record<string, unknown>): Promise<T> => {
    for (;;) {
      try {
        client ??= await createClientAsync(wsdl, { disableCache: true });
        const [result] = (await client[`${operation}Async`](args)) as [T];
        return result;
      } catch (error) {
        const fault = /LEASE_LOST|OUT_OF_ORDER|LEASE_HELD|BAD_ARGUMENT/.exec(String(error))?.[0];
        if (fault !== undefined) throw new Error(`${operation} gave ${fault}`, { cause: error });
        await pause();
      }
    }
  };
  for (;;) {
    if (!repeat) attempt++;
    repeat = false;
    write({ attempt });
    const fetched = await call<Fetched>('Fetch', {
      clientId: 'backend',
      attemptId: `a${attempt}`,
      max: 50,
      waitMs: 200,
    });
    const requests = [fetched.request ?? []].flat();
    const { batchId: batch, leaseToken: token } = fetched;
    const through = Number(requests.at(-1)?.sequence);
    if (batch === undefined || token === undefined || requests.length === 0) continue;
    const pulled = requests.map(({ sequence, ticket, message }): PulledEntry => {
      const sha256 = createHash('sha256').update(Buffer.from(message, 'base64')).digest('hex');
      return [Number(sequence), ticket, sha256];
    });
    write({ batch, token, pulled });
    await pause();
    await call('Confirm', { leaseToken: token, throughSequence: String(through) });
    write({ confirmed: through, batch });
    process.send?.({ confirmed: through });
  }
}

const [, program, wsdl, path] = process.argv;
if (program === fileURLToPath(import.meta.url)) {
  process.once('disconnect', () => process.exit(0));
  try {
    await work(wsdl ?? '', path ?? '');
  } catch (error) {
    process.send?.({ trouble: error instanceof Error ? `${error.message}: ${String(error.cause)}` : String(error) });
    process.exitCode = 1;
    process.disconnect();
  }
}
