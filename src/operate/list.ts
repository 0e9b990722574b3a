// The requests in the spool, one a line, as mailq lists a queue. Takes the views and filters, gives rows in order, read a
// batch at a time: a million of them cost no memory.

import type { Views } from './views.ts';

/** Which requests to list. All that is given must hold. */
export interface ListFilter {
  readonly from: number;
  readonly to: number;
  readonly limit: number;
  /** Part of the envelope sender, in lower case. */
  readonly sender?: string;
  /** An acknowledgement's or the registry's state. */
  readonly state?: string;
  /** Milliseconds since 1970 UTC. */
  readonly since?: number;
  readonly until?: number;
}

/** One request, as `seawall list --json` prints it. */
export interface ListRow {
  readonly sequence: number;
  readonly ticket: string;
  readonly receivedAt: string;
  readonly ageSeconds: number;
  readonly size: number;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly client: string;
  readonly sha256: string;
  readonly acknowledgement: string;
  readonly registry: string;
}

/** @param now milliseconds since 1970 UTC */
export async function* listRequests(views: Views, filter: ListFilter, now: number): AsyncGenerator<ListRow> {
  let after = filter.from - 1;
  let given = 0;
  while (after < filter.to && given < filter.limit) {
    const batch = await views.reader.read(after, { count: Math.min(500, filter.to - after), bytes: 8_388_608 });
    const last = batch.at(-1);
    if (!last) return;
    after = last.sequence;
    for (const request of batch) {
      const { sequence, ticket, receivedAt, size, envelope, client, sha256 } = request;
      const acknowledgement = views.acks.stateOf(sequence);
      const registry = views.registry.stateOf(sequence, now);
      if (filter.sender !== undefined && !envelope.from.toLowerCase().includes(filter.sender)) continue;
      if (filter.state !== undefined && filter.state !== acknowledgement && filter.state !== registry) continue;
      if (filter.since !== undefined && receivedAt < filter.since) continue;
      if (filter.until !== undefined && receivedAt >= filter.until) continue;
      yield {
        sequence,
        ticket,
        receivedAt: new Date(receivedAt).toISOString(),
        ageSeconds: Math.max(0, Math.round((now - receivedAt) / 1000)),
        size,
        sender: envelope.from,
        recipients: envelope.to,
        client: client.address,
        sha256,
        acknowledgement,
        registry,
      };
      if (++given >= filter.limit) return;
    }
  }
}
