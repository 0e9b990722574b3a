// What a relay gets to see of us: a password only over TLS with a good certificate. Real servers on loopback.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Acknowledging } from '../support/acknowledging.ts';
import { authority } from '../support/certificate.ts';
import { MailSink, type SinkOptions } from '../support/mail-sink.ts';
import { request } from '../support/memory.ts';

const down = 'relay cannot be used; it is tried again after a pause';
const login = { user: 'sea', pass: 'c0rrect-secret' };
/** This machine, by an address that does not say so: what holds for loopback does not hold for it. */
const elsewhere = '[::ffff:127.0.0.1]';

async function sinkFor(t: TestContext, options: SinkOptions): Promise<MailSink> {
  const sink = await MailSink.open(options);
  t.after(() => sink.close());
  return sink;
}

/** Runs the stage with one request until that is sent or the relay is given up for now; gives what the log says of it. */
async function attempt(t: TestContext, ack: Record<string, unknown>): Promise<{ sent: number; why: string }> {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  here.log.add(request('Subject: x\r\n\r\n2a..: a.example\r\n'));
  const stage = await here.start(ack);
  await here.turnUntil(() => here.linesOf(down).length > 0 || here.replay().counts.sent === 1);
  await stage.stop();
  assert.doesNotMatch(JSON.stringify([here.lines, here.store.events]), /secret|AHNlY/);
  return { sent: here.replay().counts.sent, why: (here.linesOf(down)[0]?.text as string | undefined) ?? '' };
}

async function pem(paths: { cert: string; key: string }): Promise<{ cert: string; key: string }> {
  return { cert: await readFile(paths.cert, 'utf8'), key: await readFile(paths.key, 'utf8') };
}

test('smtps: a known authority and the right password pass, a wrong password does not and is not shown', async (t) => {
  const made = await authority(t);
  const sink = await sinkFor(t, { ...login, tls: { ...(await pem(made)), secure: true } });
  const relay = (pass: string): string[] => [`smtps://sea:${pass}@localhost:${sink.port}`];
  const wrong = await attempt(t, { relays: relay('wrong-secret'), tls_ca: made.ca });
  assert.deepEqual(wrong, { sent: 0, why: 'the relay does not accept our user and password' });
  assert.equal(sink.logins, 1);
  assert.equal((await attempt(t, { relays: relay(login.pass), tls_ca: made.ca })).sent, 1);
  assert.equal(sink.secured, 1);
});

test('smtps: a certificate that nobody vouches for is not taken, and nothing is said under it', async (t) => {
  const sink = await sinkFor(t, { ...login, tls: { ...(await pem(await authority(t))), secure: true } });
  const { sent, why } = await attempt(t, { relays: [`smtps://sea:${login.pass}@localhost:${sink.port}`] });
  assert.equal(sent, 0);
  assert.match(why, /certificate/);
  assert.equal(sink.logins + sink.offered, 0);
});

test('smtps: a certificate for another name is not taken', async (t) => {
  const made = await authority(t);
  const sink = await sinkFor(t, { ...login, tls: { ...(await pem(made)), secure: true } });
  const relays = [`smtps://sea:${login.pass}@127.0.0.1:${sink.port}`];
  const { sent, why } = await attempt(t, { relays, tls_ca: made.ca });
  assert.equal(sent, 0);
  assert.match(why, /127\.0\.0\.1/);
  assert.equal(sink.logins, 0);
});

test('a password is not said to a relay without STARTTLS', async (t) => {
  const sink = await sinkFor(t, login);
  const { sent, why } = await attempt(t, { relays: [`smtp://sea:${login.pass}@${elsewhere}:${sink.port}`] });
  assert.equal(sent, 0);
  assert.match(why, /STARTTLS/i);
  assert.equal(sink.connections, 1);
  assert.equal(sink.logins + sink.offered, 0);
});

test('a password is not said under STARTTLS with a bad certificate, and is with a good one', async (t) => {
  const made = await authority(t);
  const sink = await sinkFor(t, { ...login, tls: await pem(made) });
  const relays = [`smtp://sea:${login.pass}@${elsewhere}:${sink.port}`];
  const bad = await attempt(t, { relays });
  assert.equal(bad.sent, 0);
  assert.match(bad.why, /certificate/);
  assert.equal(sink.logins + sink.offered, 0);
  assert.equal((await attempt(t, { relays, tls_ca: made.ca })).sent, 1);
  assert.equal(sink.secured, 1);
});

test('a relay that offers no AUTH gets no mail from one who has a password', async (t) => {
  const sink = await sinkFor(t, {});
  const { sent, why } = await attempt(t, { relays: [`smtp://sea:${login.pass}@127.0.0.1:${sink.port}`] });
  assert.deepEqual({ sent, why }, { sent: 0, why: 'the relay offers no AUTH' });
  assert.equal(sink.offered, 0);
});

test('without a password STARTTLS is taken when offered, whoever signed the certificate', async (t) => {
  const sink = await sinkFor(t, { tls: await pem(await authority(t)) });
  assert.equal((await attempt(t, { relays: [sink.url] })).sent, 1);
  assert.equal(sink.secured, 1);
});

test('authorities that cannot be read are an error at the start that names the file', async (t) => {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  const ack = { relays: ['smtp://127.0.0.1:25'], tls_ca: join(here.spool, 'no-such.pem') };
  await assert.rejects(here.start(ack), /ack\.tls_ca: .*no-such\.pem cannot be read/);
  await writeFile(ack.tls_ca, 'nothing');
  await assert.rejects(here.start(ack), /no-such\.pem holds no certificate/);
});
