// AFNIC's numbered form: `2a..: boulangerie-dupre.fr`. Item 1a is the operation, 1e the registrar's reference, 2a the
// name; a mail may hold several forms one after the other. 1c is a password and is not read.

import { collect, type Form, type Item } from './form.ts';

const item = /^\s{0,3}(\d{1,2}[a-z])\.{2,}\s{0,3}:(.*)$/i;
const wanted: Readonly<Record<string, Item['is']>> = {
  '1a': 'operation',
  '1e': 'reference',
  '2a': 'name',
};
const operations: Readonly<Record<string, string>> = { c: 'create', d: 'delete', m: 'modify', t: 'transfer' };

export const numbered: Form = {
  id: 'numbered',
  detect: (lines) => lines.some((line) => item.exec(line)?.[1]?.toLowerCase() === '2a'),
  parse: (lines) =>
    collect(
      lines.flatMap((line): Item[] => {
        const [, key = '', value = ''] = item.exec(line) ?? [];
        const is = wanted[key.toLowerCase()];
        if (!is) return [];
        return [{ is, value: is === 'operation' ? (operations[value.trim().toLowerCase()] ?? value) : value }];
      }),
    ),
};
