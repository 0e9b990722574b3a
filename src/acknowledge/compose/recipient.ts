// To whom an acknowledgement goes, and in which language. Takes a request and the registrar book in force, gives an address
// and a language: the registrar's contact and language where the book has them, else the envelope sender and ack.language.
// Pure. Looked up anew for each try: when the book changes between two tries the second one may go elsewhere or speak
// another language, and its Message-ID and ticket stay, so whoever gets both knows them for one.

import { domainToASCII } from 'node:url';
import type { Registrar } from '../../model/registrar.ts';
import type { RegistrarBook } from '../../config/registrar-book.ts';
import type { StoredRequest } from '../../model/request.ts';

export interface Recipient {
  /** An address as in an envelope; the null sender's is empty. */
  readonly to: string;
  readonly language: string;
  /** Whether the book says where to write: then nobody is answered who could answer back. */
  readonly contact: boolean;
}

export type RecipientOf = (request: StoredRequest) => Recipient;

/** The recipient of a request. @param language for whom the book has none */
export function recipientOf(
  { client, envelope }: StoredRequest,
  book: RegistrarBook | undefined,
  language: string,
): Recipient {
  const known: Registrar | undefined = client.registrar && book?.byId(client.registrar.id);
  return {
    to: known?.contact ?? envelope.from,
    language: known?.language ?? language,
    contact: known?.contact !== undefined,
  };
}

/** Behind the last @, as DNS and limits want it: lower case, A-labels; an address literal as it stands. Empty when there is none. */
export function domainOf(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  // Asked for each mail; the common case needs no IDNA.
  if (/^[a-z0-9.-]*\.[a-z]+$/.test(domain) && !domain.includes('xn--')) return domain;
  if (domain.startsWith('[')) return domain.toLowerCase();
  return domainToASCII(domain).replace(/\.$/, '');
}
