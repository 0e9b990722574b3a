// What every verb needs of words: a line on standard output, and numbers, tickets and times out of the command line. Words that
// cannot be used are a UsageError that says what was expected.

import { visible } from '../lib/visible.ts';
import { UsageError } from '../model/errors.ts';
import { isTicketLike, sequenceOf } from '../model/ticket.ts';

/** Writes a line. What came out of a mail speaks to no terminal. */
export function print(line: string): void {
  process.stdout.write(`${visible(line)}\n`);
}

/** Writes a line on standard error. */
export function complain(text: string): void {
  process.stderr.write(`seawall: ${visible(text)}\n`);
}

/** The sequence number in a text: a number or a ticket. @param what who wants it, for the error @throws UsageError */
export function sequenceFrom(text: string, what: string): number {
  if (isTicketLike(text) && sequenceOf(text) === undefined)
    throw new UsageError(
      `${what}: the check character of ${text} is wrong, so one of its characters was misheard or mistyped. Ask for it again.`,
    );
  const sequence = /^\d+$/.test(text) ? Number(text) : sequenceOf(text);
  if (sequence === undefined || sequence < 1 || !Number.isSafeInteger(sequence)) {
    throw new UsageError(
      `${what} wants a sequence number or a ticket such as SW-000000123-G, but got ${JSON.stringify(text)}.`,
    );
  }
  return sequence;
}

/** A time in milliseconds since 1970 UTC. @param what who wants it, for the error @throws UsageError */
export function timeFrom(text: string, what: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new UsageError(`${what} wants a time such as 2026-11-21T09:00:00Z, but got ${JSON.stringify(text)}.`);
  return time;
}
