// The InterNIC domain template: `2.   Complete Domain Name............: saltmarsh.example`. Item number, period, label,
// dots, colon. Item 0a is the operation, 2 the name. 0c (Auth Info) can be a password and is not read.

import { collect, type Form, type Item } from './form.ts';

const item = /^\s{0,3}(\d{1,2}[a-z]?)\.\s{0,8}([^.:]{1,60})\.{2,}\s{0,3}:(.*)$/i;
const operations: Readonly<Record<string, string>> = { n: 'new', m: 'modify', d: 'delete' };

function isNameLine(key: string, label: string): boolean {
  return /^2[a-z]?$/i.test(key) && /domain name/i.test(label);
}

export const internic: Form = {
  id: 'internic',
  detect: (lines) =>
    lines.some((line) => {
      const [, key = '', label = ''] = item.exec(line) ?? [];
      return isNameLine(key, label);
    }),
  parse: (lines) =>
    collect(
      lines.flatMap((line): Item[] => {
        const [, key = '', label = '', value = ''] = item.exec(line) ?? [];
        if (isNameLine(key, label)) return [{ is: 'name', value }];
        if (key.toLowerCase() !== '0a') return [];
        return [{ is: 'operation', value: operations[value.trim().toLowerCase()] ?? value }];
      }),
    ),
};
