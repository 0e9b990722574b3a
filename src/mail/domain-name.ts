// Domain names as registrars write them: U-labels, A-labels, upper case, full-width dots, with the root's dot or without.
// Takes a text, gives the name in both spellings, or what is wrong with it. Pure, never throws. Wider than any registry's
// rules: the registry judges names, this only keeps out what is none (RFC 1123 section 2.1, RFC 5890, RFC 5892).

import { domainToASCII, domainToUnicode } from 'node:url';
import type { DomainName, ProblemCode } from '../model/parsed-mail.ts';

export type NameTrouble = Extract<ProblemCode, 'not-a-name' | 'label-too-long' | 'name-too-long'>;

/** Nearly every name there is, already in its one spelling. */
const plain = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/;
/** The full stop, and the ones that IDNA takes for it. */
const dots = /[.\u3002\uff0e\uff61]/;
/** Letters, digits and marks of any script, hyphens inside, and what RFC 5892 appendix A allows in context. */
const label =
  /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}\u00b7\u0375\u05f3\u05f4\u30fb\p{Join_C}-]*[\p{L}\p{M}\p{N}\u05f3\u05f4\u30fb\p{Join_C}])?$/u;
/** A last label that makes an address of it (WHATWG URL, "ends in a number"). */
const number = /^(?:\d+|0x[0-9a-f]*)$/;
const labelMax = 63;
const nameMax = 253;

/** Reads one name. `text` has no space around it and is cleaned (sanitize.ts). */
export function parseDomainName(text: string): DomainName | NameTrouble {
  const lower = text.toLowerCase();
  if (lower.length <= nameMax && plain.test(lower) && !lower.includes('xn--')) {
    return isAddress(lower) ? 'not-a-name' : { unicode: lower, ascii: lower };
  }
  if (text.length > 4 * nameMax) return 'name-too-long';
  const labels = text.split(dots);
  if (labels.at(-1) === '') labels.pop();
  if (labels.length < 2 || !labels.every((each) => label.test(each))) return 'not-a-name';
  return normalised(labels.join('.'));
}

/** `domainToASCII` reads a URL's host: only what has passed for labels above is fit for it. */
function normalised(text: string): DomainName | NameTrouble {
  const ascii = domainToASCII(text);
  const labels = ascii.split('.');
  if (ascii === '' || isAddress(ascii)) return 'not-a-name';
  if (labels.some((each) => each.length > labelMax)) return 'label-too-long';
  if (ascii.length > nameMax) return 'name-too-long';
  const unicode = domainToUnicode(ascii).normalize('NFC');
  // An A-label that nothing is written as (xn--fr-), or that stands for what no label may hold (xn--n3h), is none.
  const isOne = domainToASCII(unicode) === ascii && unicode.split('.').every((each) => label.test(each));
  return isOne ? { unicode, ascii } : 'not-a-name';
}

function isAddress(ascii: string): boolean {
  return number.test(ascii.slice(ascii.lastIndexOf('.') + 1));
}
