// Key-value orders as DENIC's RRI has them: `Action: Create`, `Domain: mühlenbach.example`, `Ctid: ORD-4711`. Several orders
// stand apart by `=-=`. Sections (`[Holder]`) are about contacts and are not read; nor are `Password:` and `AuthInfoHash:`.

import { type Fields, type Form, namedAs } from './form.ts';
import { brokenPair, RequestBuilder } from './request-builder.ts';

const fields: Fields = new Map([
  ['action', { shown: 'Action', is: 'operation', once: true }],
  ['domain', { shown: 'Domain', is: 'name', once: true }],
  ['domain-ace', { shown: 'Domain-Ace', is: 'name', once: true }],
  ['ctid', { shown: 'Ctid', is: 'reference', once: true }],
  ['version', { shown: 'Version', once: true }],
  ['handle', { shown: 'Handle' }],
  ['holder', { shown: 'Holder' }],
]);
/** Orders that are about no name. */
const nameless = ['login', 'logout', 'queue-read', 'queue-delete', 'regacc-info', 'context-info'];
const operations = namedAs(
  'create check info update delete restore verify chholder chprov transit',
  'create-authinfo1 create-authinfo2 delete-authinfo1',
  ...nameless,
);
const separator = /^=-(?:=-){0,40}=$/;
const section = /^\[[^\]]{1,40}\]$/;

export const rri: Form = {
  id: 'rri',
  nameField: 'Domain',
  detect({ keys }) {
    const own = ['action', 'ctid', 'domain-ace'].filter((key) => keys.has(key)).length;
    return own > 1 || (own === 1 && (keys.has('domain') || keys.has('version')));
  },
  parse({ rows, partly }) {
    const gathering = new RequestBuilder(operations, ({ seen, operation }) =>
      seen.has('Handle') || seen.has('Domain-Ace') || nameless.some((each) => each === operation)
        ? ['Action']
        : ['Action', 'Domain'],
    );
    let inSection = false;
    for (const row of rows) {
      const { key, text, line } = row;
      if (separator.test(text)) gathering.close();
      if (section.test(text)) inSection = true;
      else if (separator.test(text) || key === 'action') inSection = false;
      if (inSection) continue;
      const field = key === undefined ? undefined : fields.get(key);
      const meant = field ?? brokenPair(row, fields);
      if (field) gathering.take(field, row);
      else if (meant) gathering.malformed(meant, line);
    }
    return gathering.end(partly);
  },
};
