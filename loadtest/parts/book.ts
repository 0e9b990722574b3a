// Who sends: a list of registrars' addresses, from a file or made up. Takes what was typed, gives addresses.

import { readFileSync } from 'node:fs';
import { WrongUse } from './options.ts';

/**
 * @param text a number of registrars to make up, addresses joined by commas, or `@FILE` with an address a line (what
 *   follows a blank or a # is not read)
 */
export function bookFrom(text: string): readonly string[] {
  if (/^\d{1,6}$/.test(text))
    return Array.from({ length: Number(text) || 1 }, (_, i) => `ops@registrar${i + 1}.example`);
  let lines = text.split(',');
  if (text.startsWith('@')) {
    try {
      lines = readFileSync(text.slice(1), 'utf8').split('\n');
    } catch (error) {
      throw new WrongUse(`--registrars: ${text.slice(1)} cannot be read: ${(error as Error).message}`);
    }
  }
  const addresses = lines.map((line) => line.trim().split(/[\s#]/)[0] ?? '').filter((each) => each !== '');
  const bad = addresses.find((each) => !/^[\x21-\x7e]+@[A-Za-z0-9.-]+$/.test(each) || /[<>]/.test(each));
  if (bad !== undefined || addresses.length === 0) {
    throw new WrongUse(`--registrars wants a number, addresses or @FILE, but got ${JSON.stringify(bad ?? text)}.`);
  }
  return addresses;
}
