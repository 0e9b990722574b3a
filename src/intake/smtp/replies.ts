// What the intake says when it does not take something: the refusal as a value, which whoever decides makes and the connection
// sends. The text begins with the enhanced status code; local trouble is 4xx. Pure.

import type { SMTPServerAddress } from './library.ts';

/** A reply other than 250. The text begins with the enhanced status code (RFC 3463). */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly responseCode: number;

  constructor(code: number, text: string) {
    super(text);
    this.responseCode = code;
  }
}

/** Parameters of MAIL that belong to what EHLO offers; RCPT has none. */
export const mailParameters = ['SIZE', 'BODY', 'SMTPUTF8'];

/** The library takes any parameter in silence; RFC 5321 section 4.1.1.11 wants 555 for one that is not offered. */
export function unknownParameter(args: SMTPServerAddress['args'], known: readonly string[]): Refusal | undefined {
  if (args === false) return undefined;
  const unknown = Object.keys(args).find((each) => !known.includes(each));
  return unknown === undefined ? undefined : new Refusal(555, `5.5.4 Unsupported parameter ${unknown.slice(0, 40)}`);
}
