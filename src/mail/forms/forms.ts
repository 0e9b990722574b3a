// The forms in the order in which they are tried: the strictest first. A new form is a file beside this one and a line here.

import { nominet } from './nominet.ts';
import type { Form } from './form.ts';
import type { Sheet } from './form-lines.ts';
import { internic } from './internic.ts';
import { afnic } from './afnic.ts';
import { rpsl } from './rpsl.ts';
import { rri } from './rri.ts';

const forms: readonly Form[] = [afnic, internic, rri, nominet, rpsl];

/** The form that these lines are in. */
export function formOf(sheet: Sheet): Form | undefined {
  return forms.find((form) => form.detect(sheet));
}
