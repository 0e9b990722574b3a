// Acknowledgements in the operator's hands: verbs as real processes, beside a real daemon and a real relay that refuses.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, seawall, startDaemon } from '../../loadtest/daemon.ts';
import { ticketOf } from '../../src/model/ticket.ts';
import { templates } from '../support/acknowledging.ts';
import { MailSink } from '../support/mail-sink.ts';
import { settle } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { until, verb } from '../support/verbs.ts';

async function daemon(t: TestContext, settings: Record<string, string>): Promise<Daemon> {
  const started = await startDaemon(undefined, settings);
  atEnd(t, () => started.stop());
  return started;
}

async function sinkFor(t: TestContext): Promise<MailSink> {
  const sink = await MailSink.open();
  atEnd(t, () => sink.close());
  return sink;
}

async function send(on: Daemon, ...subjects: string[]): Promise<void> {
  const smtp = new SmtpClient(on.smtpPort);
  await smtp.hello();
  for (const subject of subjects)
    assert.match(await smtp.send(`Subject: ${subject}\r\n\r\n2a..: ${subject}.example\r\n`), /^250 /);
  await smtp.say('QUIT');
}

interface Row {
  readonly sequence: number;
  readonly state: string;
  readonly attempts: number | null;
  readonly code: number | null;
  readonly text: string | null;
  readonly recipient: string;
}

async function rows(on: Daemon, ...options: string[]): Promise<Row[]> {
  const { stdout, code } = await verb(on, 'acks', 'list', '--json', ...options);
  assert.equal(code, 0);
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Row]));
}

const stateOf = async (on: Daemon, sequence: number): Promise<string> =>
  (JSON.parse((await verb(on, 'acks', 'show', String(sequence), '--json')).stdout) as Row).state;

/** What it has logged, once everything that came meanwhile has been read. */
async function logOf(on: Daemon): Promise<string> {
  await settle();
  return on.log();
}

const messageId = (text: string): string | undefined => /^Message-ID: (\S+)/m.exec(text)?.[1];

test('what failed for good is listed, shown, and sent once the relay is well and somebody asks for it', async (t) => {
  const sink = await sinkFor(t);
  sink.answer = (_to, ticket) => (ticket === ticketOf(2) ? { code: 550, text: '5.1.1 no such user' } : undefined);
  const on = await daemon(t, { SEAWALL_ACK_RELAYS: sink.url });
  await send(on, 'one', 'two', 'three');
  const [failed] = await until(
    () => rows(on),
    (found) => found.length === 1 && found[0]?.state === 'failed',
  );
  assert.deepEqual(
    [failed?.sequence, failed?.attempts, failed?.code, failed?.text],
    [2, 1, 550, '550 5.1.1 no such user'],
  );
  assert.match((await verb(on, 'status')).stdout, /1 failed for good \(see seawall acks list\)/);
  assert.match((await verb(on, 'acks', 'list')).stdout, /SW-000000002-. .*failed.*550 5\.1\.1 no such user\n1 listed/);
  const shown = (await verb(on, 'acks', 'show', ticketOf(2))).stdout;
  assert.match(
    shown,
    /State +failed\n[^]*Last reply +550 5\.1\.1 no such user\n[^]*Subject: [^]*Seawall-Ticket: SW-000000002/,
  );

  // Still refused: it fails again, and the tries are counted on.
  assert.match((await verb(on, 'acks', 'retry', '--failed')).stdout, /^SW-000000002-.: tried again now/);
  await until(
    () => rows(on),
    ([row]) => row?.state === 'failed' && row.attempts === 2,
  );
  sink.answer = () => undefined;
  assert.equal((await verb(on, 'acks', 'retry', '2')).code, 0);
  await sink.until(() => sink.taken.some(({ ticket }) => ticket === ticketOf(2)));
  await until(
    () => rows(on),
    (found) => found.length === 0,
  );
  assert.equal(sink.taken.filter(({ ticket }) => ticket === ticketOf(2)).length, 1);
  assert.equal(messageId(sink.taken.find(({ ticket }) => ticket === ticketOf(2))?.text ?? ''), messageId(shown));

  // Not again by accident; on request the same message, byte for byte.
  const refused = await verb(on, 'acks', 'retry', '2');
  assert.deepEqual([refused.code, /--again/.test(refused.stderr)], [64, true]);
  assert.equal((await verb(on, 'acks', 'retry', '2', '--again')).code, 0);
  await sink.until(() => sink.taken.filter(({ ticket }) => ticket === ticketOf(2)).length === 2);
  const [first, second] = sink.taken.filter(({ ticket }) => ticket === ticketOf(2));
  assert.equal(first?.text, second?.text);
  const counts = await until(
    async () => JSON.parse((await verb(on, 'status', '--json')).stdout) as { acknowledgements: Record<string, number> },
    ({ acknowledgements }) => acknowledgements['waiting'] === 0,
  );
  assert.deepEqual([counts.acknowledgements['sent'], counts.acknowledgements['failed']], [3, 0]);
  assert.equal(await on.stop(), 0);
});

test('a mail that waits for its next try, and a relay that is out of reach, are tried at once when somebody asks', async (t) => {
  const sink = await sinkFor(t);
  sink.answer = () => ({ code: 451, text: '4.7.1 come back later' });
  const on = await daemon(t, { SEAWALL_ACK_RELAYS: sink.url, SEAWALL_ACK_RETRY_SECONDS: '3600' });
  await send(on, 'one');
  await until(
    () => rows(on, '--state', 'retrying'),
    (found) => found.length === 1,
  );
  sink.answer = () => undefined;
  assert.equal((await verb(on, 'acks', 'retry', '1')).code, 0);
  await sink.until(() => sink.taken.length === 1);

  const { port } = sink;
  await sink.close();
  await send(on, 'two');
  await until(
    () => logOf(on),
    (log) => /relay cannot be used/.test(log),
  );
  const back = await MailSink.open({ port });
  atEnd(t, () => back.close());
  assert.equal((await verb(on, 'acks', 'retry', '2')).code, 0);
  await back.until(() => back.taken.length === 1);
});

test('acks retry --all wakes a relay that is left alone, and says what came of it', async (t) => {
  const sink = await sinkFor(t);
  const { port, url } = sink;
  await sink.close();
  const on = await daemon(t, { SEAWALL_ACK_RELAYS: url, SEAWALL_ACK_RETRY_SECONDS: '3600' });
  await send(on, 'one', 'two', 'three');
  await until(
    () => logOf(on),
    (log) => /relay cannot be used/.test(log),
  );
  const still = (await verb(on, 'acks', 'retry', '--all')).stdout;
  assert.match(still, /3 that wait for their first try: tried again now/);
  assert.match(still, /127\.0\.0\.1:\d+: tried, and still in trouble: .*ECONNREFUSED.*Next try at 20/);
  const back = await MailSink.open({ port });
  atEnd(t, () => back.close());
  assert.match((await verb(on, 'acks', 'retry', '--all')).stdout, /127\.0\.0\.1:\d+: is back\./);
  await back.until(() => back.taken.length === 3);
});

test('a retry request outlives a daemon that does not run, and rubbish in its place does no harm', async (t) => {
  const spool = await temporaryFolder(t);
  const sink = await sinkFor(t);
  sink.answer = () => ({ code: 550, text: 'never' });
  const on = await daemon(t, { SEAWALL_ACK_RELAYS: sink.url, SEAWALL_SPOOL_DIR: spool });
  await send(on, 'one', 'two');
  await until(
    () => rows(on, '--state', 'failed'),
    (found) => found.length === 2,
  );
  on.process.kill('SIGTERM');
  await new Promise((resolve) => on.process.once('exit', resolve));
  sink.answer = () => undefined;
  assert.match(
    (await verb(on, 'acks', 'retry', '--failed')).stdout,
    /^2 acknowledgements: noted\. No acknowledge stage runs/,
  );
  await writeFile(join(spool, 'wishes', '0.wish'), '{"ranges":[[1,1e15]]}');
  assert.equal(await stateOf(on, 1), 'failed');
  await on.again();
  await sink.until(() => sink.taken.length === 2);
  await until(
    () => rows(on),
    (found) => found.length === 0,
  );
  assert.deepEqual(await readdir(join(spool, 'wishes')), []);
  assert.match(on.log(), /not a request that can be granted/);
});

test('the verbs say what is wrong with what they were asked', async (t) => {
  const on = await daemon(t, { SEAWALL_ACK_ENABLED: 'false' });
  await send(on, 'one');
  for (const [words, said] of [
    [['acks'], /acks wants one of list, show, retry, preview/],
    [['acks', 'mend'], /acks wants one of/],
    [['acks', 'list', '--state', 'sent'], /--state wants one of failed, retrying, waiting/],
    [['acks', 'show'], /acks show wants a sequence number/],
    [['acks', 'show', '7'], /There is no request 7: 1 have been kept/],
    [['acks', 'retry'], /acks retry wants one of/],
    [['acks', 'retry', '1', '--failed'], /acks retry wants one of/],
    [['acks', 'retry', '--all', '--again'], /--again wants a sequence/],
    [['acks', 'preview', '1', '--sample'], /or --sample/],
    [['acks', 'preview', '--sample', '--language', 'xx'], /There is no language "xx": there are .*en/],
    [['acks', 'list', '1'], /more words than it takes/],
  ] as const) {
    const { code, stderr } = await verb(on, ...words);
    assert.equal(code, 64, words.join(' '));
    assert.match(stderr, said, words.join(' '));
  }
  assert.match((await verb(on, 'acks', 'list')).stdout, /SW-000000001-\* +waiting.*\n1 listed/);
});

/** A daemon that is expected to end by itself. */
async function failedStart(environment: NodeJS.ProcessEnv): Promise<{ code: unknown; said: string }> {
  const [file, words] = seawall('serve');
  const ports = { SEAWALL_SMTP_PORT: '0', SEAWALL_SOAP_PORT: '0', SEAWALL_ADMIN_PORT: '0' };
  const child = spawn(file, words, { env: { ...environment, ...ports }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return { code: await new Promise((resolve) => child.once('close', resolve)), said };
}

test('a daemon does not start with a book that wants a language which is not there', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'registrars.toml');
  await writeFile(file, '[[registrar]]\nid = "reg"\nname = "R"\nlanguage = "xx"\nsenders = ["@a.example"]\n');
  const started = await failedStart({
    ...process.env,
    SEAWALL_SPOOL_DIR: join(folder, 'spool'),
    SEAWALL_TEMPLATES_DIR: templates,
    SEAWALL_REGISTRARS_FILE: file,
  });
  assert.equal(started.code, 78);
  assert.match(started.said, /the registrar book wants the language .*xx.* for reg/i);
});

test('a preview shows every language from the templates as they are, and says which of them is broken', async (t) => {
  const folder = await temporaryFolder(t);
  await cp(templates, folder, { recursive: true });
  const on = {
    environment: { ...process.env, SEAWALL_SPOOL_DIR: join(folder, 'none'), SEAWALL_TEMPLATES_DIR: folder },
  };
  const whole = await verb(on, 'acks', 'preview', '--sample');
  assert.equal(whole.code, 0, whole.stderr);
  for (const language of (await readdir(templates)).filter((name) => /^[a-z]{2,3}$/.test(name)))
    assert.ok(Buffer.from(whole.stdout, 'latin1').toString().includes(`──── ${language} ────`), language);
  const html = await verb(on, 'acks', 'preview', '--sample', '--language', 'fr', '--html');
  assert.match(html.stdout, /^<!DOCTYPE html>[^]*lang="fr"[^]*<\/html>\n$/);

  await writeFile(join(folder, 'fr', 'acknowledgement.txt.hbs'), 'one\n{{tiket}}\n');
  const broken = await verb(on, 'acks', 'preview', '--sample');
  assert.equal(broken.code, 78);
  assert.match(broken.stderr, /fr\/acknowledgement\.txt\.hbs \(language fr, line 2\).*tiket/);
  assert.match(broken.stdout, /Content-Language: en/);

  // And the daemon does not start with it, though nobody uses French.
  const started = await failedStart(on.environment);
  assert.equal(started.code, 78);
  assert.match(started.said, /fr\/acknowledgement\.txt\.hbs \(language fr, line 2\)/);
});
