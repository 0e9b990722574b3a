// The mails that registrars send: forms from templates, filled in and padded to sizes from a distribution. Everything that can
// be is made beforehand; what is left for the moment of sending is joining a few strings. Owns nothing.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WrongUse } from './options.ts';

/** Makes the text of request `index`: latin1, CRLF, no line that begins with a dot, without the final dot. */
export type MakeMail = (index: number, reference: string, sender: string) => string;

/** Message sizes and how often each comes. */
export type Sizes = readonly { readonly bytes: number; readonly weight: number }[];

const folder = join(import.meta.dirname, '../forms');
const words = ['{{sender}}', '{{domain}}', '{{name}}', '{{reference}}'] as const;

/** Reads `4096` or `1500:60,4096:30,20000:10` (bytes, and how many in all of them are that large). */
export function sizesFrom(text: string): Sizes {
  const sizes = text.split(',').map((part) => {
    const [, bytes = 0, weight = 1] =
      /^(\d{1,8})(?::(\d{1,6}))?$/.exec(part.trim())?.map((each) => Number(each ?? 1)) ?? [];
    if (bytes >= 1 && bytes <= 10_000_000 && weight >= 1) return { bytes, weight };
    throw new WrongUse(`--sizes wants bytes, or bytes:weight joined by commas, but got ${JSON.stringify(part)}.`);
  });
  return sizes;
}

/** A number from 0 up to 1 that is always the same for the same index: each node of a flood makes the same mail. */
function luck(index: number, salt: number): number {
  let x = Math.imul(index + salt * 0x9e3779b9, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 16), 0x27d4eb2f);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

function splitAtWords(form: string): string[] {
  return form.split(/(\{\{\w+\}\})/);
}

function readForms(from: string): string[][] {
  const names = readdirSync(from).filter((each) => each.endsWith('.txt'));
  if (names.length === 0) throw new WrongUse(`--forms wants a folder of .txt files, but ${from} holds none.`);
  return names.toSorted().map((name) => {
    const text = readFileSync(join(from, name), 'latin1').replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..');
    const parts = splitAtWords(text.endsWith('\r\n') ? text : `${text}\r\n`);
    const unknown = parts.find((each) => each.startsWith('{{') && !words.some((word) => word === each));
    if (unknown !== undefined) throw new WrongUse(`${name} holds ${unknown}; a form may hold ${words.join(' ')}.`);
    if (!parts.includes('{{reference}}')) throw new WrongUse(`${name} wants a line such as 1e..: {{reference}}.`);
    return parts;
  });
}

/**
 * Reads the forms of a folder and makes the maker.
 * @param sizes how large mails are; a form that is larger than its size is sent as it is
 * @param names how many domain names are wanted: fewer names than requests means that registrars want the same ones
 */
export function mailMaker(sizes: Sizes, names: number, from = folder): MakeMail {
  const forms = readForms(from);
  const inAll = sizes.reduce((sum, { weight }) => sum + weight, 0);
  const filler = `3z..: ${'a line of a form, as long as forms are '.repeat(2).slice(0, 70)}\r\n`;
  const pads = new Map<number, string>();
  const padding = (bytes: number): string => {
    const known = pads.get(bytes);
    if (known !== undefined) return known;
    const lines = filler.repeat(Math.floor(bytes / filler.length));
    // Made one flat string here and not again at each write.
    const made = Buffer.from(lines, 'latin1').toString('latin1');
    if (pads.size < 5_000) pads.set(bytes, made);
    return made;
  };
  const sizeOf = (index: number): number => {
    let left = luck(index, 1) * inAll;
    for (const { bytes, weight } of sizes) if ((left -= weight) < 0) return bytes;
    return sizes.at(-1)?.bytes ?? 0;
  };
  return (index, reference, sender) => {
    const domain = sender.slice(sender.indexOf('@') + 1);
    const name = `name${Math.floor(luck(index, 2) * names)}.example`;
    let text = '';
    for (const part of forms[Math.floor(luck(index, 3) * forms.length)] ?? []) {
      if (part === '{{reference}}') text += reference;
      else if (part === '{{sender}}') text += sender;
      else if (part === '{{domain}}') text += domain;
      else if (part === '{{name}}') text += name;
      else text += part;
    }
    return text + padding(Math.max(0, sizeOf(index) - text.length));
  };
}
