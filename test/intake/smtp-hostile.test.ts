import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPostfix } from '../../loadtest/postfix.ts';
import { announce, house, stuffed } from '../support/hostile.ts';
import { settle } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, readAll } from '../support/spool.ts';

/** Bodies that are taken, exactly. */
const good: [string, string][] = [
  ['nothing at all', ''],
  ['one empty line', '\r\n'],
  ['a lone dot line', '.\r\n'],
  ['dots in every form', '.\r\n..\r\n...\r\n.x\r\n..x\r\nx.\r\n'],
  ['From lines everywhere', 'From a\r\n>From b\r\n\r\nFrom c\r\n>>From d\r\nFrom \r\nFrom\r\n\r\nFrom e\r\n'],
  [
    'NUL and all controls but CR and LF',
    `${String.fromCharCode(...Array.from({ length: 10 }, (_, i) => i))}\x0b\x7f\r\n`,
  ],
  ['eight bits in headers', 'Subject: \xe9\xff\x80\r\nFrom: \xc3\xa9@x\r\n\r\n\xff\r\n'],
  ['what looks like our own headers', 'Seawall-Sequence: 7\r\nSeawall-Chain: 00\r\nSeawall-SHA256: 1\r\n\r\nx\r\n'],
  ['commands in the body', 'MAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\nQUIT\r\n'],
  ['no end of headers', 'Subject: x'.repeat(20).concat('\r\n')],
];

for (const [what, message] of good) {
  test(`${what}: taken exactly, in every split of two segments`, async (t) => {
    const { client, spool } = await house(t);
    const wire = stuffed(message);
    const smtp = client();
    await smtp.hello();
    for (let split = 0; split < wire.length; split++) {
      await announce(smtp);
      if (split > 0) smtp.write(wire.slice(0, split));
      await settle();
      smtp.write(wire.slice(split));
      assert.match(await smtp.reply(), /^250 2\.0\.0 Ok: queued as /, `split at ${split}`);
    }
    const kept = await readAll(spool);
    assert.equal(kept.length, wire.length);
    for (const each of kept) assert.equal(each.message.toString('latin1'), message);
  });
}

for (const message of ['Subject: x\r\n\r\n.\r\nFrom y\r\n', 'Subject: x\r\n\r\ny\r\n'])
  test(`a session is taken exactly in every split of two segments, pipelined behind DATA too: ${JSON.stringify(message)}`, async (t) => {
    const { client, spool } = await house(t);
    const transaction = `MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n${stuffed(message)}`;
    const session = `EHLO x.example\r\n${transaction}${transaction}QUIT\r\n`;
    for (let split = 1; split < session.length; split++) {
      const smtp = client();
      await smtp.reply();
      smtp.write(session.slice(0, split));
      await settle();
      smtp.write(session.slice(split));
      const codes = [];
      for (let i = 0; i < 10; i++) codes.push((await smtp.reply()).slice(0, 3));
      assert.deepEqual(codes.join(' '), '250 250 250 354 250 250 250 354 250 221', `split at ${split}`);
      smtp.end();
    }
    const kept = await readAll(spool);
    assert.equal(kept.length, 2 * (session.length - 1));
    for (const each of kept) assert.equal(each.message.toString('latin1'), message);
  });

/** Endings that other servers have taken for the end of DATA: smuggling (CVE-2023-51764 and its kin). */
const smuggles = [
  '\n.\n',
  '\n.\r\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\n',
  '\r\n.\r',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\n.\r\r\n',
];

test('nothing but CRLF.CRLF ends a message, whatever is smuggled behind it and however it is split', async (t) => {
  const { client, spool } = await house(t);
  const inner = 'MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nevil\r\n';
  for (const end of smuggles) {
    const wire = `good${end}${inner}.\r\n`;
    for (const split of [0, ...Array.from({ length: end.length + 3 }, (_, i) => 3 + i)]) {
      const smtp = client();
      await smtp.hello();
      await announce(smtp);
      if (split > 0) smtp.write(wire.slice(0, split));
      await settle();
      smtp.write(wire.slice(split));
      const reply = await smtp.reply();
      const bare = /[^\r]\n|^\n|\r[^\n]/.test(wire);
      assert.match(reply, bare ? /^554 5\.6\.0 / : /^250 /, JSON.stringify(end));
      // One reply for one message: the session answers the next command and nothing else.
      assert.match(await smtp.say('NOOP'), /^250 2\.0\.0 OK/);
      smtp.end();
    }
  }
  for (const each of await readAll(spool)) {
    assert.notEqual(each.envelope.from, 'evil@b.example');
    assert.match(each.message.toString('latin1'), /^good[\s\S]*evil\r\n$/);
  }
});

test('parameters of extensions that are not offered get 555, as RFC 5321 section 4.1.1.11 has it', async (t) => {
  const { client } = await house(t);
  const smtp = client();
  await smtp.hello();
  for (const parameter of ['FOO=BAR', 'RET=FULL', 'AUTH=<>', 'REQUIRETLS'])
    assert.match(await smtp.say(`MAIL FROM:<a@b.example> ${parameter}`), /^5(55 5\.5\.4|30) /, parameter);
  assert.match(await smtp.say('MAIL FROM:<a@b.example> SIZE=5 BODY=8BITMIME SMTPUTF8'), /^250 /);
  assert.match(await smtp.say('RCPT TO:<c@d.example> NOTIFY=NEVER'), /^555 5\.5\.4 /);
  assert.match(await smtp.say('RCPT TO:<c@d.example>'), /^250 /);
});

/** The first digit of the reply to one command behind EHLO. */
async function classOf(port: number, line: string): Promise<string> {
  const smtp = new SmtpClient(port);
  try {
    await smtp.hello();
    return (await smtp.say(line)).slice(0, 1);
  } finally {
    smtp.end();
  }
}

test('with Postfix as the oracle: what is taken here is what Postfix takes, and what is refused it refuses', async (t) => {
  const postfix = await startPostfix({
    smtpd_end_of_data_restrictions: 'check_client_access static:HOLD',
    smtpd_forbid_bare_newline: 'reject',
    smtpd_forbid_bare_newline_exclusions: '',
    smtpd_timeout: '5s',
  }).catch(() => undefined);
  if (!postfix) return t.skip('Postfix cannot be started here');
  atEnd(t, () => postfix.stop());
  const ours = await house(t);
  // Not here, because we are stricter than Postfix on purpose: addresses without <>, two words behind EHLO, bare CR; nor what
  // we do not offer: BDAT, ETRN, VRFY.
  const lines = [
    'EHLO',
    'MAIL FROM:<a@b.example',
    'MAIL FROM:<>',
    'MAIL TO:<a@b.example>',
    'MAIL FROM:<a@b.example> SIZE=99999999999',
    'MAIL FROM:<a@b.example> FOO=BAR=BAZ',
    'MAIL FROM:<a@b.example> BODY=X',
    'RCPT TO:<a@b.example>',
    'DATA',
    'RSET',
    'NOOP x',
    'FOO',
    'AUTH PLAIN AGEAYg==',
    'STARTTLS',
    'XCLIENT ADDR=1.2.3.4',
  ];
  for (const line of lines) assert.equal(await classOf(ours.port, line), await classOf(postfix.port, line), line);
  for (const message of ['a\nb\r\n', 'a\n.\nb\r\n', 'a\n.\r\nb\r\n', 'a\r\nb\r\n', '\0\r\n', '\xff\r\n']) {
    const told = [];
    for (const port of [ours.port, postfix.port]) {
      const smtp = new SmtpClient(port);
      await smtp.hello();
      await announce(smtp);
      smtp.write(`${message}.\r\n`);
      told.push((await smtp.reply().catch(() => '5 closed')).slice(0, 1));
      smtp.end();
    }
    assert.equal(told[0], told[1], JSON.stringify(message));
  }
});
