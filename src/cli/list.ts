// The requests in the spool, one a line, as mailq lists a queue. Takes the views and filters, gives rows in order, read a
// batch at a time: a million of them cost no memory. A mail is read for what it asks only when that is shown.

import { resolve as absolute } from 'node:path';
import type { Config } from '../config/config.ts';
import { nodeRuntime } from '../lib/node/runtime.ts';
import { exitCode, UsageError } from '../model/errors.ts';
import type { Problem, ParsedMail } from '../model/parsed-mail.ts';
import { openViews } from '../operate/spool-views.ts';
import { humanBytes } from '../operate/human.ts';
import type { Views } from '../operate/views.ts';
import { print, sequenceFrom, timeFrom } from './words.ts';

/** The options of the verb. */
interface ListOptions {
  readonly json?: boolean;
  readonly from?: string;
  readonly to?: string;
  readonly limit?: string;
  readonly last?: string;
  readonly sender?: string;
  readonly state?: string;
  readonly since?: string;
  readonly until?: string;
  readonly name?: string;
  readonly brief?: boolean;
}

/** Which requests to list. All that is given must hold. */
interface ListFilter {
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

/** Every state that `--state` may name. */
const states = 'waiting,retrying,acknowledged,none due,failed,settled,ready,leased,parked,confirmed'.split(',');

/** One request, as `seawall list --json` prints it. */
interface ListRow {
  readonly sequence: number;
  readonly ticket: string;
  readonly receivedAt: string;
  readonly ageSeconds: number;
  readonly size: number;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly client: string;
  /** As whom the book knew the sender, and by what; absent without a book and for strangers. */
  readonly registrar?: { readonly id: string; readonly by: string };
  /** There was a book, and the sender was not known by it. */
  readonly unverified?: true;
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
  /** Only the beginning of the mail was read. */
  readonly partly?: true;
}

/** @param now milliseconds since 1970 UTC */
async function* listRequests(views: Views, filter: ListFilter, now: number): AsyncGenerator<ListRow> {
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
        ...(client.registrar && { registrar: client.registrar }),
        ...(client.unverified && { unverified: true }),
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

function asked({ form, operation, reference, names, problems, partly }: ParsedMail): Partial<ListRow> {
  return {
    ...(form !== undefined && { form }),
    ...(operation !== undefined && { operation }),
    ...(reference !== undefined && { reference }),
    names: names.map(({ ascii }) => ascii),
    unicodeNames: names.map(({ unicode }) => unicode),
    problems,
    ...(partly && { partly }),
  };
}

/** The names of a row for people: the first one, and how many more; at most `width` characters. */
function namesColumn({ unicodeNames: names = [], partly }: ListRow, width: number): string {
  const [first = '-'] = names;
  // With another plus only the beginning of the mail was read: there may be more.
  const more = names.length > 1 || partly ? ` +${Math.max(0, names.length - 1)}${partly ? '+' : ''}` : '';
  const points = Array.from(first);
  const room = width - more.length;
  return `${points.length > room ? `${points.slice(0, room - 1).join('')}…` : first}${more}`;
}

/** Characters of the column with names. */
const namesWidth = 28;
/** And of the one with the registrar, when its id is not longer. */
const registrarWidth = 12;

/** Prints the requests that the options ask for. @throws UsageError */
export async function list(config: Config, values: ListOptions): Promise<number> {
  if (values.state !== undefined && !states.includes(values.state))
    throw new UsageError(`--state wants one of ${states.join(', ')}, but got ${JSON.stringify(values.state)}.`);
  const views = await openViews(config);
  const now = nodeRuntime.clock.now();
  const last = values.last === undefined ? undefined : sequenceFrom(values.last, '--last');
  const filter = {
    from:
      values.from !== undefined
        ? sequenceFrom(values.from, '--from')
        : last !== undefined
          ? Math.max(1, (await views.reader.durable()) - last + 1)
          : 1,
    to: values.to === undefined ? Infinity : sequenceFrom(values.to, '--to'),
    limit: values.limit === undefined ? Infinity : sequenceFrom(values.limit, '--limit'),
    ...(values.sender !== undefined && { sender: values.sender.toLowerCase() }),
    ...(values.state !== undefined && { state: values.state }),
    ...(values.since !== undefined && { since: timeFrom(values.since, '--since') }),
    ...(values.until !== undefined && { until: timeFrom(values.until, '--until') }),
    ...(values.name !== undefined && { name: values.name.normalize('NFC').toLowerCase() }),
    ...(values.brief && { brief: true }),
  };
  if (!values.json) {
    print(
      `${'SEQUENCE'.padStart(10)}  ${'TICKET'.padEnd(14)}  ${'RECEIVED (UTC)'.padEnd(19)}  ${'SIZE'.padStart(9)}  ${'REGISTRAR'.padEnd(registrarWidth)}  ${'ACKNOWLEDGEMENT'.padEnd(15)}  ${'REGISTRY'.padEnd(9)}  ${values.brief ? '' : `${'NAMES'.padEnd(namesWidth)}  `}SENDER`,
    );
  }
  let count = 0;
  for await (const row of listRequests(views, filter, now)) {
    count++;
    if (values.json) print(JSON.stringify(row));
    else {
      const { sequence, ticket, receivedAt, size, acknowledgement, registry, sender } = row;
      const time = receivedAt.slice(0, 19).replace('T', ' ');
      const registrar = row.registrar?.id ?? (row.unverified ? '(stranger)' : '-');
      const names = values.brief ? '' : `${namesColumn(row, namesWidth).padEnd(namesWidth)}  `;
      print(
        `${String(sequence).padStart(10)}  ${ticket.padEnd(14)}  ${time}  ${humanBytes(size).padStart(9)}  ${registrar.padEnd(registrarWidth)}  ${acknowledgement.padEnd(15)}  ${registry.padEnd(9)}  ${names}${sender || '<>'}`,
      );
    }
    // A reader that is slower than we are (a pager) is waited for.
    if (process.stdout.writableNeedDrain) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
  if (!values.json)
    print(count === 0 ? `No requests in ${absolute(config.spool.dir)}.` : `${count} request${count === 1 ? '' : 's'}.`);
  await views.reader.close();
  return exitCode.ok;
}
