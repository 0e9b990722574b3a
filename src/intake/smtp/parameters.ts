// Parameters of MAIL and RCPT: which there are, and what one that is not offered gets. Pure.

import { Refusal } from '../policy/admission.ts';
import type { SMTPServerAddress } from './library.ts';

/** Parameters of MAIL that belong to what EHLO offers; RCPT has none. */
export const mailParameters = ['SIZE', 'BODY', 'SMTPUTF8'];

/** The library takes any parameter in silence; RFC 5321 section 4.1.1.11 wants 555 for one that is not offered. */
export function unknownParameter(args: SMTPServerAddress['args'], known: readonly string[]): Refusal | undefined {
  if (args === false) return undefined;
  const unknown = Object.keys(args).find((each) => !known.includes(each));
  return unknown === undefined ? undefined : new Refusal(555, `5.5.4 Unsupported parameter ${unknown.slice(0, 40)}`);
}
