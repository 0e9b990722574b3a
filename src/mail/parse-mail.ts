// What kept requests ask for, for the stages and verbs that show it: a view, read again from the mail whenever somebody
// looks. Takes a request, gives what was understood. Never rejects: of a mail that cannot be read nothing is known. Only the
// piece that acknowledging reads is looked at. Owns a bounded memory of its answers.

import type { ParseMail, ParsedMail } from '../model/parsed-mail.ts';
import { unparsedMail } from '../model/parsed-mail.ts';
import type { StoredRequest } from '../model/request.ts';
import { pieceOf } from './header-fields.ts';
import { type Parse, readMail } from './read-text.ts';
import { parseRequests } from './parse-text.ts';

/** Answers that are kept: a line that is looked through again and again is not parsed again and again. */
const answersKept = 10_000;
/** Names in them, all together: one mail can hold thousands. */
const namesKept = 100_000;

/**
 * @param parseBytes how much of a mail is looked at
 * @param parseOf how a request's mail of several parts is parsed
 */
export function mailParser(parseBytes: number, parseOf: (request: StoredRequest) => Parse): ParseMail {
  const answers = new Map<number, ParsedMail>();
  let names = 0;
  const keep = (sequence: number, answer: ParsedMail): void => {
    names += answer.names.length - (answers.get(sequence)?.names.length ?? 0);
    answers.set(sequence, answer);
    for (const [oldest, { names: its }] of answers) {
      if (answers.size <= answersKept && names <= namesKept) break;
      answers.delete(oldest);
      names -= its.length;
    }
  };
  return async (request) => {
    const { sequence, message } = request;
    const known = answers.get(sequence);
    if (known) return known;
    const mail = await readMail(pieceOf(message, parseBytes), parseOf(request)).catch(() => undefined);
    // Whatever kept it from being read may be over when somebody looks again.
    if (!mail) return unparsedMail;
    const answer = parseRequests(mail);
    keep(sequence, answer);
    return answer;
  };
}
