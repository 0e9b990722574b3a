// The forms in the order in which they are tried: the strictest first. A new form is a file beside this one and a line here.

import type { Form } from './form.ts';
import { internic } from './internic.ts';
import { keyValue } from './key-value.ts';
import { numbered } from './numbered.ts';

export const forms: readonly Form[] = [numbered, internic, keyValue];
