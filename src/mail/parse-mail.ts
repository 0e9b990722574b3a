// What a mail asks for, as far as it can be told: subject, requests, and what was not understood, where. A view, read again from
// the kept mail whenever somebody looks; nothing here decides whether a request is kept. Takes a request, or what read-text.ts
// read of one, gives cleaned text. Never rejects: of a mail that cannot be read nothing is known. Only the piece that
// acknowledging reads is looked at, in time that is linear in its length. Owns a bounded memory of its answers.

import { pieceOf } from './header-fields.ts';
import {
  type DomainName,
  type ParsedMail,
  type ParsedRequest,
  type ParseMail,
  type Problem,
  unparsedMail,
} from '../model/parsed-mail.ts';
import type { StoredRequest } from '../model/request.ts';
import { sheetsOf, type Sheet } from './forms/form-lines.ts';
import { formOf } from './forms/forms.ts';
import { type Parse, type Readable, readMail } from './read-text.ts';
import { sanitizeLine } from './sanitize.ts';

/** Answers that are kept: a queue that is looked through again and again is not parsed again and again. */
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
    const { bytes, partly } = pieceOf(message, parseBytes);
    const mail = await readMail(bytes, parseOf(request)).catch(() => undefined);
    // Whatever kept it from being read may be over when somebody looks again.
    if (!mail) return unparsedMail;
    const answer = parseRequests(mail, partly);
    keep(sequence, answer);
    return answer;
  };
}

/** `[TRID-20040511-0001]` in a subject is a reference; a mere number or word in brackets is not. */
const subjectReference = /\[((?:TRID|CLTRID|CTID|TRX|TXN|REF)[-:#_ ]?(?=[\w.-]*\d)[\w.-]{1,64})\]/i;

/**
 * Finds the form and takes from it what it asks for.
 * @param partly the mail goes on behind these lines: what its last request lacks may stand there
 */
export function parseRequests({ subject, lines }: Readable, partly = false): ParsedMail {
  const { own, quoted } = sheetsOf(lines, partly);
  const form = formOf(own);
  const found = form?.parse(own, subject) ?? { requests: [], problems: quotedForm(quoted), moreProblems: 0 };
  const { requests, problems, moreProblems } = found;
  return {
    form: form?.id,
    subject: sanitizeLine(subject, 200),
    requests,
    names: namesOf(requests),
    operation: requests.every(({ operation }) => operation === requests[0]?.operation)
      ? requests[0]?.operation
      : undefined,
    reference:
      requests.find(({ reference }) => reference !== undefined)?.reference ??
      subjectReference.exec(subject.slice(0, 2_000))?.[1],
    problems,
    moreProblems,
    partly,
  };
}

/** A form that is only quoted is not read: it is what was said before. That it is there is worth a word. */
function quotedForm(sheet: Sheet): Problem[] {
  const [first] = sheet.rows;
  if (!first) return [];
  const form = formOf(sheet);
  return form ? [{ line: first.line, field: form.nameField, code: 'quoted-form', value: '' }] : [];
}

function namesOf(requests: readonly ParsedRequest[]): readonly DomainName[] {
  if (requests.length === 1) return requests[0]?.names ?? [];
  return [...new Map(requests.flatMap(({ names }) => names.map((name) => [name.ascii, name] as const))).values()];
}
