// Whether the books balance: what registrars were told, what the spool holds, what was acknowledged, pulled and confirmed. Takes
// records, gives what is wrong in words, first things first. Pure: where the records come from is not its affair.

import { sequenceOf } from '../../src/model/ticket.ts';
import type { FloodRecord, RegistryRecord, SinkRecord } from './records.ts';

/** A request in the spool, as `seawall list --json` prints it. */
export interface SpoolRow {
  readonly sequence: number;
  readonly ticket: string;
  readonly sender: string;
  readonly acknowledgement: string;
  readonly registry: string;
}

export interface Books {
  readonly flood: readonly FloodRecord[];
  readonly spool: readonly SpoolRow[];
  /** Undefined: nobody kept such notes, so nothing is said about it. */
  readonly sink?: readonly SinkRecord[] | undefined;
  readonly registry?: readonly RegistryRecord[] | undefined;
  /** Microseconds by which the clocks of two machines may differ. */
  readonly clockMicros?: number;
}

/** One kind of trouble: how many there are, and the first few by name. */
interface Finding {
  readonly what: string;
  readonly count: number;
  readonly first: readonly string[];
}

export interface Balance {
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<string, number>>;
}

const named = 5;

class Findings {
  readonly all = new Map<string, { count: number; first: string[] }>();

  add(what: string, who: string): void {
    const known = this.all.get(what) ?? { count: 0, first: [] };
    known.count++;
    if (known.first.length < named) known.first.push(who);
    this.all.set(what, known);
  }
}

/** Goes through everything once. */
export function balance(books: Books): Balance {
  const found = new Findings();
  const rows = checkSpool(books.spool, found);
  const told = checkTickets(books, rows, found);
  checkOrder(told, books.clockMicros ?? 0, found);
  const acknowledged = books.sink && checkAcknowledgements(books.sink, rows, found);
  const confirmed = books.registry && checkRegistry(books.registry, rows, told, found);
  const { flood } = books;
  return {
    findings: [...found.all].map(([what, { count, first }]) => ({ what, count, first })),
    counts: {
      requests: flood.length,
      accepted: told.length,
      refused: flood.filter(({ code }) => code >= 300).length,
      'without an answer': flood.filter(({ code }) => code === 0).length,
      kept: books.spool.length,
      ...(acknowledged && { acknowledged: acknowledged.tickets, 'acknowledged again': acknowledged.again }),
      ...(confirmed && { pulled: confirmed.pulled, 'pulled again': confirmed.again, confirmed: confirmed.confirmed }),
    },
  };
}

type Told = FloodRecord & { readonly ticket: string; readonly sequence: number };

function checkSpool(spool: readonly SpoolRow[], found: Findings): Map<string, SpoolRow> {
  const rows = new Map<string, SpoolRow>();
  for (const [i, row] of spool.entries()) {
    if (row.sequence !== i + 1) found.add('the spool has a gap or a repeat', `${row.ticket} stands at place ${i + 1}`);
    if (sequenceOf(row.ticket) !== row.sequence) found.add('a ticket in the spool is not its sequence', row.ticket);
    rows.set(row.ticket, row);
  }
  return rows;
}

/** Each ticket once; what was told is kept; what is kept was told, or its answer was lost. */
function checkTickets({ flood }: Books, rows: ReadonlyMap<string, SpoolRow>, found: Findings): Told[] {
  const told: Told[] = [];
  const byTicket = new Map<string, FloodRecord>();
  let unknown = 0;
  for (const record of flood) {
    if (record.code === 0 && record.sent > 0) unknown++;
    if (record.stranger && record.code === 250) found.add('a stranger was let in', record.reference);
    if (record.code !== 250) continue;
    const { ticket, reference } = record;
    const sequence = ticket === undefined ? undefined : sequenceOf(ticket);
    if (ticket === undefined || sequence === undefined) {
      found.add('a 250 without a ticket that can be right', `${reference} got ${ticket ?? 'none'}`);
      continue;
    }
    const other = byTicket.get(ticket);
    if (other) found.add('a ticket was given twice', `${ticket} to ${other.reference} and ${reference}`);
    byTicket.set(ticket, record);
    const row = rows.get(ticket);
    if (!row) found.add('a ticket was given and is not in the spool', `${ticket} (${reference})`);
    else if (row.sender !== record.sender)
      found.add('a ticket names the request of somebody else', `${ticket}: ${row.sender}, not ${record.sender}`);
    told.push({ ...record, ticket, sequence });
  }
  // A request whose answer was lost may be in the spool or not; more than that must not be there.
  const untold = [...rows.keys()].filter((ticket) => !byTicket.has(ticket));
  if (untold.length > unknown) {
    for (const ticket of untold) found.add(`kept, but given to no registrar (${unknown} answers were lost)`, ticket);
  }
  return told;
}

/** Who had the answer before another one wrote its final dot stands before it. */
function checkOrder(told: readonly Told[], clockMicros: number, found: Findings): void {
  const bySent = told.toSorted((a, b) => a.sent - b.sent);
  const byReplied = told.toSorted((a, b) => a.replied - b.replied);
  let answered = 0;
  let highest: Told | undefined;
  for (const later of bySent) {
    for (
      let earlier = byReplied[answered];
      earlier && earlier.replied + clockMicros < later.sent;
      earlier = byReplied[++answered]
    ) {
      if (!highest || earlier.sequence > highest.sequence) highest = earlier;
    }
    if (highest && highest.sequence > later.sequence) {
      found.add('out of order', `${highest.ticket} was answered before ${later.ticket} was sent`);
    }
  }
}

function checkAcknowledgements(sink: readonly SinkRecord[], rows: ReadonlyMap<string, SpoolRow>, found: Findings) {
  const taken = new Set<string>();
  let again = 0;
  for (const { ticket, to, code } of sink) {
    const row = rows.get(ticket);
    if (!row)
      found.add('an acknowledgement of nothing that is kept', ticket === '' ? `to ${to}, without a ticket` : ticket);
    else if (row.sender !== to)
      found.add('an acknowledgement went to somebody else', `${ticket} to ${to}, not ${row.sender}`);
    if (code !== 250) continue;
    if (taken.has(ticket)) again++;
    taken.add(ticket);
  }
  for (const [ticket, { acknowledgement }] of rows) {
    if (acknowledgement === 'none due') continue;
    if (!taken.has(ticket)) found.add('not acknowledged', `${ticket} (the journal says: ${acknowledgement})`);
    else if (acknowledgement !== 'acknowledged')
      found.add('acknowledged, and the journal does not know', `${ticket} (${acknowledgement})`);
  }
  return { tickets: taken.size, again };
}

function checkRegistry(
  registry: readonly RegistryRecord[],
  rows: ReadonlyMap<string, SpoolRow>,
  told: readonly Told[],
  found: Findings,
) {
  const references = new Map(told.map(({ ticket, reference }) => [ticket, reference]));
  const confirmed = new Set<string>();
  const pulled = new Set<string>();
  let again = 0;
  let [next, nextConfirmed] = [1, 1];
  for (const { what, ticket, sequence, reference } of registry.toSorted(
    (a, b) => a.at - b.at || a.sequence - b.sequence,
  )) {
    if (what === 'confirmed') {
      if (confirmed.has(ticket)) found.add('confirmed twice', ticket);
      confirmed.add(ticket);
      if (sequence !== nextConfirmed)
        found.add('confirmed out of order', `${ticket} where ${nextConfirmed} comes next`);
      nextConfirmed = sequence + 1;
      continue;
    }
    if (pulled.has(ticket)) {
      again++;
      if (confirmed.has(ticket)) found.add('pulled again after it was confirmed', ticket);
      continue;
    }
    pulled.add(ticket);
    if (sequence !== next || sequenceOf(ticket) !== sequence)
      found.add('pulled out of order', `${ticket} where ${next} comes next`);
    next = sequence + 1;
    const right = references.get(ticket);
    if (!rows.has(ticket)) found.add('pulled, and not in the spool', ticket);
    else if (right !== undefined && right !== reference)
      found.add('a ticket carries the wrong request', `${ticket}: ${reference}, not ${right}`);
  }
  for (const [ticket, { registry: state }] of rows) {
    if (!pulled.has(ticket)) found.add('not pulled', ticket);
    else if (!confirmed.has(ticket)) found.add('pulled and not confirmed', `${ticket} (the journal says: ${state})`);
    else if (state !== 'confirmed') found.add('confirmed, and the journal does not know', `${ticket} (${state})`);
  }
  return { pulled: pulled.size, again, confirmed: confirmed.size };
}

/** The balance for a terminal. */
export function balanceWords({ findings, counts }: Balance): string {
  const lines = Object.entries(counts).map(([name, count]) => `  ${name.padEnd(20)}${String(count).padStart(10)}`);
  const troubles = findings.map(
    ({ what, count, first }) =>
      `PROBLEM: ${what}: ${count}\n${first.map((each) => `    ${each}\n`).join('')}${count > first.length ? `    … and ${count - first.length} more\n` : ''}`,
  );
  return `${lines.join('\n')}\n\n${troubles.join('')}${findings.length === 0 ? 'The books balance.' : 'The books do NOT balance.'}`;
}
