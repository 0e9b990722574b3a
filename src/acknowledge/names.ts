// Whether a text can be a domain name, for what an acknowledgement lists. Takes a text, gives yes or no. Pure. Wider than
// any registry's rules (RFC 1035 lengths, letters of any script): the registry judges names, this only keeps out what is none.

const label = /^[\p{L}\p{N}_](?:(?:[\p{L}\p{M}\p{N}\u{b7}_-]|\u{200c}|\u{200d}){0,61}[\p{L}\p{M}\p{N}_])?$/u;

/** Two labels or more, with or without the root's dot. */
export function isName(text: string): boolean {
  if (text.length > 254) return false;
  const labels = text.replace(/\.$/, '').split('.');
  return labels.length >= 2 && labels.every((each) => label.test(each));
}
