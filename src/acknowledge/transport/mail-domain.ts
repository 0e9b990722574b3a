// The domain of a mail address, as DNS and limits want it. Pure.

import { domainToASCII } from 'node:url';

/** Behind the last @: lower case, A-labels; an address literal as it stands. Empty when there is none that can be. */
export function domainOf(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if (domain.startsWith('[')) return domain.toLowerCase();
  return domainToASCII(domain).replace(/\.$/, '');
}
