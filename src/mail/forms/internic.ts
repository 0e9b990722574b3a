// The InterNIC domain template: `2.   Complete Domain Name............: saltmarsh.example`. Item number, period, label,
// dots, colon. Item 0a is the operation, 2 the name. 0c (Auth Info) can be a password and is not read.

import { type Field, type Form, lettersFor } from './form.ts';
import { RequestBuilder } from './request-builder.ts';
import { isNumbered, type FormLine } from './form-lines.ts';

const item = /^(\d{1,2}[a-z]?)\s{0,8}[.)]\s{0,20}(\S[^.\u2026]{0,80})$/;
/** Dots as of an item, but no colon behind them. */
const broken = /^(\d{1,2}[a-z]?)\s{0,8}[.)]\s{0,20}[^.\u2026\s][^.\u2026]{0,80}[.\u2026]{3}/i;
/** What a template begins with. */
const version = 'domain version number';
const name: Field = { shown: '2', is: 'name', once: true };
const operation: Field = { shown: '0a', is: 'operation', once: true };
const operations = lettersFor({ n: 'new', m: 'modify', d: 'delete' });

function fieldOf({ key }: FormLine): Field | undefined {
  const [, number = '', label = ''] = (key !== undefined && item.exec(key)) || [];
  if (/^2a?$/.test(number) && label.includes('domain')) return name;
  return /^0a?$/.test(number) && /new|modify|delete/.test(label.replace(/[()]/g, '')) ? operation : undefined;
}

/** The field of a line that begins as an item's and has no colon. */
function brokenField({ key, text }: FormLine): Field | undefined {
  if (key !== undefined && item.test(key)) return undefined;
  const shown = broken.exec(text)?.[1]?.toLowerCase();
  return shown === undefined ? undefined : ([name, operation].find((each) => each.shown === shown) ?? { shown });
}

export const internic: Form = {
  id: 'internic',
  nameField: name.shown,
  detect({ rows, keys }) {
    if (keys.has(version)) return true;
    let first: Field | undefined;
    for (const row of rows) {
      const field = isNumbered(row) ? fieldOf(row) : undefined;
      if (field && first && field !== first) return true;
      first ??= field;
    }
    return false;
  },
  parse({ rows, partly }) {
    const gathering = new RequestBuilder(operations, () => [operation.shown, name.shown]);
    for (const row of rows) {
      if (row.key === version) {
        gathering.close();
        gathering.take({ shown: version }, row);
      }
      if (!isNumbered(row)) continue;
      const field = fieldOf(row);
      if (field) gathering.take(field, row);
      else {
        const meant = brokenField(row);
        if (meant) gathering.malformed(meant, row.line);
      }
    }
    return gathering.end(partly);
  },
};
