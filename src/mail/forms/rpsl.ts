// A domain object as RIPE's database has it (RPSL, RFC 2622 section 2): `domain: curlew.example`. A line that begins with a
// space, a tab or `+` goes on with the one before; objects stand apart by blank lines; `#` begins a comment. The attribute
// `delete:` or the subject `NEW` says the operation. Objects of other classes are passed over, and `password:` is not read.

import type { Field, Fields, Form } from './form.ts';
import { brokenPair, RequestBuilder } from './request-builder.ts';
import type { FormLine } from './form-lines.ts';

const others = ['descr', 'admin-c', 'tech-c', 'zone-c', 'nserver', 'mnt-by', 'notify', 'changed', 'source', 'delete'];
/** Those that no other form has; the others are everybody's. */
const ownKeys = ['admin-c', 'tech-c', 'zone-c', 'mnt-by', 'changed', 'source', 'descr'];
const fields: Fields = new Map<string, Field>([
  ['domain', { shown: 'domain', is: 'name', once: true }],
  ...others.map((shown): [string, Field] => [shown, { shown }]),
]);
/** More of an attribute is never of use. */
const valueMax = 1_000;

/** One attribute, its continuation lines put behind it. */
interface Attribute extends FormLine {
  more: string;
}

/** The objects of a mail, each with its attributes. */
function objectsOf(rows: readonly FormLine[]): Attribute[][] {
  const objects: Attribute[][] = [];
  let object: Attribute[] = [];
  for (const row of rows) {
    const first = object[0];
    const last = object.at(-1);
    // A line of blanks goes on, as a line that begins with one does; an empty one ends the object.
    if (row.text === '') object = row.indent > 0 ? object : [];
    else if (/^[#%]/.test(row.text)) continue;
    else if (first && last && (row.indent > first.indent || row.text.startsWith('+'))) {
      if (last.more.length < valueMax) last.more += ` ${row.text.replace(/^\+/, '')}`;
    } else if (object.push({ ...row, more: '' }) === 1) objects.push(object);
  }
  return objects;
}

function valueOf({ value, more }: Attribute): string {
  const [before = ''] = `${value}${more}`.split('#', 1);
  return before.trim();
}

/** A domain, or what is one but for its first line. */
function isDomain(object: readonly Attribute[]): boolean {
  const first = object[0];
  return (
    object.some(({ key }) => key === 'domain') ||
    (first !== undefined && (fields.has(first.key ?? '') || brokenPair(first, fields) !== undefined))
  );
}

export const rpsl: Form = {
  id: 'rpsl',
  nameField: 'domain',
  detect: ({ keys }) =>
    keys.has('domain') ? ownKeys.some((key) => keys.has(key)) : ownKeys.filter((key) => keys.has(key)).length > 2,
  parse({ rows, partly }, subject) {
    const gathering = new RequestBuilder(new Map(), () => ['domain', 'source']);
    for (const object of objectsOf(rows).filter(isDomain)) {
      for (const attribute of object) {
        const field = fields.get(attribute.key ?? '');
        const meant = field ?? brokenPair(attribute, fields);
        if (field) gathering.take(field, { ...attribute, value: valueOf(attribute) });
        else if (meant) gathering.malformed(meant, attribute.line);
        if (attribute.key === 'delete') gathering.means('delete');
      }
      if (/^\s*new\s*$/i.test(subject.slice(0, 100))) gathering.means('new');
      gathering.close();
    }
    return gathering.end(partly);
  },
};
