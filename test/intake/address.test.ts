// Addresses of MAIL and RCPT as they are really written: IDN domains, quoted local parts, and what strict servers refuse.

import { deepEqual, equal, match } from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { RegistrarBook } from '../../src/config/registrar-book.ts';
import { intakeOn } from '../support/intake.ts';
import { readAll, temporaryFolder } from '../support/spool.ts';

async function said(t: TestContext, paths: readonly string[], settings: Record<string, string> = {}) {
  const spool = await temporaryFolder(t);
  const intake = await intakeOn(t, spool, settings);
  const client = intake.client();
  await client.reply();
  await client.say('EHLO a.example');
  const replies: string[] = [];
  for (const path of paths) {
    const reply = await client.say(`MAIL FROM:${path}`);
    replies.push(reply.slice(0, 3));
    if (!reply.startsWith('250')) continue;
    match(await client.say(`RCPT TO:${path}`), /^250/);
    match(await client.say('DATA'), /^354/);
    match(await client.say(`Subject: ${paths.indexOf(path)}\r\n\r\nx\r\n.`), /^250/);
  }
  await intake.stop();
  const kept = (await readAll(spool)).map(({ envelope }) => envelope);
  return { replies, kept };
}

const plain = [
  '<ops@xn--mhlenbach-q9a.example>',
  '<Ops@XN--MHLENBACH-Q9A.example>',
  '<"john smith"@registres.example>',
  '<"a\\"b@c"@registres.example>',
  '<@relay.example:ops@registres.example>',
  '<"quoted"@[192.0.2.7]>',
];
const loose = ['<a..b@registres.example>', '<ops@reg_istres.example>'];
const wrong = [
  '<"open@registres.example>',
  '<""@registres.example>',
  `<"${'x'.repeat(65)}"@registres.example>`,
  '<a b@registres.example>',
  '<ops@registres..example>',
  '<ops@>',
  '<ops@[nowhere]>',
  `<${'x'.repeat(240)}@registres.example>`,
  '<"a\tb"@registres.example>',
];

test('an address stays as it was written: A-labels are ASCII, quotes are kept', async (t) => {
  const { replies, kept } = await said(t, [...plain, ...loose]);
  deepEqual(
    replies,
    [...plain, ...loose].map(() => '250'),
  );
  const expected = [...plain, ...loose].map((path) => path.slice(1, -1).replace(/^@[^:]*:/, ''));
  deepEqual(
    kept.map(({ from }) => from),
    expected,
  );
  deepEqual(
    kept.map(({ to }) => to[0]),
    expected,
  );
});

test('what is no address is refused, and with smtp.strict_addresses also what RFC 5321 forbids', async (t) => {
  const { replies } = await said(t, wrong);
  deepEqual(
    replies,
    wrong.map(() => '501'),
  );
  const strict = await said(t, [...plain, ...loose], { SEAWALL_SMTP_STRICT_ADDRESSES: 'true' });
  deepEqual(strict.replies, [...plain.map(() => '250'), ...loose.map(() => '501')]);
});

test('the book knows a sender by either spelling of its domain', () => {
  const registrar = { id: 'a', name: 'A', networks: [], certificates: [], senders: ['@mühlenbach.example'], weight: 1 };
  for (const senders of [['@mühlenbach.example'], ['ops@xn--mhlenbach-q9a.example']]) {
    const book = new RegistrarBook([{ ...registrar, senders }], '');
    for (const sender of ['ops@mühlenbach.example', 'OPS@xn--mhlenbach-q9a.EXAMPLE', 'ops@MÜHLENBACH.example'])
      equal(book.bySender(sender)?.id, 'a', sender);
    deepEqual(book.impossibleSenders, []);
  }
  deepEqual(new RegistrarBook([{ ...registrar, senders: ['ops@xn--a.b c'] }], '').impossibleSenders, ['ops@']);
});
