// Reads requests out of the log in the order of the queue. Takes ranges of sequences, gives the requests; throws what the
// reader throws, and DamagedLogError when a durable request is not there.

import { DamagedLogError } from '../../model/errors.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { ReadLimit, RequestReader } from '../../ports/request-log.ts';
import { type Range, toRanges } from '../../model/range-set.ts';

/** The first requests of a line, as many as the limit lets through; the first one always. */
export async function takeFromLine(
  reader: RequestReader,
  line: Iterable<Range>,
  limit: ReadLimit,
): Promise<StoredRequest[]> {
  const taken: StoredRequest[] = [];
  let bytes = limit.bytes;
  for (const [first, last] of line) {
    for (let next = first; next <= last;) {
      const count = Math.min(limit.count - taken.length, last - next + 1);
      if (count === 0) return taken;
      const read = await reader.read(next - 1, { count, bytes: Math.max(bytes, 0) });
      if (read.length === 0) throw new DamagedLogError(`Request ${next} is durable, but the log does not give it.`);
      for (const request of read) {
        // A read gives at least one request, whatever its size.
        if (taken.length > 0 && request.size > bytes) return taken;
        taken.push(request);
        bytes -= request.size;
        next = request.sequence + 1;
      }
    }
  }
  return taken;
}

/** Exactly these requests, in this order. */
export function readAll(reader: RequestReader, sequences: readonly number[]): Promise<StoredRequest[]> {
  return takeFromLine(reader, toRanges(sequences), { count: sequences.length, bytes: Number.MAX_SAFE_INTEGER });
}
