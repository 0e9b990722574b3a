// Who is asking: the registrar book at work in the real intake, with real clients.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { seawall, startDaemon } from '../../loadtest/daemon.ts';
import { hashPassword } from '../../src/lib/auth/password-hash.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import type { StoredRequest } from '../../src/model/request.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { openReader } from '../../src/spool/mailbox/reader.ts';
import { TurnedClock } from '../support/memory.ts';
import { tlsSettings } from '../support/certificate.ts';
import { intakeOn, type RunningIntake } from '../support/intake.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { has, run } from '../support/tools.ts';

const password = 'correct horse';
const hash = await hashPassword(password, Buffer.alloc(16, 7));
const message = 'Subject: a request\r\n\r\nname: example.fr\r\n';
const [near, sender, login] = [
  '[[registrar]]\nid = "near"\nname = "Near"\nnetworks = ["127.0.0.2"]\n',
  '[[registrar]]\nid = "sender"\nname = "Sender"\nsenders = ["@sender.example"]\n',
  `[[registrar]]\nid = "login"\nname = "Login"\nuser = "anna"\npassword = "${hash}"\n`,
];

interface Guarded extends RunningIntake {
  readonly file: string;
  requests(): Promise<StoredRequest[]>;
}

async function guarded(
  t: TestContext,
  book: string,
  settings: Record<string, string> = {},
  clock?: Clock,
): Promise<Guarded> {
  const spool = await temporaryFolder(t);
  const file = join(await temporaryFolder(t), 'registrars.toml');
  await writeFile(file, book);
  const given = { SEAWALL_REGISTRARS_FILE: file, SEAWALL_SMTP_UNLIMITED_CLIENTS: '192.0.2.1', ...settings };
  const intake = await intakeOn(t, spool, given, clock);
  const requests = async (): Promise<StoredRequest[]> => {
    const reader = openReader(nodeRuntime, spool);
    const read = await reader.read(0, { count: 1_000, bytes: 1e8 });
    await reader.close();
    return read;
  };
  return { ...intake, file, requests };
}

const plain = (user: string, secret: string): string =>
  `AUTH PLAIN ${Buffer.from(`\0${user}\0${secret}`).toString('base64')}`;

test('the strongest evidence decides who it is, and the record says by what', async (t) => {
  const intake = await guarded(t, `${near}\n${sender}\n${login}`);
  const fromNear = intake.client('127.0.0.2');
  assert.match(await fromNear.hello(), /^250[- ]AUTH (LOGIN PLAIN|PLAIN LOGIN)/m);
  assert.match(await fromNear.send(message, 'ops@sender.example'), /^250/);
  assert.match(await fromNear.say(plain('anna', password)), /^235 2\.7\.0/);
  assert.match(await fromNear.send(`${message}2\r\n`, 'ops@sender.example'), /^250/);
  const elsewhere = intake.client();
  await elsewhere.hello();
  assert.match(await elsewhere.send(`${message}3\r\n`, 'ops@sender.example'), /^250/);
  const refused = await elsewhere.send(message, 'ops@elsewhere.example');
  assert.equal(
    refused,
    '503 5.5.1 Error: need MAIL command',
    'a stranger gets no further than MAIL, also on a connection that was known before',
  );
  const known = (await intake.requests()).map(({ client: { registrar, unverified } }) => [registrar, unverified]);
  assert.deepEqual(known, [
    [{ id: 'near', by: 'network' }, undefined],
    [{ id: 'login', by: 'auth' }, undefined],
    [{ id: 'sender', by: 'envelope' }, undefined],
  ]);
});

/** Sends the same bytes from each client in turn; gives the replies. */
async function sendFrom(intake: Guarded, clients: readonly (readonly [address: string, login?: true])[], from: string) {
  const replies: string[] = [];
  for (const [address, login_] of clients) {
    const smtp = intake.client(address);
    await smtp.hello();
    if (login_) assert.match(await smtp.say(plain('anna', password)), /^235/);
    replies.push(await smtp.send(message, from));
  }
  return replies;
}

const forgeries: [string, readonly (readonly [string, true?])[], string][] = [
  ['another registrar from its network', [['127.0.0.2'], ['127.0.0.1']], 'ops@sender.example'],
  ['anybody who writes the envelope sender, elsewhere', [['127.0.0.3'], ['127.0.0.1']], 'ops@sender.example'],
  ['a weaker proof of the same registrar', [['127.0.0.1'], ['127.0.0.1', true]], 'ops@login.example'],
  ['a stranger who is kept', [['127.0.0.3'], ['127.0.0.2']], 'ops@elsewhere.example'],
];
for (const [who, clients, from] of forgeries) {
  test(`a request is no copy of the same bytes sent first by ${who}`, async (t) => {
    const weak = '\nsenders = ["@login.example"]';
    const intake = await guarded(t, `${near}\n${sender}\n${login}${weak}\n`, { SEAWALL_REGISTRARS_STRANGERS: 'keep' });
    const [first, own] = await sendFrom(intake, clients, from);
    assert.match(first!, /queued as SW-000000001-\S$/);
    assert.match(own!, /queued as SW-000000002-\S$/, 'a place and a ticket of its own');
    const [again] = await sendFrom(intake, clients.slice(1), from);
    assert.match(again!, /queued as SW-000000002-\S \(already kept\)$/, 'and its own retry is told its own ticket');
  });
}

test('a client certificate is the strongest evidence', async (t) => {
  if (!(await has(t, ['swaks', '--version']))) return;
  const [server, client] = [await tlsSettings(t), await tlsSettings(t)];
  const cert = client['SEAWALL_SMTP_TLS_CERTIFICATE']!;
  const { fingerprint256 } = new X509Certificate(await readFile(cert));
  const certified = `[[registrar]]\nid = "certified"\nname = "C"\ncertificates = ["${fingerprint256}"]\n`;
  const intake = await guarded(t, `${certified}\n${sender}\n${login}`, server);
  const common = ['--server', `127.0.0.1:${intake.port}`, '--tls', '--to', 'domain@registry.example'];
  const swaks = (...args: string[]): Promise<unknown> =>
    run('swaks', [...common, '--from', 'ops@sender.example', ...args]);
  await swaks('--tls-cert', cert, '--tls-key', client['SEAWALL_SMTP_TLS_KEY']!);
  await swaks('--auth', 'LOGIN', '--auth-user', 'anna', '--auth-password', password);
  await swaks('--body', 'no evidence but the envelope');
  const known = (await intake.requests()).map(({ client: { registrar, protocol } }) => [registrar?.by, protocol]);
  assert.deepEqual(known, [
    ['certificate', 'ESMTPS'],
    ['auth', 'ESMTPSA'],
    ['envelope', 'ESMTPS'],
  ]);
});

test('a wrong password gets 535 and nothing is told about who exists; without passwords there is no AUTH', async (t) => {
  const intake = await guarded(t, `${near}\n${login}`);
  const client = intake.client();
  await client.hello();
  const answers = [await client.say(plain('anna', 'wrong horse')), await client.say(plain('nobody', password))];
  assert.deepEqual(answers, Array(2).fill('535 5.7.8 The user name or the password is wrong'));
  assert.match(await client.say('MAIL FROM:<ops@elsewhere.example>'), /^550 5\.7\.1 .* log in with AUTH/);
  await writeFile(intake.file, near);
  await intake.reload();
  assert.doesNotMatch(await client.say('EHLO client.example'), /AUTH/);
  assert.match(await client.say(plain('anna', password)), /^500/);
});

test('many connections with the same right password log in at once', async (t) => {
  const intake = await guarded(t, `${login}connections = 60\n`);
  const clients = Array.from({ length: 40 }, () => intake.client());
  await Promise.all(clients.map((each) => each.hello()));
  const answers = await Promise.all(clients.map((each) => each.say(plain('anna', password))));
  assert.ok(answers.every((each) => each.startsWith('235')));
});

test('a stranger is refused at MAIL over and over, on its own budget', async (t) => {
  const intake = await guarded(t, `${near}\n${sender}`, { SEAWALL_SMTP_SESSION_REFUSALS: '300' });
  const client = intake.client();
  await client.hello();
  for (let i = 0; i < 299; i++) {
    const reply = await client.say('MAIL FROM:<spam@elsewhere.example>');
    assert.match(reply, /^550 5\.7\.1 You are not in the registrar book here: ask the registry/);
    await client.say('RSET');
  }
  assert.match(await client.say('MAIL FROM:<>'), /^550 5\.7\.1/);
  assert.match(await client.say('MAIL FROM:<spam@elsewhere.example>'), /^421 4\.7\.0 Refused 300 times/);
  await client.closed;
  assert.deepEqual(await intake.requests(), []);
});

test('strangers are kept where that is the policy, and marked', async (t) => {
  const intake = await guarded(t, near, { SEAWALL_REGISTRARS_STRANGERS: 'keep' });
  const client = intake.client();
  await client.hello();
  assert.match(await client.send(message), /^250/);
  const [request] = await intake.requests();
  assert.deepEqual([request?.client.unverified, request?.client.registrar], [true, undefined]);
});

test('limits are the registrar’s, not its address’s; strangers cannot take the places of registrars', async (t) => {
  const book = `${near}connections = 30\n\n${sender}connections = 2\n`;
  const intake = await guarded(t, book, {
    SEAWALL_SMTP_CLIENT_CONNECTIONS: '8',
    SEAWALL_SMTP_CONNECTIONS: '40',
    SEAWALL_REGISTRARS_STRANGER_CONNECTIONS: '5',
  });
  const greeted = async (from: string): Promise<string> => (await intake.client(from).reply()).slice(0, 3);
  const strangers = [];
  for (let i = 0; i < 8; i++) strangers.push(await greeted(`127.0.1.${i}`));
  assert.deepEqual(strangers, ['220', '220', '220', '220', '220', '421', '421', '421']);
  const known = [];
  for (let i = 0; i < 31; i++) known.push(await greeted('127.0.0.2'));
  assert.deepEqual(known, [...Array<string>(30).fill('220'), '421']);
});

test('who is known at MAIL leaves the strangers’ share and has its registrar’s limit', async (t) => {
  const intake = await guarded(t, `${sender}connections = 2\n`, { SEAWALL_REGISTRARS_STRANGER_CONNECTIONS: '1' });
  const mail = 'MAIL FROM:<ops@sender.example>';
  const one = intake.client();
  await one.hello();
  assert.match(await one.say(mail), /^250/);
  const other = intake.client();
  await other.hello();
  assert.match(await other.say(mail), /^250/);
  const third = intake.client();
  await third.hello();
  assert.match(await third.say(mail), /^421 4\.7\.0 Too many connections of registrar sender \(2\)/);
  await third.closed;
});

test('messages in progress and bytes in memory are limited for each registrar', async (t) => {
  const book = `${near}messages = 1\nbytes = 2_000\n\n[[registrar]]\nid = "b"\nname = "B"\nnetworks = ["127.0.0.3"]\nbytes = 4_000\n`;
  const intake = await guarded(t, book, { SEAWALL_REGISTRARS_WAIT_SECONDS: '1', SEAWALL_SMTP_MESSAGE_BYTES: '3000' });
  const begin = async (from: string): Promise<ReturnType<typeof intake.client>> => {
    const client = intake.client(from);
    await client.hello();
    await client.say('MAIL FROM:<ops@registrar.example>');
    await client.say('RCPT TO:<domain@registry.example>');
    return client;
  };
  const [first, second, third] = [await begin('127.0.0.2'), await begin('127.0.0.2'), await begin('127.0.0.2')];
  assert.match(await first.say('DATA'), /^354/);
  const waiting = second.say('DATA');
  third.write('DATA\r\n');
  third.end();
  first.write(`${message}.\r\n`);
  assert.match(await first.reply(), /^250/);
  assert.match(await waiting, /^354/);
  // Whoever left while it waited has left no trace; and who waits too long is told to come again.
  const late = await begin('127.0.0.2');
  assert.match(await late.say('DATA'), /^451 4\.7\.1 Too many messages at once/);
  const [large, larger] = [await begin('127.0.0.3'), await begin('127.0.0.3')];
  await large.say('DATA');
  await larger.say('DATA');
  const piece = `${'x'.repeat(998)}\r\n`.repeat(2);
  large.write(piece);
  larger.write(`${piece}${piece.slice(0, 500)}\r\n.\r\n`);
  assert.match(await larger.reply(), /^452 4\.3\.1 Too many bytes of registrar b/);
  large.write('.\r\n');
  assert.match(await large.reply(), /^250/);
});

test('a changed book holds for the connections there are; one that cannot be used changes nothing', async (t) => {
  const intake = await guarded(t, `${near}\n${sender}`);
  const client = intake.client('127.0.0.2');
  await client.hello();
  assert.match(await client.send(message), /^250/);
  await writeFile(intake.file, '[[registrar]]\nid = "near"\n');
  await intake.reload();
  assert.match(await client.send(`${message}2\r\n`), /^250/);
  await writeFile(intake.file, sender);
  await intake.reload();
  assert.match(await client.say('MAIL FROM:<ops@registres.example>'), /^550 5\.7\.1/);
  assert.match(await client.send(`${message}3\r\n`, 'ops@sender.example'), /^250/);
});

test('the verbs: a password is set, the book is shown and reloaded, and one that cannot be used changes nothing', async (t) => {
  const file = join(await temporaryFolder(t), 'registrars.toml');
  await writeFile(file, near);
  const daemon = await startDaemon('intake', { SEAWALL_REGISTRARS_FILE: file });
  atEnd(t, () => daemon.stop());
  await writeFile(file, '# ours\n[[registrar]]\nid = "anna"\nname = "Anna Ltd"\n');
  const verb = async (input: string, ...args: string[]): Promise<{ code: number; out: string }> => {
    const [program, all] = seawall(...args);
    const child = spawn(program, all, { env: daemon.environment });
    child.stdin.end(input);
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, out };
  };
  assert.equal((await verb('', 'registrars', 'check')).code, 78);
  const other = await verb('', 'registrars', 'reload');
  assert.deepEqual([other.code, other.out.includes('could never be known')], [78, true]);
  assert.equal((await verb(`${password}\n`, 'passwd', '--registrar', 'anna')).code, 0);
  const list = await verb('', 'registrars');
  assert.match(list.out, /^anna .*Anna Ltd: login anna$/m);
  assert.doesNotMatch(list.out, /scrypt/);
  const client = new SmtpClient(daemon.smtpPort);
  await client.hello();
  assert.match(await client.say('MAIL FROM:<a@b.example>'), /^550/);
  const reloaded = await verb('', 'registrars', 'reload');
  assert.deepEqual([reloaded.code, reloaded.out.startsWith('1 registrars in force')], [0, true], reloaded.out);
  await client.say('EHLO client.example');
  assert.match(await client.say(plain('anna', password)), /^235/);
  assert.match(await client.say('MAIL FROM:<a@b.example>'), /^250/);
  client.end();
});

test('who lets bytes drip holds no common place that another registrar waits for', async (t) => {
  const clock = new TurnedClock();
  const far = near?.replaceAll('near', 'far').replace('127.0.0.2', '127.0.0.3');
  const intake = await guarded(t, `${near}\n${far}`, { SEAWALL_REGISTRARS_PLACES: '2' }, clock);
  const begun = async (from: string): Promise<SmtpClient> => {
    const smtp = intake.client(from);
    await smtp.hello();
    for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>']) await smtp.say(line);
    smtp.write('DATA\r\n');
    return smtp;
  };
  // One place of its own and both common ones.
  const dripping = await Promise.all(['127.0.0.2', '127.0.0.2', '127.0.0.2'].map(begun));
  for (const smtp of dripping) assert.match(await smtp.reply(), /^354/);
  const [own, common] = [await begun('127.0.0.3'), await begun('127.0.0.3')];
  assert.match(await own.reply(), /^354/);
  const ready = common.reply();
  await clock.turn(3_000);
  assert.match(await ready, /^354/);
  for (const [i, smtp] of [common, ...dripping].entries()) {
    smtp.write(`X: ${i}\r\n${message}.\r\n`);
    assert.match(await smtp.reply(), /^250/, 'whoever is slow loses nothing');
  }
});

test('300 connections that guess passwords lock out no first login, from elsewhere or from their own address', async (t) => {
  const users = Array.from({ length: 40 }, (_, i) => `user${i}`);
  const book = users.map((user) => login?.replace('"login"', `"${user}"`).replace('"anna"', `"${user}"`));
  const intake = await guarded(t, book.join('\n'), {
    SEAWALL_REGISTRARS_STRANGER_CONNECTIONS: '400',
    SEAWALL_SMTP_CLIENT_CONNECTIONS: '400',
  });
  const guessers = Array.from({ length: 300 }, () => intake.client('127.0.0.9'));
  await Promise.all(guessers.map((each) => each.hello()));
  const guesses = guessers.map((each, i) => each.say(plain(users[i % 40]!, `guess ${i}`)).catch(() => 'closed'));
  assert.match(await Promise.race(guesses), /^454 4\.7\.0/, 'of one client only so many guesses wait');
  // Who is told 454 guesses on, as long as the connection lives.
  for (const [i, first] of guesses.entries()) {
    const guessOn = async (reply: string): Promise<void> => {
      let last = reply;
      for (let n = 0; last.startsWith('454'); n++) last = await guessers[i]!.say(plain('user1', `guess ${i} ${n}`));
    };
    void first.then(guessOn).catch(() => undefined);
  }
  for (const [i, user] of users.entries()) {
    const honest = intake.client(i % 2 === 0 ? '127.0.0.2' : '127.0.0.9');
    await honest.hello();
    assert.match(await honest.say(plain(user, password)), /^235/, user);
    honest.end();
  }
});
