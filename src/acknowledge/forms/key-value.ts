// Key and value: `key: heron.example` (automaton), `Domain: mühlenbach.example` (RRI), `domain: curlew.example` (RPSL
// object). Several requests in one mail stand apart by blank lines; each brings its name. Only the keys below are read:
// never `password:`.

import { cleanLine } from '../clean.ts';
import { isName } from '../names.ts';
import { collect, type Form, type Item } from './form.ts';

const pair = /^\s{0,3}([A-Za-z][A-Za-z-]{0,30})\s{0,8}:(.*)$/;
const wanted: ReadonlyMap<string, Item['is']> = new Map([
  ['key', 'name'],
  ['domain', 'name'],
  ['domain-name', 'name'],
  ['ctid', 'reference'],
  ['trid', 'reference'],
  ['cltrid', 'reference'],
  ['action', 'operation'],
  ['operation', 'operation'],
]);

function* itemsOf(lines: readonly string[]): Iterable<Item> {
  for (const line of lines) {
    const [, key = '', value = ''] = pair.exec(line) ?? [];
    const is = wanted.get(key.toLowerCase());
    if (is) yield { is, value };
  }
}

export const keyValue: Form = {
  id: 'key-value',
  detect(lines) {
    for (const { is, value } of itemsOf(lines)) if (is === 'name' && isName(cleanLine(value, 254))) return true;
    return false;
  },
  parse: (lines) => collect(itemsOf(lines)),
};
