// What a mail asks for, as far as it can be told: subject, name(s), the registrar's own reference, operation. Takes what
// read-mail.ts read, gives cleaned and bounded text. Pure, never throws. A view that serves the acknowledgement: nothing
// here decides whether a request is kept.

import { cleanLine } from './clean.ts';
import { forms } from './forms/forms.ts';
import { isName } from './names.ts';
import type { Readable } from './read-mail.ts';

/** Names that an acknowledgement lists; of the rest it gives the count. */
const namesShown = 50;

export interface Understanding {
  /** Id of the form that was detected. */
  readonly form: string | undefined;
  readonly subject: string;
  /** Without repeats, in the order of the mail, at most 50. */
  readonly names: readonly string[];
  /** How many more names there are. */
  readonly moreNames: number;
  readonly reference: string | undefined;
  readonly operation: string | undefined;
}

/** What is known of a mail that could not be read. */
export const notUnderstood: Understanding = {
  form: undefined,
  subject: '',
  names: [],
  moreNames: 0,
  reference: undefined,
  operation: undefined,
};

/** `[TRID-20040511-0001]` in a subject is a reference; a mere number or word in brackets is not. */
const subjectReference = /\[((?:TRID|CLTRID|CTID|TRX|TXN|REF)[-:#_ ]?(?=[\w.-]*\d)[\w.-]{1,64})\]/i;

/** What can be a name, cleaned, without repeats. */
function cleanNames(found: readonly string[]): Set<string> {
  const names = new Set<string>();
  for (const name of found) {
    const clean = cleanLine(name, 254);
    if (isName(clean)) names.add(clean);
  }
  return names;
}

/** Every name that a mail asks for, as the registrar wrote it. */
export function namesIn(mail: Readable): readonly string[] {
  const form = forms.find((each) => each.detect(mail.lines));
  return [...cleanNames(form?.parse(mail.lines).names ?? [])];
}

/** Finds the form and takes from it what an acknowledgement quotes. */
export function understand(mail: Readable): Understanding {
  const form = forms.find((each) => each.detect(mail.lines));
  const found = form?.parse(mail.lines) ?? { names: [] };
  const names = cleanNames(found.names);
  const reference = found.reference ?? subjectReference.exec(mail.subject)?.[1];
  return {
    form: form?.id,
    subject: cleanLine(mail.subject, 200),
    names: [...names].slice(0, namesShown),
    moreNames: Math.max(0, names.size - namesShown),
    reference: reference === undefined ? undefined : cleanLine(reference, 100) || undefined,
    operation: found.operation === undefined ? undefined : cleanLine(found.operation, 40) || undefined,
  };
}
