// Which requests a Fetch gets. `strict`: the head of the line, and nothing overtakes anything. `by-name`: what stands
// earliest for each domain name, so that several leases can be out, yet never two requests for one name at a time.
// Takes the line and what is out, gives requests in the order of the line; throws what the reader throws.

import type { StoredRequest } from '../../model/request.ts';
import type { ReadLimit, RequestReader } from '../../ports/request-log.ts';
import { readAll, takeFromLine } from './queue-reader.ts';
import type { Range } from '../../model/range-set.ts';

/** What a selection looks at. */
interface Situation {
  /** What is neither confirmed nor parked, in order. */
  readonly line: Iterable<Range>;
  /** What live leases hold. */
  readonly held: ReadonlySet<number>;
  /** What was given back with a delay that is not over. */
  readonly delayed: ReadonlySet<number>;
}

export type FetchPolicy = (situation: Situation, limit: ReadLimit) => Promise<StoredRequest[]>;

/** The domain names that a request asks for, each in one spelling. */
export type NamesOf = (request: StoredRequest) => readonly string[] | Promise<readonly string[]>;

function* untilFirst(line: Iterable<Range>, delayed: ReadonlySet<number>): Generator<Range> {
  for (const [first, last] of line) {
    let stop = last + 1;
    for (const sequence of delayed) if (sequence >= first && sequence < stop) stop = sequence;
    if (stop > first) yield [first, stop - 1];
    if (stop <= last) return;
  }
}

/** The head of the line. A delayed request holds up everything behind it. */
export function strictPolicy(reader: RequestReader): FetchPolicy {
  return ({ line, delayed }, limit) => takeFromLine(reader, untilFirst(line, delayed), limit);
}

/** How far a by-name Fetch looks past requests that it may not take: requests, and bytes as a multiple of its limit. */
const lookAhead = { count: 10_000, bytes: 4 };
const pieceCount = 100;
/** Requests without a recognised name go by this one; no name is empty. */
const unnamed = '';

/** The requests of a line that nobody holds, read in pieces. */
async function* unheld(reader: RequestReader, { line, held }: Situation, bytes: number): AsyncGenerator<StoredRequest> {
  for (const [first, last] of line) {
    for (let next = first; next <= last;) {
      while (next <= last && held.has(next)) next++;
      let end = next;
      while (end < last && end - next < pieceCount && !held.has(end + 1)) end++;
      if (next > last) break;
      const piece = await takeFromLine(reader, [[next, end]], { count: pieceCount, bytes });
      yield* piece;
      next = (piece.at(-1)?.sequence ?? end) + 1;
    }
  }
}

/** The earliest of each name. Requests without a name share one, but may be together in one lease, in order. */
export function byNamePolicy(reader: RequestReader, namesOf: NamesOf): FetchPolicy {
  /** Names of what is out. */
  const known = new Map<number, readonly string[]>();
  const learn = async (request: StoredRequest): Promise<readonly string[]> => {
    const names = await namesOf(request);
    return names.length === 0 ? [unnamed] : names;
  };
  const namesOut = async (held: ReadonlySet<number>): Promise<Set<string>> => {
    for (const sequence of known.keys()) if (!held.has(sequence)) known.delete(sequence);
    const missing = [...held].filter((sequence) => !known.has(sequence));
    for (const request of await readAll(reader, missing)) known.set(request.sequence, await learn(request));
    return new Set([...known.values()].flat());
  };

  return async (situation, limit) => {
    const blocked = await namesOut(situation.held);
    const taken: StoredRequest[] = [];
    let { bytes } = limit;
    let looked = 0;
    let lookedBytes = 0;
    for await (const request of unheld(reader, situation, limit.bytes)) {
      lookedBytes += request.size;
      if (taken.length === limit.count || ++looked > lookAhead.count || lookedBytes > lookAhead.bytes * limit.bytes)
        break;
      const names = await learn(request);
      const free = !situation.delayed.has(request.sequence) && !names.some((name) => blocked.has(name));
      if (free && taken.length > 0 && request.size > bytes) break;
      if (free) {
        taken.push(request);
        bytes -= request.size;
      }
      // Whatever stands behind it with the same name waits, whether this one was taken or not.
      for (const name of names) if (!free || name !== unnamed) blocked.add(name);
    }
    for (const request of taken) known.set(request.sequence, await learn(request));
    return taken;
  };
}
