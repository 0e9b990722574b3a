// AFNIC's numbered form: `2a..: boulangerie-dupre.fr`. Item 1a is the operation, 1e the registrar's reference, 2a the
// name; a mail may hold several forms one after the other. 1c is a password and is not read.

import { type Field, type Fields, type Form, lettersFor } from './form.ts';
import { RequestBuilder } from './request-builder.ts';
import { isNumbered, type FormLine } from './form-lines.ts';
import { sanitizeLine } from '../sanitize.ts';
import { parseDomainName } from '../domain-name.ts';

const item = /^\d{1,2}[a-z]$/;
/** Dots as of an item, but no colon behind them. */
const broken = /^(\d{1,2}[a-z])\s{0,20}[.\u2026]{2}/i;
const fields: Fields = new Map([
  ['1a', { shown: '1a', is: 'operation', once: true }],
  ['1b', { shown: '1b', once: true }],
  ['1e', { shown: '1e', is: 'reference', once: true }],
  ['2a', { shown: '2a', is: 'name', once: true }],
]);
const operations = lettersFor({ c: 'create', d: 'delete', m: 'modify', t: 'transfer' });

function brokenItem({ key, text }: FormLine): string | undefined {
  return key !== undefined && item.test(key) ? undefined : broken.exec(text)?.[1]?.toLowerCase();
}

function fieldOf(row: FormLine): Field | undefined {
  return row.key === undefined ? undefined : fields.get(row.key);
}

export const afnic: Form = {
  id: 'numbered',
  nameField: '2a',
  /** Two items are a form, or a single 2a; written without dots only when what it names is a name. */
  detect({ rows }) {
    const items = new Set<string>();
    for (const row of rows) {
      if (!isNumbered(row)) continue;
      const { key, dots, value } = row;
      const isItem = key !== undefined && item.test(key);
      if (key === '2a' && (dots > 0 || typeof parseDomainName(sanitizeLine(value, 254)) !== 'string')) return true;
      const found = isItem ? (dots > 1 ? key : undefined) : brokenItem(row);
      if (found !== undefined && items.add(found).size > 1) return true;
    }
    return false;
  },
  parse({ rows, partly }) {
    const gathering = new RequestBuilder(operations, () => ['1a', '2a']);
    for (const row of rows) {
      if (!isNumbered(row)) continue;
      const field = fieldOf(row);
      if (field) gathering.take(field, row);
      else {
        const shown = brokenItem(row);
        if (shown !== undefined) gathering.malformed(fields.get(shown) ?? { shown }, row.line);
      }
    }
    return gathering.end(partly);
  },
};
