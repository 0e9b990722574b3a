// The automaton's key-value form: `key: heron.example`, `for: Heron Ltd`. Several requests in one mail stand apart by
// blank lines. A request without an operation asks for a new name, and says for whom. `auth:` and `password:` are not read.

import { type Fields, type Form, namedAs } from './form.ts';
import { brokenPair, RequestBuilder } from './request-builder.ts';

const fields: Fields = new Map([
  ['key', { shown: 'key', is: 'name', once: true }],
  ['for', { shown: 'for', once: true }],
  ['operation', { shown: 'operation', is: 'operation', once: true }],
  ['reference', { shown: 'reference', is: 'reference' }],
  ['trid', { shown: 'trid', is: 'reference' }],
  ['cltrid', { shown: 'cltrid', is: 'reference' }],
  ['reg-type', { shown: 'reg-type' }],
  ['reg-co-no', { shown: 'reg-co-no' }],
  ['nserver', { shown: 'nserver' }],
]);
const operations = namedAs('request create modify delete renew transfer release query list');
const forNew = new Set<string | undefined>([undefined, 'request', 'create']);

export const nominet: Form = {
  id: 'automaton',
  nameField: 'key',
  detect: ({ keys }) => keys.has('key') && [...fields.keys()].some((key) => key !== 'key' && keys.has(key)),
  parse({ rows, partly }) {
    const gathering = new RequestBuilder(operations, ({ operation }) =>
      forNew.has(operation) ? ['key', 'for'] : ['key'],
    );
    for (const row of rows) {
      const field = row.key === undefined ? undefined : fields.get(row.key);
      const meant = field ?? brokenPair(row, fields);
      if (row.text === '') gathering.close();
      else if (field) gathering.take(field, row);
      else if (meant) gathering.malformed(meant, row.line);
    }
    return gathering.end(partly);
  },
};
