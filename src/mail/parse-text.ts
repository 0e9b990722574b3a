// What a mail asks for, as far as it can be told: subject, requests, and what was not understood, where. Takes what
// read-text.ts read, gives cleaned text. Pure, never throws, linear in the length of the mail. A view: nothing here decides
// whether a request is kept.

import type { ParsedRequest, DomainName, Problem, ParsedMail } from '../model/parsed-mail.ts';
import { sanitizeLine } from './sanitize.ts';
import { forms } from './forms/forms.ts';
import { ownLines, quotedLines } from './forms/form-lines.ts';
import type { Readable } from './read-text.ts';

/** `[TRID-20040511-0001]` in a subject is a reference; a mere number or word in brackets is not. */
const subjectReference = /\[((?:TRID|CLTRID|CTID|TRX|TXN|REF)[-:#_ ]?(?=[\w.-]*\d)[\w.-]{1,64})\]/i;

/** Finds the form and takes from it what it asks for. */
export function parseRequests({ subject, lines }: Readable): ParsedMail {
  const sheet = ownLines(lines);
  const form = forms.find((each) => each.detect(sheet));
  const found = form?.parse(sheet, subject) ?? { requests: [], problems: quotedForm(lines), moreProblems: 0 };
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
  };
}

/** A form that is only quoted is not read: it is what was said before. That it is there is worth a word. */
function quotedForm(lines: readonly string[]): Problem[] {
  const sheet = quotedLines(lines);
  const [first] = sheet.rows;
  if (!first) return [];
  const form = forms.find((each) => each.detect(sheet));
  return form ? [{ line: first.line, field: form.nameField, code: 'quoted-form', value: '' }] : [];
}

function namesOf(requests: readonly ParsedRequest[]): readonly DomainName[] {
  if (requests.length === 1) return requests[0]?.names ?? [];
  return [...new Map(requests.flatMap(({ names }) => names.map((name) => [name.ascii, name] as const))).values()];
}
