import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Admission } from '../../src/intake/policy/admission.ts';
import { parseProxyHeader } from '../../src/intake/proxy/proxy-header.ts';
import { plainAddress } from '../../src/lib/address-list.ts';
import { house } from '../support/hostile.ts';
import { intakeOn } from '../support/intake.ts';
import { settle, TurnedClock } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, readAll, temporaryFolder } from '../support/spool.ts';

/** A front at 127.0.0.2, a proxy at 127.0.0.3; everybody else is a stranger. */
const fronts = {
  SEAWALL_SMTP_TRUSTED_FRONTS: '127.0.0.2',
  SEAWALL_SMTP_PROXY_FROM: '127.0.0.3/32',
  SEAWALL_SMTP_UNLIMITED_CLIENTS: '',
};
const [front, proxy, stranger] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
const mail = 'Subject: x\r\n\r\nx\r\n';

async function leave(smtp: SmtpClient): Promise<void> {
  await smtp.say('QUIT');
  smtp.socket.end();
  await smtp.closed;
}

/** The last record's client, without what is different each time. */
async function lastClient(spool: string): Promise<Record<string, unknown>> {
  const { session, ...client } = (await readAll(spool)).at(-1)!.client;
  assert.match(session, /^\w{16}$/);
  return client;
}

test('XCLIENT hands the session over: it starts anew, the record names the client, and the client cannot do it again', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(front);
  assert.match(await smtp.hello(), /250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n250 XFORWARD NAME ADDR /);
  assert.match(await smtp.say('XCLIENT NAME=mx1.registres.example ADDR=192.0.2.7 PORT=31001'), /^220 localhost ESMTP/);
  assert.match(await smtp.say('MAIL FROM:<a@b.example>'), /^503 /);
  assert.doesNotMatch(await smtp.say('EHLO client.example'), /XCLIENT|XFORWARD/);
  for (const name of ['XCLIENT', 'XFORWARD']) {
    assert.equal(
      await smtp.say(`${name} ADDR=127.0.0.1`),
      `550 5.7.0 ${name} is not taken from you (smtp.trusted_fronts)`,
    );
  }
  assert.match(await smtp.send(mail), /^250 /);
  const record = { address: '192.0.2.7', port: 31001, name: 'mx1.registres.example', via: front };
  assert.deepEqual(await lastClient(spool), { ...record, helo: 'client.example', protocol: 'ESMTP' });
});

test('XCLIENT may come in pieces, with what the client said in HELO; nothing is handed over before the address', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(front);
  await smtp.hello();
  assert.match(await smtp.say('XCLIENT HELO=real.example PROTO=SMTP NAME=[UNAVAILABLE] LOGIN=[UNAVAILABLE]'), /^220 /);
  assert.match(await smtp.say('xclient addr=IPV6:2001:DB8:0:0::7 port=[TEMPUNAVAIL]'), /^220 /);
  await smtp.say('EHLO front.example');
  await smtp.send(mail);
  const record = { address: '2001:db8::7', port: 0, helo: 'real.example', protocol: 'SMTP', via: front };
  assert.deepEqual(await lastClient(spool), record);
});

test('XFORWARD speaks of one message: the next one, RSET and EHLO forget it', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(front);
  await smtp.hello();
  const own = { address: front, port: smtp.socket.localPort!, helo: 'client.example', protocol: 'ESMTP' };
  const forward = async () => {
    assert.equal(await smtp.say('XFORWARD NAME=mx1.registres.example ADDR=192.0.2.7 PORT=31001'), '250 2.0.0 Ok');
    assert.equal(await smtp.say('XFORWARD PROTO=esmtp HELO=real.example IDENT=4Bcd SOURCE=REMOTE'), '250 2.0.0 Ok');
  };
  await forward();
  assert.match(await smtp.send(mail), /^250 /);
  assert.deepEqual(await lastClient(spool), {
    address: '192.0.2.7',
    port: 31001,
    helo: 'real.example',
    protocol: 'ESMTP',
    name: 'mx1.registres.example',
    via: front,
  });
  await smtp.send(mail);
  assert.deepEqual(await lastClient(spool), own);
  for (const line of ['RSET', 'EHLO client.example']) {
    await forward();
    await smtp.say(line);
    await smtp.send(mail);
    assert.deepEqual(await lastClient(spool), own, line);
  }
  // Written on the front itself: it has no client to name.
  await smtp.say('XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] HELO=[UNAVAILABLE]');
  await smtp.send(mail);
  assert.deepEqual(await lastClient(spool), own);
});

test('neither comes after MAIL, and what is malformed counts for nothing', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(front);
  await smtp.hello();
  await smtp.say('MAIL FROM:<>');
  for (const name of ['XCLIENT', 'XFORWARD']) assert.match(await smtp.say(`${name} ADDR=192.0.2.7`), /^503 5\.5\.1 /);
  await smtp.say('RSET');
  const malformed = [
    '',
    'ADDR',
    'ADDR=999.1.1.1',
    'ADDR=192.0.2.7 ADDR=192.0.2.8',
    'ADDR=fe80::1%25eth0',
    'ADDR=192.0.2.7+0D+0AMAIL',
    'ADDR=IPV6:',
    'ADDR=192.0.2.7=8',
    'ADDR=192.0.2.7 PORT=70000',
    'ADDR=192.0.2.7 PORT=-1',
    'ADDR=192.0.2.7 SHOE=42',
    `ADDR=192.0.2.7 NAME=${'x'.repeat(200)} __proto__=1`,
    '=192.0.2.7',
  ];
  for (const each of malformed) {
    for (const name of ['XCLIENT', 'XFORWARD']) assert.match(await smtp.say(`${name} ${each}`), /^501 5\.5\.4 /, each);
  }
  assert.match(await smtp.say('XCLIENT ADDR=[UNAVAILABLE]'), /^501 5\.5\.4 /);
  assert.match(await smtp.send(mail), /^250 /);
  assert.equal((await lastClient(spool)).address, front);
});

test('a name with line ends, control characters or without an end breaks neither the record nor the session', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(front);
  await smtp.hello();
  const evil = `a+0D+0ASeawall-Sequence:+20999+0D+0A+1B[2J+C3+A9+22+00${'+41'.repeat(400)}`;
  assert.equal(await smtp.say(`XFORWARD ADDR=192.0.2.7 NAME=${evil} HELO=${evil} PROTO=${evil}`), '250 2.0.0 Ok');
  assert.match(await smtp.send(mail), /^250 /);
  const kept = await lastClient(spool);
  assert.match(String(kept.name), /^a\?\?Seawall-Sequence:\?999\?\?\?\[2J\?\?"\?A+$/);
  assert.equal(String(kept.name).length, 255);
  assert.equal(kept.name, kept.helo);
  assert.equal(kept.protocol, 'A??SEAWALL-SEQUE');
  const folder = join(spool, 'mailboxes');
  const [file = ''] = (await readdir(folder)).filter((each) => each.endsWith('.mbox'));
  assert.equal((await readFile(join(folder, file), 'latin1')).match(/^Seawall-Sequence: /gm)?.length, 1);

  assert.match(await smtp.say(`XCLIENT ADDR=192.0.2.7 NAME=${evil}`), /^220 /);
  assert.match(
    await smtp.say('EHLO client.example'),
    /^250-localhost Nice to meet you, a\?\?seawall[^\n]*\n250-PIPELINING/,
  );
  assert.match(await smtp.send(mail), /^250 /);
});

test('a stranger’s XCLIENT, XFORWARD and PROXY are refused, not offered, and change nothing', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(stranger);
  assert.doesNotMatch(await smtp.hello(), /XCLIENT|XFORWARD/);
  assert.match(await smtp.say('XCLIENT ADDR=127.0.0.1'), /^550 5\.7\.0 /);
  assert.match(await smtp.say('XFORWARD ADDR=127.0.0.2 NAME=front.example'), /^550 5\.7\.0 /);
  assert.match(await smtp.send(mail), /^250 /);
  const { address, via, name } = (await readAll(spool)).at(-1)!.client;
  assert.deepEqual([address, via, name], [stranger, undefined, undefined]);
  for (const header of ['PROXY TCP4 127.0.0.2 127.0.0.1 1 2\r\n', 'proxy unknown\r\n']) {
    const pretender = client(stranger);
    await pretender.reply();
    pretender.write(header);
    assert.equal(await pretender.reply(), '421 4.7.0 PROXY is not taken from you (smtp.proxy_from)');
    await pretender.closed;
  }
  // Version 2 is made so that it ends with a QUIT for those who do not know it.
  const binaryPretender = client(stranger);
  await binaryPretender.reply();
  binaryPretender.write(binary(0x21, 0x11, ipv4));
  await binaryPretender.closed;
  // To the proxy and the front too XCLIENT and PROXY are what they are trusted with, no more.
  const other = client(front);
  await other.reply();
  other.write('PROXY UNKNOWN\r\n');
  assert.match(await other.reply(), /^421 4\.7\.0 /);
});

test('a stranger stays counted where he is, whoever he says he was', async (t) => {
  const { client } = await house(t, { ...fronts, SEAWALL_SMTP_CLIENT_CONNECTIONS: '2' });
  for (let i = 0; i < 2; i++) {
    const smtp = client(stranger);
    await smtp.reply();
    assert.match(await smtp.say(`XCLIENT ADDR=192.0.2.${i}`), /^550 /);
  }
  assert.match(await client(stranger).reply(), /^421 4\.7\.0 Too many connections from your address \(2 at once\)/);
});

test('a front’s connections count as its clients’: the third of one is refused, and leaving gives back exactly one', async (t) => {
  const { client } = await house(t, { ...fronts, SEAWALL_SMTP_CLIENT_CONNECTIONS: '2' });
  const handOver = async (address: string): Promise<[SmtpClient, string]> => {
    const smtp = client(front);
    await smtp.reply();
    return [smtp, await smtp.say(`XCLIENT ADDR=${address}`)];
  };
  const own = Array.from({ length: 5 }, () => client(front));
  for (const each of own) assert.match(await each.reply(), /^220 /);
  for (let i = 1; i <= 20; i++) assert.match((await handOver(`192.0.2.${i}`))[1], /^220 /);
  for (let round = 0; round < 3; round++) {
    const [first, second] = [await handOver('198.51.100.1'), await handOver('198.51.100.1')];
    assert.match(first[1] + second[1], /^220 .*220 /s);
    const [third, reply] = await handOver('198.51.100.1');
    assert.match(reply, /^421 4\.7\.0 Too many connections from your address \(2 at once\)/);
    await third.closed;
    // The same address without a front is the same client.
    await leave(first[0]);
    const [again, welcome] = await handOver('198.51.100.1');
    assert.match(welcome, /^220 /);
    await Promise.all([leave(second[0]), leave(again)]);
    await settle();
  }
});

test('a front brings the mistakes of many: what ends a client’s session does not end a front’s', async (t) => {
  const { client } = await house(t, { ...fronts, SEAWALL_SMTP_RECIPIENTS: 'domain@registry.example' });
  const smtp = client(front);
  await smtp.hello();
  for (let i = 0; i < 60; i++) {
    assert.equal(await smtp.say('XFORWARD ADDR=192.0.2.7'), '250 2.0.0 Ok');
    assert.match(await smtp.send(mail, 'a@b.example', ['nobody@registry.example']), /^550 5\.1\.1 /);
    await smtp.say('RSET');
  }
  await smtp.say('XCLIENT ADDR=192.0.2.7');
  await smtp.say('EHLO client.example');
  let last = '';
  for (let i = 0; i < 30 && !last.startsWith('421'); i++) last = await smtp.say('XFORWARD ADDR=192.0.2.8');
  assert.match(last, /^421 4\.7\.0 Too many errors/);
});

test('a connection that moves to another client takes one from the first, and a refused one stays where it was', () => {
  const client = { connections: 1, connectionsPerMinute: 0, unlimited: [] };
  const limits = {
    connections: 9,
    client,
    bufferedBytes: 1,
    refusedBytes: 0,
    waiting: 1,
    sessionMessages: 1,
    recipients: [],
  };
  const admission = new Admission(limits, new TurnedClock());
  admission.closedBecause = undefined;
  const [a, b] = ['192.0.2.1', '192.0.2.2'];
  for (let round = 0; round < 3; round++) {
    assert.equal(admission.connect(a), undefined);
    assert.equal(admission.move(a, b), undefined);
    assert.equal(admission.connect(a), undefined);
    assert.match(admission.move(a, b)!.message, /Too many connections/);
    assert.match(admission.connect(a)!.message, /Too many connections/);
    admission.disconnect(a);
    admission.disconnect(b);
    assert.equal(admission.load.connections.used, 0);
  }
});

/** A header of version 2. */
function binary(command: number, family: number, addresses: Buffer, more = Buffer.alloc(0)): Buffer {
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n\0\0\0\0', 'latin1');
  head[12] = command;
  head[13] = family;
  head.writeUInt16BE(addresses.length + more.length, 14);
  return Buffer.concat([head, addresses, more]);
}
const ipv4 = Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0x79, 0x19, 0, 25]);
const ipv6 = Buffer.from(`20010db8${'00'.repeat(11)}07${'00'.repeat(15)}0179190019`, 'hex');
const mapped = Buffer.from(`${'00'.repeat(10)}ffffc0000207${'00'.repeat(15)}0179190019`, 'hex');

const headers: [string, Buffer, { address: string; port: number } | undefined][] = [
  ['1, IPv4', Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 31001 25\r\n'), { address: '192.0.2.7', port: 31001 }],
  ['1, IPv6', Buffer.from('PROXY TCP6 2001:DB8::0:7 ::1 31001 25\r\n'), { address: '2001:db8::7', port: 31001 }],
  ['1, mapped', Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::1 31001 25\r\n'), { address: '192.0.2.7', port: 31001 }],
  ['1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['1, unknown with more', Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n'), undefined],
  ['2, IPv4', binary(0x21, 0x11, ipv4), { address: '192.0.2.7', port: 31001 }],
  ['2, IPv4 and more', binary(0x21, 0x11, ipv4, Buffer.alloc(300, 4)), { address: '192.0.2.7', port: 31001 }],
  ['2, IPv6', binary(0x21, 0x21, ipv6), { address: '2001:db8::7', port: 31001 }],
  ['2, mapped', binary(0x21, 0x21, mapped), { address: '192.0.2.7', port: 31001 }],
  ['2, local', binary(0x20, 0x00, Buffer.alloc(0)), undefined],
  ['2, Unix socket', binary(0x21, 0x31, Buffer.alloc(216)), undefined],
];

for (const [what, header, source] of headers) {
  test(`a PROXY header of version ${what}: read whatever way it is cut, and nothing beyond it`, async (t) => {
    for (let cut = 0; cut < header.length; cut++) assert.equal(parseProxyHeader(header.subarray(0, cut)), 'incomplete');
    const read = parseProxyHeader(Buffer.concat([header, Buffer.from('EHLO x\r\n')]));
    assert.deepEqual(read, { length: header.length, ...(source && { source }) });

    const { client, spool } = await house(t, fronts);
    const smtp = client(proxy);
    for (const byte of header) smtp.write(Buffer.of(byte));
    await smtp.hello();
    assert.match(await smtp.send(mail), /^250 /);
    const { address, port, via } = (await readAll(spool)).at(-1)!.client;
    assert.deepEqual(
      { address, port, via },
      source ? { ...source, via: proxy } : { address: proxy, port: smtp.socket.localPort, via: undefined },
    );
  });
}

test('what is no PROXY header is recognised at its first wrong byte, and never takes more than its bound', () => {
  const malformed = [
    Buffer.from('E'),
    Buffer.from('PROXX'),
    Buffer.from('proxy TCP4'),
    Buffer.from('PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n'),
    Buffer.from('PROXY TCP4 ::1 ::1 1 1\r\n'),
    Buffer.from('PROXY TCP6 192.0.2.7 ::1 1 1\r\n'),
    Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 70000 25\r\n'),
    Buffer.from('PROXY TCP4 192.0.2.7  127.0.0.1 1 25\r\n'),
    Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 1 25 \r\n'),
    Buffer.from('PROXY UNKNOWNS\r\n'),
    Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`),
    Buffer.from('\r\n\r\n\0\r\nQUIX', 'latin1'),
    binary(0x11, 0x11, ipv4),
    binary(0x22, 0x11, ipv4),
    binary(0x21, 0x12, ipv4),
    binary(0x21, 0x11, ipv4.subarray(1)),
    binary(0x21, 0x21, ipv6.subarray(1)),
    binary(0x21, 0x41, ipv6),
    binary(0x21, 0x11, ipv4, Buffer.alloc(5_000)).subarray(0, 16),
  ];
  for (const each of malformed) assert.equal(parseProxyHeader(each), 'malformed', each.toString('latin1'));
  for (let seed = 0; seed < 20_000; seed++) {
    const [, header] = headers[seed % headers.length]!;
    const bent = Buffer.from(header);
    bent[(seed * 7) % bent.length] = (seed * 131) % 256;
    const read = parseProxyHeader(bent);
    if (typeof read === 'object' && read.source) assert.equal(plainAddress(read.source.address), read.source.address);
  }
});

test('a proxy that does not begin with PROXY, or is silent, hears 421; stopping does not wait for it', async (t) => {
  const clock = new TurnedClock();
  const spool = await temporaryFolder(t);
  const intake = await intakeOn(t, spool, { ...fronts, SEAWALL_SMTP_HELLO_SECONDS: '7' }, clock);
  const { client } = intake;
  const wrong = client(proxy);
  wrong.write('EHLO client.example\r\n');
  const expected = '421 4.3.5 A PROXY header was expected (smtp.proxy_from)';
  assert.equal(await wrong.reply(), expected);
  await wrong.closed;
  const silent = client(proxy);
  silent.write('PROXY TCP4 ');
  const gone = client(proxy);
  gone.write('PROXY');
  gone.socket.end();
  await gone.closed;
  // Somebody who came later is in: so the silent one's time has begun.
  const other = client(proxy);
  other.write('PROXY UNKNOWN\r\n');
  await other.hello();
  await clock.turn(6_999);
  await clock.turn(1);
  assert.equal(await silent.reply(), expected);
  // One that the test's own stop does not end.
  const late = new SmtpClient(intake.port, proxy);
  atEnd(t, async () => late.end());
  late.write('PROXY');
  const last = client(proxy);
  last.write('PROXY UNKNOWN\r\n');
  await last.reply();
  await Promise.all([late.closed, intake.stop()]);
});

test('a client that talks before the greeting does so behind a proxy too, even in one packet with the header', async (t) => {
  const { client } = await house(t, fronts);
  const smtp = client(proxy);
  smtp.write('PROXY TCP4 192.0.2.7 127.0.0.1 31001 25\r\nEHLO client.example\r\n');
  assert.match(await smtp.reply(), /^421 4\.7\.0 .*too soon$/);
});

test('limits for each address hold for the clients that a proxy names, and the proxy has none', async (t) => {
  const { client } = await house(t, { ...fronts, SEAWALL_SMTP_CLIENT_CONNECTIONS: '2' });
  const come = async (header: string): Promise<[SmtpClient, string]> => {
    const smtp = client(proxy);
    smtp.write(header);
    return [smtp, await smtp.reply()];
  };
  for (let i = 1; i <= 10; i++) assert.match((await come(`PROXY TCP4 192.0.2.${i} 127.0.0.1 1 25\r\n`))[1], /^220 /);
  for (let i = 0; i < 5; i++) assert.match((await come('PROXY UNKNOWN\r\n'))[1], /^220 /);
  const one = 'PROXY TCP4 198.51.100.1 127.0.0.1 1 25\r\n';
  for (let round = 0; round < 3; round++) {
    const [[first], [second]] = [await come(one), await come(one)];
    assert.match((await come(one))[1], /^421 4\.7\.0 Too many connections from your address/);
    await Promise.all([leave(first), leave(second)]);
    await settle();
  }
});

test('a proxy in front of a front: what the front says counts, when the proxy names a front that we trust', async (t) => {
  const { client, spool } = await house(t, fronts);
  const smtp = client(proxy);
  smtp.write(`PROXY TCP4 ${front} 127.0.0.1 40000 25\r\n`);
  assert.match(await smtp.hello(), /XCLIENT/);
  await smtp.say('XFORWARD ADDR=192.0.2.7 NAME=mx1.registres.example');
  await smtp.send(mail);
  assert.deepEqual(await lastClient(spool), {
    address: '192.0.2.7',
    port: 0,
    helo: '',
    protocol: '',
    name: 'mx1.registres.example',
    via: front,
  });
});

test('LMTP: a reply for every recipient that was taken, also for one named twice, whatever became of the message', async (t) => {
  const { client, spool } = await house(t, { ...fronts, SEAWALL_SMTP_LMTP: 'true' });
  const smtp = client(front);
  assert.match(await smtp.hello('LHLO'), /XFORWARD/);
  assert.match(await smtp.say('XFORWARD ADDR=192.0.2.7'), /^250 /);
  const to = ['a@d.example', 'A@d.example', 'b@d.example'];
  const replies = [await smtp.send(mail, 'ops@registres.example', to), await smtp.reply(), await smtp.reply()];
  for (const each of replies) assert.equal(each, '250 2.0.0 Ok: queued as SW-000000001-*');
  const refused = [
    await smtp.send('bare\nLF\r\n', 'ops@registres.example', to),
    await smtp.reply(),
    await smtp.reply(),
  ];
  for (const each of refused) assert.match(each, /^554 5\.6\.0 /);
  assert.match(await smtp.say('NOOP'), /^250 /);
  const kept = await readAll(spool);
  assert.deepEqual([kept.length, kept[0]!.envelope.to], [1, ['A@d.example', 'b@d.example']]);
});
