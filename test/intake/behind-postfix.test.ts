// The recipes of the intake's README, "Behind Postfix", as they stand there, with the real Postfix and the real HAProxy.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, startDaemon } from '../../loadtest/daemon.ts';
import { freePort, type Postfix, startPostfix } from '../../loadtest/postfix.ts';
import type { StoredRequest } from '../../src/model/request.ts';
import { settle } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, readAll, temporaryFolder } from '../support/spool.ts';
import { has, run } from '../support/tools.ts';

const readme = readFile(join(import.meta.dirname, '../../src/intake/README.md'), 'utf8');

/** A block of the README that begins with this line, for a Seawall on this port. */
async function recipe(first: string, port: number): Promise<string> {
  const block = (await readme).split('```').find((each) => each.slice(each.indexOf('\n') + 1).startsWith(`${first}\n`));
  assert.ok(block, `the README has the recipe "${first}"`);
  return block.slice(block.indexOf('\n') + 1).replace(':2525', `:${port}`);
}

/** Whether Postfix can be had here. */
async function postfixWorks(t: TestContext): Promise<boolean> {
  if (!(await has(t, ['postconf', '-d', 'mail_version'])) || !(await has(t, ['swaks', '--version']))) return false;
  if (process.getuid?.() === 0) return true;
  t.skip('Postfix can only be started by root: this is NOT tested');
  return false;
}

/** A Seawall that trusts the Postfix in front of it, and the Postfix by a recipe; `port` leads from one to the other. */
async function behindPostfix(
  t: TestContext,
  block: string,
  settings: Record<string, string> = {},
  port?: (seawall: Daemon) => number,
): Promise<{ seawall: Daemon; postfix: Postfix }> {
  const seawall = await startDaemon('intake', { SEAWALL_SMTP_TRUSTED_FRONTS: '127.0.0.1', ...settings });
  atEnd(t, () => seawall.stop());
  const lines = (await recipe(block, port?.(seawall) ?? seawall.smtpPort)).split('\n').slice(1);
  const main = lines.flatMap((line) => {
    const [, key, value = ''] = /^(\w+) =(?: (.*))?$/.exec(line) ?? [];
    return key === undefined ? [] : [[key, value] as const];
  });
  // So that swaks can be a registrar from anywhere.
  const postfix = await startPostfix({
    ...Object.fromEntries(main),
    // Whoever comes may write to relay_domains, and swaks may be a registrar from anywhere.
    smtpd_recipient_restrictions: 'reject_unauth_destination',
    smtpd_authorized_xclient_hosts: '127.0.0.0/8',
  });
  atEnd(t, () => postfix.stop());
  return { seawall, postfix };
}

/** A registrar at 192.0.2.77, as Postfix sees it. */
async function swaks(port: number, subject: string, ...more: string[]): Promise<string> {
  const target = [
    '--server',
    `127.0.0.1:${port}`,
    '--from',
    'ops@registres.example',
    '--to',
    'domain@registry.example',
  ];
  const who = ['--xclient-addr', '192.0.2.77', '--xclient-name', 'mx1.registres.example', '--xclient-port', '31001'];
  const args = [...target, ...who, '--helo', 'mx1.registres.example', '--header', `Subject: ${subject}`, ...more];
  return (await run('swaks', args)).stdout;
}

const registrar = {
  address: '192.0.2.77',
  port: 31001,
  helo: 'mx1.registres.example',
  protocol: 'ESMTP',
  name: 'mx1.registres.example',
  via: '127.0.0.1',
};

const clientsOf = (kept: readonly StoredRequest[]) =>
  kept.map(({ client: { session, ...client } }) => (assert.notEqual(session, ''), client));
const subjectOf = ({ message }: StoredRequest): string => /^Subject: (.*)\r$/m.exec(message.toString('latin1'))![1]!;

/** Looks until so many are kept: Postfix gives no event to wait for. */
async function keptOf(spool: string, count: number, meanwhile: () => Promise<void> = async () => {}) {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const kept = await readAll(spool);
    if (kept.length >= count) return kept;
    if (performance.now() > deadline) throw new Error(`${kept.length} of ${count} kept after a minute`);
    await meanwhile();
    await settle();
  }
}

/** One message over a plain connection to Postfix, from an address of this machine. */
async function mail(port: number, from: string, subject: string, to?: string[]): Promise<string> {
  const smtp = new SmtpClient(port, from);
  await smtp.hello();
  const reply = await smtp.send(`Subject: ${subject}\r\n\r\nx\r\n`, 'ops@registres.example', to);
  await smtp.say('QUIT').catch(() => '');
  smtp.end();
  return reply;
}

test('before the queue: the registrar hears Seawall’s ticket, the order is his, and the record is of him', async (t) => {
  if (!(await postfixWorks(t))) return;
  const { seawall, postfix } = await behindPostfix(t, '# main.cf, before the queue');
  assert.match(await swaks(postfix.port, 'first'), /<-  250 2\.0\.0 Ok: queued as SW-000000001-\*/);
  // One after another over connections of their own, from several addresses: each has its ticket before the next begins.
  for (let i = 2; i <= 12; i++) {
    const reply = await mail(postfix.port, `127.0.0.${i}`, `number ${i}`);
    assert.match(reply, new RegExp(`^250 2\\.0\\.0 Ok: queued as SW-0000000${String(i).padStart(2, '0')}-`));
  }
  // DSN is not offered: Seawall has it not, and what Postfix offers here it hands on.
  const smtp = new SmtpClient(postfix.port);
  assert.doesNotMatch(await smtp.hello(), /DSN/);
  smtp.end();
  const kept = await readAll(seawall.spool);
  const [first, ...others] = clientsOf(kept);
  assert.deepEqual(first, registrar);
  assert.deepEqual(
    others.map(({ address, via, helo }) => [address, via, helo]),
    Array.from({ length: 11 }, (_, i) => [`127.0.0.${i + 2}`, '127.0.0.1', 'client.example']),
  );
  assert.equal(await postfix.queued(), 0);

  process.kill(seawall.process.pid!, 'SIGKILL');
  assert.match(await mail(postfix.port, '127.0.0.2', 'while it is down'), /^4\d\d /);
  await seawall.again();
  assert.match(await mail(postfix.port, '127.0.0.2', 'again'), /^250 2\.0\.0 Ok: queued as SW-000000013-/);
  assert.equal((await readAll(seawall.spool)).length, 13);
  await until(
    async () => seawall.log(),
    (log) => /"client":"127\.0\.0\.2","via":"127\.0\.0\.1"[^\n]*"kept"/.test(log),
  );
});

for (const [block, settings] of [
  ['# main.cf, by SMTP', {}],
  ['# main.cf, by LMTP', { SEAWALL_SMTP_LMTP: 'true' }],
] as const) {
  test(`${block}: Seawall dies and is away for a while; Postfix queues; nothing is lost and nothing is kept twice`, async (t) => {
    if (!(await postfixWorks(t))) return;
    const { seawall, postfix } = await behindPostfix(t, block, settings);
    await swaks(postfix.port, 'first');
    assert.deepEqual(clientsOf(await keptOf(seawall.spool, 1)), [registrar]);

    const subjects = Array.from({ length: 60 }, (_, i) => `number ${i}`);
    const reply = async (i: number): Promise<void> => {
      assert.match(
        await mail(postfix.port, `127.0.0.${2 + (i % 5)}`, `number ${i}`),
        /^250 2\.0\.0 Ok: queued as \w+$/,
      );
    };
    for (let i = 0; i < 20; i++) await reply(i);
    process.kill(seawall.process.pid!, 'SIGKILL');
    for (let i = 20; i < 60; i++) await reply(i);
    assert.ok((await postfix.queued()) >= 40);
    await seawall.again();
    const kept = await keptOf(seawall.spool, 61, () => postfix.flush());
    assert.deepEqual(kept.slice(1).map(subjectOf).toSorted(), subjects.toSorted());
    for (const each of kept.slice(1)) {
      const i = Number(subjectOf(each).split(' ')[1]);
      assert.deepEqual([each.client.address, each.client.via], [`127.0.0.${2 + (i % 5)}`, '127.0.0.1']);
    }
    for (const i of [0, 59])
      assert.match(await postfix.log(), new RegExp(`status=sent \\(250 2\\.0\\.0 Ok: queued as SW-`), `${i}`);

    // Two recipients: one request, kept once, and Postfix has its reply for each.
    await mail(postfix.port, '127.0.0.9', 'for two', ['domain@registry.example', 'copy@registry.example']);
    const last = (await keptOf(seawall.spool, 62)).at(-1)!;
    assert.deepEqual(last.envelope.to.toSorted(), ['copy@registry.example', 'domain@registry.example']);
    const sent = (
      await until(
        () => postfix.log(),
        (log) => log.split(last.ticket).length > 2,
      )
    ).split(last.ticket);
    assert.equal(sent.length - 1, 2);
    assert.equal((await readAll(seawall.spool)).length, 62);
  });
}

/** Looks until the condition holds: a process of its own gives us no event to wait for. */
async function until<T>(look: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    if (performance.now() > deadline) throw new Error(`not so after 30 s: ${JSON.stringify(value)}`);
    await settle();
  }
}

test('Postfix never sees our 250 and hands the message over again: it keeps its first place', async (t) => {
  if (!(await postfixWorks(t))) return;
  // Between the two: cuts the connection where the first 250 with a ticket should have gone by.
  let target = 0;
  let cuts = 0;
  const between = createServer((postfix) => {
    const seawall = connect(target, '127.0.0.1');
    postfix.on('error', () => undefined).on('data', (chunk) => seawall.write(chunk));
    seawall
      .on('error', () => undefined)
      .on('data', (chunk: Buffer) => {
        if (chunk.includes('queued as') && cuts++ === 0) postfix.destroy();
        else postfix.write(chunk);
      });
    postfix.on('close', () => seawall.destroy());
    seawall.on('close', () => postfix.destroy());
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => between.close(resolve)));
  const { port } = between.address() as AddressInfo;
  const { seawall, postfix } = await behindPostfix(t, '# main.cf, by SMTP', {}, (on) => ((target = on.smtpPort), port));
  await mail(postfix.port, '127.0.0.2', 'lost reply');
  const [first] = await keptOf(seawall.spool, 1);
  await mail(postfix.port, '127.0.0.2', 'the next');
  const log = await until(
    async () => (await postfix.flush(), postfix.log()),
    (text) => text.includes('(already kept)') && text.split('status=sent').length === 3,
  );
  assert.ok(log.includes(`queued as ${first!.ticket} (already kept)`));
  assert.deepEqual((await readAll(seawall.spool)).map(subjectOf).toSorted(), ['lost reply', 'the next']);
  assert.ok(cuts >= 2);
});

test('a client that sends XCLIENT itself is taken from a trusted address, and refused and logged from any other', async (t) => {
  if (!(await has(t, ['swaks', '--version']))) return;
  const trusting = await startDaemon('intake', { SEAWALL_SMTP_TRUSTED_FRONTS: '127.0.0.0/29' });
  atEnd(t, () => trusting.stop());
  assert.match(await swaks(trusting.smtpPort, 'by XCLIENT'), /queued as SW-000000001/);
  assert.deepEqual(clientsOf(await readAll(trusting.spool)), [registrar]);
  const stranger = swaks(trusting.smtpPort, 'by a stranger', '--local-interface', '127.0.0.9');
  await assert.rejects(stranger, /did not advertise XCLIENT/);
  const smtp = new SmtpClient(trusting.smtpPort, '127.0.0.9');
  await smtp.hello();
  assert.match(await smtp.say('XCLIENT ADDR=192.0.2.77'), /^550 5\.7\.0 XCLIENT is not taken from you/);
  smtp.end();
  const logged = await until(
    async () => trusting.log(),
    (log) => log.includes('xclient'),
  );
  assert.match(logged, /"client":"127\.0\.0\.9","at":"xclient","code":550[^\n]*"refused"/);
});

for (const version of ['send-proxy-v2', 'send-proxy']) {
  test(`HAProxy with ${version}: the record is of the client, and a proxy that says nothing of it is refused`, async (t) => {
    if (!(await has(t, ['haproxy', '-v']))) return;
    const seawall = await startDaemon('intake', { SEAWALL_SMTP_PROXY_FROM: '127.0.0.1' });
    atEnd(t, () => seawall.stop());
    const block = await recipe('listen seawall', seawall.smtpPort);
    const listen = await freePort();
    const file = join(await temporaryFolder(t), 'haproxy.cfg');
    await writeFile(file, block.replace('127.0.0.1:25\n', `127.0.0.1:${listen}\n`).replace('send-proxy-v2', version));
    const haproxy = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    haproxy.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise((resolve) => haproxy.once('exit', resolve));
    atEnd(t, async () => (haproxy.kill('SIGKILL'), ended));
    const reply = await until(
      () => mail(listen, '127.0.0.6', 'through HAProxy').catch(() => ''),
      (text) => text !== '' || haproxy.exitCode !== null,
    );
    assert.match(reply, /^250 2\.0\.0 Ok: queued as SW-000000001-/, said);
    const [kept] = await readAll(seawall.spool);
    const { address, port, via, helo } = kept!.client;
    assert.deepEqual([address, via, helo], ['127.0.0.6', '127.0.0.1', 'client.example']);
    assert.ok(port > 0 && port !== listen);
    const bare = new SmtpClient(seawall.smtpPort);
    bare.write('EHLO client.example\r\n');
    assert.match(await bare.reply(), /^421 4\.3\.5 /);
    await bare.closed;
  });
}
