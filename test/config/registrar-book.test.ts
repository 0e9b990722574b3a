import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError } from '../../src/model/errors.ts';
import { silent } from '../../src/lib/logger.ts';
import { hashPassword } from '../../src/lib/auth/password-hash.ts';
import { withRegistrarPassword } from '../../src/cli/passwd.ts';
import { openRegistrarBook, parseRegistrarBook } from '../../src/config/registrar-book-file.ts';

const hash = await hashPassword('correct horse', Buffer.alloc(16, 7));
const text = `
[[registrar]]
id = "regsarl"
name = "Registres SARL"
language = "fr"
contact = "accuses@registres.example"
networks = ["192.0.2.0/24", "2001:db8:7::/48"]
senders = ["Ops@Registres.example"]
weight = 2

[[registrar]]
id = "tag"
name = "Tag Ltd"
password = "${hash}"
certificates = ["${'AB:'.repeat(31)}CD"]
senders = ["@tag.example"]
networks = ["192.0.2.77", "::ffff:0:0/96"]
connections = 7
`;

test('a registrar is known by its network, the narrowest first, by login, certificate, sender and domain', () => {
  const book = parseRegistrarBook('book.toml', text);
  const idOf = (address: string): string | undefined => book.byAddress(address)?.id;
  assert.equal(idOf('192.0.2.1'), 'regsarl');
  assert.equal(idOf('192.0.2.77'), 'tag');
  assert.equal(idOf('192.0.2.77'), 'tag');
  assert.equal(idOf('192.0.3.1'), undefined);
  assert.equal(idOf('2001:db8:7:1::5'), 'regsarl');
  assert.equal(idOf('2001:0DB8:0007:0000::'), 'regsarl');
  assert.equal(idOf('2001:db8:8::'), undefined);
  assert.equal(idOf('nonsense'), undefined);
  assert.equal(book.byUser('tag')?.id, 'tag');
  assert.equal(book.byUser('regsarl'), undefined);
  assert.equal(book.byCertificate(`${'ab'.repeat(31)}cd`)?.id, 'tag');
  assert.equal(book.byCertificate(`${'AB:'.repeat(31)}CD`)?.id, 'tag');
  assert.equal(book.bySender('OPS@registres.example')?.id, 'regsarl');
  assert.equal(book.bySender('other@registres.example'), undefined);
  assert.equal(book.bySender('anyone@Tag.example')?.id, 'tag');
  assert.equal(book.bySender('anyone@sub.tag.example'), undefined);
  assert.equal(book.bySender(''), undefined);
  assert.deepEqual([book.byId('regsarl')?.weight, book.byId('tag')?.weight, book.byId('tag')?.connections], [2, 1, 7]);
});

const one = (lines: string): string => `[[registrar]]\nid = "a"\nname = "A"\n${lines}\n`;

test('a book that cannot be used is an error that says where and what', () => {
  const cases: [string, RegExp][] = [
    ['[[registrar]]\nid = "a"\n', /registrar "a": name is missing/],
    [one(''), /registrar "a" could never be known/],
    [one('senders = ["a"]'), /registrar "a": senders wants .* but got \["a"\]/],
    [one('networks = ["10.0.0.0/33"]'), /networks wants/],
    [one('network = ["10.0.0.0/8"]'), /unknown key "network"/],
    [one('password = "hunter2"'), /password wants what seawall passwd --registrar makes, but got something else/],
    [one('user = "a"\nsenders = ["@a.example"]'), /user needs a password/],
    [one('senders = ["@a.example"]').repeat(2), /a and a have the same id a/],
    ['strangers = "refuse"', /unknown key "strangers"/],
    ['[registrar]\nid = "a"', /two brackets/],
    ['[[registrar]\nid = "a"', /book\.toml, line 1 is not valid TOML/],
  ];
  for (const [broken, expected] of cases) {
    assert.throws(
      () => parseRegistrarBook('book.toml', broken),
      (error: unknown) =>
        error instanceof ConfigError && expected.test(error.message) && !/hunter2/.test(error.message),
      broken,
    );
  }
});

test('a changed book is taken over as a whole, or not at all', async () => {
  let content = text;
  const disk = { readFile: () => Promise.resolve(Buffer.from(content)) };
  const inForce = await openRegistrarBook('book.toml', disk, silent);
  const before = inForce.book;
  assert.equal(before?.registrars.length, 2);
  content = `${text}\n[[registrar]]\nid = "tag"\n`;
  await inForce.reload();
  assert.equal(inForce.book, before);
  content = `${text}\n[[registrar]]\nid = "third"\nname = "Third"\nsenders = ["@third.example"]\n`;
  await inForce.reload();
  assert.equal(inForce.book?.registrars.length, 3);
  assert.notEqual(inForce.book?.digest, before?.digest);
  assert.equal((await openRegistrarBook('', disk, silent)).book, undefined);
});

test('a password is set in the text of a book, and nothing else changes', () => {
  const book = `# our book\n\n[[registrar]] # first\nid = 'a'\nname = "A" # [not a table]\nnetworks = [\n  "192.0.2.1",\n]\n\n[[registrar]]\nname = "B"\nid = "b"\nuser = "bea"   # her\n`;
  const changed = withRegistrarPassword('book.toml', book, { id: 'b', user: undefined, hash });
  assert.equal(changed, book.replace('id = "b"\n', `id = "b"\npassword = "${hash}"\n`));
  // The second time its line is replaced, and a user is set.
  const other = hash.replace('Bw', 'Cw');
  const again = withRegistrarPassword('book.toml', changed, { id: 'b', user: 'bert', hash: other });
  assert.equal(again, changed.replace(hash, other).replace('user = "bea"   # her', 'user = "bert"'));
  assert.equal(parseRegistrarBook('book.toml', again).byUser('bert')?.id, 'b');
  const crlf = withRegistrarPassword('book.toml', book.replaceAll('\n', '\r\n'), { id: 'a', user: undefined, hash });
  assert.match(crlf, /id = 'a'\r\npassword = "scrypt[^"]+"\r\nname/);
  assert.throws(
    () => withRegistrarPassword('book.toml', book, { id: 'c', user: undefined, hash }),
    /book\.toml has no registrar "c"/,
  );
  const odd = 'registrar = [{ id = "a", name = "A" }]\n';
  assert.throws(
    () => withRegistrarPassword('book.toml', odd, { id: 'a', user: undefined, hash }),
    /cannot be changed safely\. Put this line into the table of "a":\npassword = "scrypt/,
  );
});

test('the book in the README of operate is one', async () => {
  const readme = await readFile(join(import.meta.dirname, '../../src/operate/README.md'), 'utf8');
  const [, sample = ''] = /```toml\n(\[\[registrar\]\][^]*?)```/.exec(readme) ?? [];
  const book = parseRegistrarBook('README.md', sample);
  assert.ok(book.registrars.length >= 2 && book.hasLogins && book.hasCertificates);
});
