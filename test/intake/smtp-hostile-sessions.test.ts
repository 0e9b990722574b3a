import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { tlsSettings } from '../support/certificate.ts';
import { announce, house, stuffed } from '../support/hostile.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { intakeOn } from '../support/intake.ts';
import { settle, TurnedClock } from '../support/memory.ts';
import { readAll, temporaryFolder } from '../support/spool.ts';

/** Large and many: what a message may be, and what each costs. */
const large: [string, () => string, RegExp][] = [
  ['a megabyte without a newline', () => `${'x'.repeat(1_000_000)}\r\n`, /^250 /],
  ['50,000 lines that begin with a dot', () => '.x\r\n'.repeat(50_000), /^250 /],
  ['a header bomb: 50,000 header lines', () => `${'X-A: b\r\n'.repeat(50_000)}\r\nx\r\n`, /^250 /],
  ['a header line of a megabyte, folded', () => `Subject: ${'x\r\n '.repeat(190_000)}\r\n\r\nx\r\n`, /^250 /],
  ['200,000 From lines', () => 'From x\r\n'.repeat(199_000), /^250 /],
  ['a million tiny lines', () => '\r\n'.repeat(1_000_000), /^552 5\.3\.4 .*lines/],
];

for (const [what, make, pattern] of large) {
  test(`${what}: ${pattern.source.slice(1, 4)}, exact, and others are answered meanwhile`, async (t) => {
    const { client, spool } = await house(t);
    const [smtp, other] = [client(), client()];
    await smtp.hello();
    await other.hello();
    await announce(smtp);
    const message = make();
    smtp.write(stuffed(message));
    let longest = 0;
    let done = false;
    const reply = smtp.reply().finally(() => (done = true));
    for (let i = 0; i < 80 && !done; i++) {
      const began = performance.now();
      assert.match(await other.say('NOOP'), /^250 /);
      longest = Math.max(longest, performance.now() - began);
    }
    assert.match(await reply, pattern);
    assert.ok(longest < 1_000, `another client waited ${longest.toFixed(0)} ms`);
    const kept = await readAll(spool);
    assert.equal(kept.length, pattern.source.startsWith('^250') ? 1 : 0);
    if (kept[0]) assert.equal(kept[0].message.toString('latin1'), message);
    assert.match(await smtp.send('after it\r\n'), /^250 /);
  });
}

const commandBombs: [string, string, RegExp][] = [
  ['a command of a megabyte', `NOOP ${'x'.repeat(1_000_000)}\r\n`, /^421 4\.7\.0 /],
  ['a megabyte without a newline', 'x'.repeat(1_000_000), /^421 4\.7\.0 /],
  ['5,000 NOOPs at once', 'NOOP\r\n'.repeat(5_000), /^421 4\.7\.0 Too many commands/],
  ['5,000 AUTHs at once', 'AUTH PLAIN AGEAYg==\r\n'.repeat(5_000), /^421 4\.7\.0 /],
  [
    '5,000 bad recipients',
    `MAIL FROM:<a@b.example>\r\n${'RCPT TO:<>\r\n'.repeat(5_000)}`,
    /^421 4\.7\.0 Too many errors/,
  ],
  ['an HTTP request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^421 4\.7\.0 HTTP/],
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n'.repeat(30), /^421 4\.7\.0 /],
];

for (const [what, bytes, last] of commandBombs) {
  test(`${what} in place of commands ends in 421 and a closed connection`, async (t) => {
    const { client } = await house(t);
    const smtp = client();
    await smtp.hello();
    smtp.write(bytes);
    const replies: string[] = [];
    for (;;) {
      const reply = await smtp.reply().catch(() => undefined);
      if (reply === undefined) break;
      replies.push(reply);
      if (reply.startsWith('421')) break;
    }
    assert.match(replies.at(-1)!, last);
    assert.ok(replies.length <= 102);
    smtp.socket.end();
    await smtp.closed;
    const honest = client();
    await honest.hello();
    assert.match(await honest.send('x\r\n'), /^250 /);
  });
}

const steps =
  'EHLO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n';

for (const [what, leave] of [
  ['reset', (smtp: SmtpClient) => smtp.socket.resetAndDestroy()],
  ['half-closed', (smtp: SmtpClient) => smtp.socket.end()],
] as const) {
  test(`a connection ${what} at every byte leaves no half message, no descriptor and no count behind`, async (t) => {
    const { client, spool } = await house(t, {
      SEAWALL_SMTP_CONNECTIONS: '40',
      SEAWALL_SMTP_BUFFERED_BYTES: '10485760',
    });
    const whole = steps.indexOf('.\r\nQUIT') + 3;
    for (let cut = 0; cut <= steps.length; cut++) {
      const smtp = client();
      assert.match(await smtp.reply(), /^220 /, `at byte ${cut}: a place is free`);
      smtp.write(steps.slice(0, cut));
      await settle();
      leave(smtp);
      await smtp.closed;
    }
    const honest = client();
    await honest.hello();
    assert.match(await honest.send('honest\r\n'), /^250 /);
    const kept = await readAll(spool);
    for (const each of kept.slice(0, -1)) assert.equal(each.message.toString(), 'Subject: x\r\n\r\nbody\r\n');
    assert.ok(kept.length - 1 <= steps.length - whole + 1, 'only whole messages');
  });
}

test('what is sent in clear behind STARTTLS never runs inside the TLS session', async (t) => {
  const { client, spool, port } = await house(t, await tlsSettings(t));
  const evil = 'MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nevil\r\n.\r\n';
  for (const injected of ['', evil, `NOOP\r\n`.repeat(300), `EHLO evil.example\r\n${evil}`, 'RSET']) {
    const smtp = client();
    await smtp.hello();
    smtp.write(`STARTTLS\r\n${injected}`);
    assert.match(await smtp.reply(), /^220 /);
    smtp.socket.removeAllListeners('data');
    const secure = connectTls({ socket: smtp.socket, rejectUnauthorized: false });
    secure.setEncoding('latin1');
    const outcome = await new Promise<string>((resolve) => {
      let text = '';
      secure.once('secureConnect', () => secure.write('EHLO good.example\r\nNOOP\r\n'));
      secure.on('data', (chunk: string) => {
        text += chunk;
        if (text.endsWith('250 2.0.0 OK\r\n')) resolve(text);
      });
      secure.once('error', () => resolve('handshake failed'));
      secure.once('close', () => resolve(text));
    });
    // Clear text in the middle of a handshake may break it; what it must never do is be answered.
    if (outcome !== 'handshake failed')
      assert.equal(outcome.match(/^250 2\.0\.0 OK/gm)?.length ?? 0, 1, injected.slice(0, 20));
    secure.destroy();
  }
  assert.equal((await readAll(spool)).length, 0);
  const after = new SmtpClient(port);
  await after.hello();
  assert.match(await after.send('x\r\n'), /^250 /);
  after.end();
});

test('messages of one connection cost no more together than twice the largest one, beyond what is kept', async (t) => {
  const { client } = await house(t, { SEAWALL_SMTP_MESSAGE_BYTES: '100000', SEAWALL_SMTP_MESSAGE_LINES: '1000' });
  const smtp = client();
  await smtp.hello();
  const lines = '..\r\n'.repeat(20_000);
  assert.match(await smtp.send(lines), /^552 5\.3\.4 .* more than 1000 lines/);
  assert.match(await smtp.send('x\r\n'), /^250 /);
  assert.match(await smtp.send(lines), /^552 5\.3\.4 .* more than 1000 lines/);
  await announce(smtp);
  smtp.write(stuffed(lines));
  // What it still sends is not read any more, so its own side may be reset before it has read the reply.
  await smtp.reply().then(
    (reply) => assert.match(reply, /^552 5\.3\.4 .* more than 1000 lines/),
    () => undefined,
  );
  await smtp.closed;
});

test('an address whose messages come to nothing waits, on new connections too, and others do not', async (t) => {
  const clock = new TurnedClock();
  const spool = await temporaryFolder(t);
  const settings = {
    SEAWALL_SMTP_MESSAGE_BYTES: '100000',
    SEAWALL_SMTP_REFUSED_BYTES_PER_MINUTE: '250000',
    SEAWALL_SMTP_UNLIMITED_CLIENTS: '192.0.2.1',
  };
  const { client } = await intakeOn(t, spool, settings, clock);
  const tooLarge = `${'x'.repeat(149_998)}\r\n`;
  const again = async (from?: string): Promise<SmtpClient> => {
    const smtp = client(from);
    await smtp.hello();
    return smtp;
  };
  assert.match(await (await again()).send(tooLarge), /^552 /);
  assert.match(await (await again()).send(tooLarge), /^552 /);
  const late = await again();
  assert.match(await late.say('MAIL FROM:<a@b.example>'), /^450 4\.7\.1 Too many bytes of yours/);
  assert.match(await (await again('127.0.0.2')).send('x\r\n'), /^250 /);
  await clock.turn(60_000);
  assert.match(await (await again()).send('x\r\n'), /^250 /);
});
