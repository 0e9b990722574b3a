// The domain names that a kept request asks for, for a registry that pulls by name. Takes a request, gives names in one
// spelling (lower case, A-labels), so that two spellings of one name are one name. Never rejects: a mail that cannot be
// understood has no names. Only the piece that acknowledging reads is looked at. Owns a bounded memory of its answers.

import type { StoredRequest } from '../model/request.ts';
import type { Clock } from '../ports/runtime.ts';
import { pieceOf } from './mail-piece.ts';
import { readMail } from './read-mail.ts';
import { understand } from './understand.ts';

/** Answers that are kept: a line that is looked through again and again is not parsed again and again. */
const answersKept = 20_000;

/** @param parseBytes how much of a mail is looked at */
export function namesReader(parseBytes: number, clock: Clock): (request: StoredRequest) => Promise<readonly string[]> {
  const answers = new Map<number, readonly string[]>();
  return async ({ sequence, message }) => {
    const known = answers.get(sequence);
    if (known) return known;
    const mail = await readMail(pieceOf(message, parseBytes), clock);
    const names = mail ? understand(mail).names.map(({ ascii }) => ascii) : [];
    answers.set(sequence, names);
    for (const oldest of answers.keys()) {
      if (answers.size <= answersKept) break;
      answers.delete(oldest);
    }
    return names;
  };
}
