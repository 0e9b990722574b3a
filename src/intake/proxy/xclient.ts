// What a front says of a client: the attributes of Postfix's XCLIENT and XFORWARD. Pure: takes a command, gives its attributes,
// cleaned, or the refusal. A name can be anything that a stranger chose, so what is not plain ASCII becomes "?" and
// the command counts all the same: were it refused, the message would go down as the front's own.

import { isIP } from 'node:net';
import { plainAddress } from '../../lib/address-list.ts';
import { Refusal } from '../smtp/replies.ts';

const commands = {
  XCLIENT: ['ADDR', 'DESTADDR', 'DESTPORT', 'HELO', 'LOGIN', 'NAME', 'PORT', 'PROTO'],
  XFORWARD: ['ADDR', 'HELO', 'IDENT', 'NAME', 'PORT', 'PROTO', 'SOURCE'],
} as const;

export type IntroductionCommand = keyof typeof commands;

/** Attributes by their names; empty: the front does not know. */
export type Attributes = ReadonlyMap<string, string>;

const unavailable = ['[UNAVAILABLE]', '[TEMPUNAVAIL]'];
/** As long as a host name can be (RFC 1035). */
const longest = 255;

/** Decodes xtext (RFC 3461 section 4) and takes away what does not belong into a record or a log. */
function clean(xtext: string): string {
  const text = xtext.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return text.replace(/[^\x21-\x7e]/g, '?').slice(0, longest);
}

const wrong = (what: string): Refusal => new Refusal(501, `5.5.4 ${what}`);

/** Gives an attribute's value as it is kept, or what is wrong with it. */
function valueOf(name: string, xtext: string): string | Refusal {
  const text = clean(xtext);
  if (text === '' || unavailable.includes(text.toUpperCase())) return '';
  if (name === 'ADDR') {
    const bare = text.replace(/^IPV6:/i, '');
    const address = isIP(bare) !== 0 && !bare.includes('%') ? plainAddress(bare) : undefined;
    return address ?? wrong('ADDR wants an address such as 192.0.2.1 or IPV6:2001:db8::1');
  }
  if (name === 'PORT') return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? text : wrong('PORT wants a port');
  return name === 'PROTO' ? text.toUpperCase().slice(0, 16) : text;
}

/**
 * Reads the attributes of a command (XCLIENT_README and XFORWARD_README of Postfix).
 * @returns the attributes, or the refusal when one of them cannot be used: then none counts
 */
export function readAttributes(command: IntroductionCommand, line: string): Attributes | Refusal {
  const attributes = new Map<string, string>();
  for (const word of line.trim().split(/ +/).slice(1)) {
    const [, name = '', xtext = ''] = /^([A-Za-z]+)=([^=]*)$/.exec(word) ?? [];
    const key = commands[command].find((each) => each === name.toUpperCase());
    if (key === undefined) return wrong(`${command} wants ATTRIBUTE=value, of ${commands[command].join(', ')}`);
    if (attributes.has(key)) return wrong(`${key} is given twice`);
    const value = valueOf(key, xtext);
    if (value instanceof Refusal) return value;
    attributes.set(key, value);
  }
  return attributes.size > 0 ? attributes : wrong(`${command} wants ATTRIBUTE=value`);
}
