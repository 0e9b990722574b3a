// The address of a MAIL or RCPT command where it is more than the library reads: quoted local parts with blanks in them, and
// domains that the library would show decoded. Takes the command, gives what to hand to the library and what to make of its
// answer. Pure, never throws.

import { isIP } from 'node:net';
import type { ParsedAddress } from './library.ts';

/** Verb, source route, local part (quoted: RFC 5321 section 4.1.2), domain, parameters. */
const command = /^([^:<]*:\s*)<(?:@[^\s<>:]*:)?("(?:[ !#-[\]-~]|\\[ -~])*"|[^<>@"\s]*)@([^<>@\s]*)>(.*)$/s;
/** Letters, digits, hyphens, and the underscore that some have in practice; dots in between. */
const domainName = /^[\w\u0080-\uffff-]+(?:\.[\w\u0080-\uffff-]+)*$/;
/** RFC 5321 section 4.5.3.1: a quoted local part has 64 octets and its quotes, a path 256 and these are two of them. */
const localMax = 66;
const addressMax = 254;

/**
 * Reads the address of a command with the library's parser.
 * @param text the whole command, as `MAIL FROM:<a@b> SIZE=1`
 * @param parse the library's parser; it knows no blanks in an address, and turns A-labels into U-labels
 * @returns its answer with the address as it was written; false when it is none
 */
export function parseAddress(text: string, parse: (text: string) => ParsedAddress | false): ParsedAddress | false {
  const [, verb = '', local = '', domain = '', rest = ''] = command.exec(text) ?? [];
  if (domain === '') return /^[^<]*<[^>]*@/s.test(text) ? false : parse(text);
  const quoted = local.startsWith('"');
  if (!isDomain(domain) || local.length + 1 + domain.length > addressMax) return false;
  if (quoted && (local.length > localMax || local.length < 3)) return false;
  const parsed = parse(quoted ? `${verb}<quoted@${domain}>${rest}` : text);
  // An address literal may come back normalized; a name stays as the client wrote it: A-labels are ASCII, and not every server takes the others.
  if (parsed && !domain.startsWith('[')) parsed.address = `${local}@${domain}`;
  else if (parsed && quoted) parsed.address = `${local}${parsed.address.slice(parsed.address.lastIndexOf('@'))}`;
  return parsed;
}

function isDomain(domain: string): boolean {
  const [, , address = ''] = /^\[(IPv6:)?(.*)\]$/i.exec(domain) ?? [];
  return domain.startsWith('[') ? isIP(address) !== 0 : domainName.test(domain);
}
