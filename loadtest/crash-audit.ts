// The audit after a rehearsal: lays what the clients noted, what the log holds, what the registry's book says and which
// acknowledgements came side by side. Gives counts and every contradiction in words; no contradiction means that nothing was
// lost, reordered, duplicated or changed.

import { createHash } from 'node:crypto';
import { nodeRuntime } from '../src/lib/node/runtime.ts';
import { openReader } from '../src/spool/mailbox/reader.ts';
import type { Entry } from './careful-registry.ts';
import type { Attempt } from './noting-clients.ts';

/** An acknowledgement that arrived: what a second one for the same ticket must be, too. */
export interface Arrived {
  readonly ticket: string;
  readonly to: string;
  readonly messageId: string;
  readonly digest: string;
}

/** A record of the log, as far as the audit looks. */
interface Kept {
  readonly sequence: number;
  readonly ticket: string;
  readonly sha256: string;
  readonly reference: string;
  readonly from: string;
}

export interface Books {
  readonly attempts: readonly Attempt[];
  readonly spool: string;
  readonly book: readonly Entry[];
  readonly arrived: readonly Arrived[];
}

export interface Audit {
  readonly kept: number;
  readonly promised: number;
  /** Attempts whose outcome no client knows, and how many of them the log has. */
  readonly unknown: number;
  readonly unknownKept: number;
  readonly lost: number;
  readonly reordered: number;
  readonly duplicated: number;
  readonly repeatedAcknowledgements: number;
  readonly repeatedDeliveries: number;
  readonly problems: readonly string[];
}

async function readLog(spool: string): Promise<Kept[]> {
  const reader = openReader(nodeRuntime, spool);
  const all: Kept[] = [];
  for (;;) {
    const some = await reader.read(all.length, { count: 500, bytes: 16_777_216 });
    if (some.length === 0) break;
    for (const { sequence, ticket, message, envelope } of some) {
      all.push({
        sequence,
        ticket,
        sha256: createHash('sha256').update(message).digest('hex'),
        reference: /^1e\.\.: (\S+)\r$/m.exec(message.toString('latin1'))?.[1] ?? '',
        from: envelope.from,
      });
    }
  }
  await reader.close();
  return all;
}

class Problems {
  readonly words: string[] = [];
  readonly #counts = new Map<string, number>();

  /** Counts a contradiction; only the first few of a kind are told in full. */
  add(kind: string, what: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= 5) this.words.push(`${kind}: ${what}`);
  }

  count(kind: string): number {
    return this.#counts.get(kind) ?? 0;
  }
}

/** What was promised is there, once, unchanged, in its place. */
function auditLog(kept: readonly Kept[], attempts: readonly Attempt[], problems: Problems): void {
  const byReference = new Map(attempts.map((each) => [each.reference, each]));
  const seen = new Map<string, Kept>();
  // Whatever was answered before another's final dot was written comes before it.
  let latestDot: { at: number; kept: Kept } | undefined;
  const lastOf = new Map<string, number>();
  kept.forEach((each, i) => {
    const { sequence, ticket, sha256, reference, from } = each;
    if (sequence !== i + 1) problems.add('reordered', `number ${sequence} stands in place ${i + 1}`);
    const first = seen.get(reference);
    if (first) problems.add('duplicated', `${reference} is ${first.ticket} and ${ticket}`);
    seen.set(reference, each);
    const attempt = byReference.get(reference);
    if (!attempt) return problems.add('foreign', `${ticket} is ${reference}, which nobody sent`);
    if (attempt.sha256 !== sha256 || attempt.from !== from) problems.add('changed', `${ticket} (${reference})`);
    const { dotAt, repliedAt } = attempt;
    if (dotAt === undefined) return problems.add('foreign', `${ticket} (${reference}) was never sent to its end`);
    if (attempt.ticket !== undefined && attempt.ticket !== ticket)
      problems.add('renumbered', `${reference} was told ${attempt.ticket}, but is ${ticket}`);
    if (latestDot && repliedAt !== undefined && repliedAt < latestDot.at)
      problems.add('reordered', `${ticket} was answered before ${latestDot.kept.ticket} was sent, but comes after it`);
    if (!latestDot || dotAt > latestDot.at) latestDot = { at: dotAt, kept: each };
    const before = lastOf.get(from);
    if (before !== undefined && dotAt < before)
      problems.add('reordered', `${ticket} came before its sender's last one`);
    lastOf.set(from, dotAt);
  });
  for (const { ticket, reference } of attempts) {
    if (ticket !== undefined && !seen.has(reference))
      problems.add('lost', `${ticket} (${reference}) is not in the log`);
  }
}

/** The registry got everything, in order; again only what it had not confirmed. Gives how many came again. */
function auditBook(kept: readonly Kept[], book: readonly Entry[], problems: Problems): number {
  let pulledThrough = 0;
  let confirmedThrough = 0;
  let again = 0;
  const tokens = new Map<string, string>();
  for (const entry of book) {
    if ('confirmed' in entry) confirmedThrough = entry.confirmed;
    if (!('pulled' in entry)) continue;
    const before = tokens.get(entry.batch);
    if (before !== undefined && before !== entry.token) problems.add('lease', `${entry.batch} came with two tokens`);
    tokens.set(entry.batch, entry.token);
    for (const [sequence, ticket, sha256] of entry.pulled) {
      const record = kept[sequence - 1];
      if (sequence <= confirmedThrough) problems.add('pulled', `${ticket} came again after it was confirmed`);
      else if (sequence <= pulledThrough) again++;
      else if (sequence !== pulledThrough + 1) problems.add('pulled', `${ticket} came after number ${pulledThrough}`);
      if (record?.ticket !== ticket || record.sha256 !== sha256)
        problems.add('pulled', `${ticket} is not what is kept`);
      pulledThrough = Math.max(pulledThrough, sequence);
    }
  }
  if (confirmedThrough !== kept.length)
    problems.add('pulled', `confirmed up to ${confirmedThrough}, but ${kept.length} are kept`);
  return again;
}

/** Each request is acknowledged, to its sender, and each time by the same mail. Gives how many were repeats. */
function auditArrived(kept: readonly Kept[], arrived: readonly Arrived[], problems: Problems): number {
  const firsts = new Map<string, Arrived>();
  const byTicket = new Map(kept.map((each) => [each.ticket, each]));
  for (const each of arrived) {
    const record = byTicket.get(each.ticket);
    if (record?.from !== each.to) problems.add('acknowledged', `${each.ticket} to ${each.to}: it is not theirs`);
    const first = firsts.get(each.ticket);
    if (!first) firsts.set(each.ticket, each);
    else if (first.digest !== each.digest || first.messageId !== each.messageId)
      problems.add('acknowledged', `${each.ticket} twice, and not the same mail`);
  }
  for (const { ticket } of kept) if (!firsts.has(ticket)) problems.add('unacknowledged', ticket);
  return arrived.length - firsts.size;
}

/** Compares everything with everything. */
export async function reconcile({ attempts, spool, book, arrived }: Books): Promise<Audit> {
  const problems = new Problems();
  const kept = await readLog(spool);
  auditLog(kept, attempts, problems);
  const repeatedDeliveries = auditBook(kept, book, problems);
  const repeatedAcknowledgements = auditArrived(kept, arrived, problems);
  const references = new Set(kept.map((each) => each.reference));
  const unknown = attempts.filter((each) => each.dotAt !== undefined && each.ticket === undefined);
  return {
    kept: kept.length,
    promised: attempts.filter((each) => each.ticket !== undefined).length,
    unknown: unknown.length,
    unknownKept: unknown.filter((each) => references.has(each.reference)).length,
    lost: problems.count('lost') + problems.count('changed'),
    reordered: problems.count('reordered') + problems.count('renumbered'),
    duplicated: problems.count('duplicated'),
    repeatedAcknowledgements,
    repeatedDeliveries,
    problems: problems.words,
  };
}
