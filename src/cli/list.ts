// The requests in the spool, one a line, as mailq lists a queue. Takes the views and filters, gives rows in order, read a
// batch at a time: a million of them cost no memory. A mail is read for what it asks only when that is shown.

import type { Problem, ParsedMail } from '../model/parsed-mail.ts';
import type { Views } from '../operate/views.ts';

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
  /** Part of a name, as U-labels or as A-labels, in lower case. */
  readonly name?: string;
  /** Without reading the mails: no names, no operation, no reference. */
  readonly brief?: boolean;
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
  /** From here on: what the mail asks for; absent in a brief list. */
  readonly form?: string;
  readonly operation?: string;
  readonly reference?: string;
  /** A-labels. */
  readonly names?: readonly string[];
  /** The same in U-labels. */
  readonly unicodeNames?: readonly string[];
  readonly problems?: readonly Problem[];
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
      const understood = filter.brief && filter.name === undefined ? undefined : await views.parseMail(request);
      if (filter.name !== undefined && !(understood && hasName(understood, filter.name))) continue;
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
        ...(understood && !filter.brief && asked(understood)),
      };
      if (++given >= filter.limit) return;
    }
  }
}

function hasName({ names }: ParsedMail, part: string): boolean {
  return names.some(({ unicode, ascii }) => unicode.includes(part) || ascii.includes(part));
}

function asked({ form, operation, reference, names, problems }: ParsedMail): Partial<ListRow> {
  return {
    ...(form !== undefined && { form }),
    ...(operation !== undefined && { operation }),
    ...(reference !== undefined && { reference }),
    names: names.map(({ ascii }) => ascii),
    unicodeNames: names.map(({ unicode }) => unicode),
    problems,
  };
}

/** The names of a row for people: the first one, and how many more; at most `width` characters. */
export function namesColumn(names: readonly string[], width: number): string {
  const [first = '-'] = names;
  const more = names.length > 1 ? ` +${names.length - 1}` : '';
  const points = Array.from(first);
  const room = width - more.length;
  return `${points.length > room ? `${points.slice(0, room - 1).join('')}…` : first}${more}`;
}
