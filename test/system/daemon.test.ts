// The whole daemon as its users meet it: real processes, real clients, a real spool.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, seawall, startDaemon } from '../../loadtest/daemon.ts';
import { startPostfix } from '../../loadtest/postfix.ts';
import type { ProcessIdentity } from '../../src/ports/runtime.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { ticketOf } from '../../src/model/ticket.ts';
import { MailSink } from '../support/mail-sink.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { has, run } from '../support/tools.ts';
import { until, verb } from '../support/verbs.ts';

const samples = join(import.meta.dirname, '../fixtures/requests');

async function daemon(t: TestContext, settings: Record<string, string> = {}, stage?: string): Promise<Daemon> {
  const started = await startDaemon(stage, settings);
  atEnd(t, () => started.stop());
  return started;
}

interface Status {
  kept: number;
  acknowledgements: { waiting: number; sent: number; skipped: number };
  registry: { confirmed: number; ready: number };
  stages: { stage: string; pid: number; state: string }[];
}

async function status(on: Daemon): Promise<Status> {
  return JSON.parse((await verb(on, 'status', '--json')).stdout) as Status;
}

async function send(port: number, messages: readonly string[]): Promise<string[]> {
  const smtp = new SmtpClient(port);
  await smtp.hello();
  const replies: string[] = [];
  for (const message of messages) replies.push(await smtp.send(message));
  await smtp.say('QUIT');
  return replies;
}

/** What a verb writes is read as bytes. */
const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString();

/** A line of `list --json`. */
interface Row {
  readonly sequence: number;
  readonly ticket: string;
  readonly size: number;
  readonly form?: string;
  readonly operation?: string;
  readonly reference?: string;
  readonly names: readonly string[];
  readonly unicodeNames: readonly string[];
}

test('swaks hands over every sample, list and cat give it back byte for byte, and the acknowledgements lie in the spool', async (t) => {
  if (!(await has(t, ['swaks', '--version']))) return;
  const on = await daemon(t);
  const names = (await readdir(samples)).filter((name) => name.endsWith('.eml')).toSorted();
  for (const name of names) {
    const target = [
      '--server',
      `127.0.0.1:${on.smtpPort}`,
      '--from',
      'ops@registres.example',
      '--to',
      'domain@registry.example',
    ];
    await run('swaks', [...target, '--data', `@${join(samples, name)}`, '--silent', '2']);
  }
  const rows = utf8((await verb(on, 'list', '--json')).stdout)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
  assert.deepEqual(
    rows.map((row) => row.ticket),
    names.map((_, i) => ticketOf(i + 1)),
  );
  for (const [i, name] of names.entries()) {
    const sent = (await readFile(join(samples, name), 'latin1')).replace(/\r?\n/g, '\r\n');
    const given = (await verb(on, 'cat', ticketOf(i + 1))).stdout;
    // swaks ends what it sends with one more end of line than the file has.
    assert.equal(given.replace(/(\r\n)+$/, ''), sent.replace(/(\r\n)+$/, ''), name);
    assert.equal(rows[i]!.size, given.length);
  }
  const settled = await until(
    () => status(on),
    ({ acknowledgements }) => acknowledgements.waiting === 0,
  );
  assert.equal(settled.acknowledgements.sent + settled.acknowledgements.skipped, names.length);
  const acks = await readdir(join(on.spool, 'acknowledgements'), { recursive: true });
  assert.equal(acks.filter((name) => name.endsWith('.eml')).length, settled.acknowledgements.sent);
  const spooled = await Promise.all(
    acks
      .filter((name) => name.endsWith('.eml'))
      .map((name) => readFile(join(on.spool, 'acknowledgements', name), 'latin1')),
  );
  for (const secret of ['s3cr3t-not-for-logs', 'not-for-logs-either']) {
    assert.ok(!on.log().includes(secret) && spooled.every((each) => !each.includes(secret)), secret);
  }
  assert.match((await verb(on, 'cat', '1', '--headers')).stdout, /^From: Registres SARL.*\r\n[^]*\r\n$/);
  assert.deepEqual((JSON.parse((await verb(on, 'cat', '1', '--envelope')).stdout) as { envelope: unknown }).envelope, {
    from: 'ops@registres.example',
    to: ['domain@registry.example'],
  });
  assert.match((await verb(on, 'list', '--last', '2')).stdout, /SW-000000009-.*\n.*SW-000000010-.*\n2 requests\.\n$/);
  const idn = rows[names.indexOf('rri-create.eml')]!;
  assert.deepEqual([idn.names, idn.unicodeNames], [['xn--mhlenbach-q9a.example'], ['mühlenbach.example']]);
  assert.deepEqual([idn.form, idn.operation, idn.reference], ['rri', 'create', 'ORD-4711']);
  const people = utf8((await verb(on, 'list')).stdout);
  assert.match(people, /^ +SEQUENCE .* NAMES +SENDER\n/);
  assert.match(people, / mühlenbach\.example {2,}ops@.*\n/);
  assert.match(people, / heron\.example \+2 {2,}ops@/);
  for (const part of ['MÜHL', 'xn--mhl']) {
    assert.match(utf8((await verb(on, 'list', '--name', part)).stdout), /\n.* mühlenbach.*\n1 request\.\n$/);
  }
  const brief = (await verb(on, 'list', '--brief', '--name', 'egret')).stdout;
  assert.match(brief, /^.*REGISTRY +SENDER\n.*\n1 request\.\n$/);
  assert.equal(
    'names' in (JSON.parse((await verb(on, 'list', '--brief', '--json', '--last', '1')).stdout) as Row),
    false,
  );
  assert.equal((await verb(on, 'verify')).code, 0);
  assert.equal(await on.stop(), 0);
});

for (const [name, needs, command] of [
  ['an untouched SOAP::Lite script', ['perl', '-MSOAP::Lite', '-e1'], ['perl', 'soap-lite-2004.pl']],
  ['a PHP SoapClient', ['php', '-r', 'class_exists("SoapClient") || exit(1);'], ['php', 'no-wsdl.php']],
] as const) {
  test(`${name} pulls and confirms what was mailed`, async (t) => {
    if (!(await has(t, needs))) return;
    const on = await daemon(t);
    const messages = Array.from({ length: 25 }, (_, i) => `Subject: ${i + 1}\r\n\r\n2a..: name${i + 1}.example\r\n`);
    for (const reply of await send(on.smtpPort, messages)) assert.match(reply, /^250 2\.0\.0 Ok: queued as SW-/);
    const script = join(import.meta.dirname, '../fixtures/clients', command[1]);
    const { stdout } = await run(command[0], [script, `http://127.0.0.1:${on.soapPort}/soap`], { timeout: 30_000 });
    const rows = (await verb(on, 'list', '--json')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { sequence: number; sha256: string; registry: string });
    assert.deepEqual(
      stdout.split('\n').filter((line) => /^\d/.test(line)),
      rows.map(({ sequence, sha256 }) => `${sequence} ${sha256}`),
    );
    assert.ok(rows.length === 25 && rows.every((row) => row.registry === 'confirmed'));
    assert.deepEqual((await status(on)).registry.confirmed, 25);
  });
}

test('a stage that is killed is started again, and nothing is lost or skipped', async (t) => {
  const sink = await MailSink.open();
  atEnd(t, () => sink.close());
  const on = await daemon(t, { SEAWALL_ACK_RELAYS: sink.url });
  const tickets: string[] = [];
  for (const victim of ['intake', 'acknowledge', 'deliver']) {
    const { pid } = (await status(on)).stages.find(({ stage }) => stage === victim)!;
    const [reply = ''] = await send(on.smtpPort, [`Subject: before ${victim}\r\n\r\n`]);
    tickets.push(/queued as (\S+)/.exec(reply)![1]!);
    process.kill(pid, 'SIGKILL');
    await until(
      () => status(on),
      ({ stages }) => stages.some((each) => each.stage === victim && each.state === 'alive' && each.pid !== pid),
    );
    // Until the new intake listens a registrar cannot connect, or hears 421: it comes again.
    const [again] = await until(
      () => send(on.smtpPort, [`Subject: after ${victim}\r\n\r\n`]).catch(() => ['']),
      ([first = '']) => first.startsWith('250'),
    );
    tickets.push(/queued as (\S+)/.exec(again)![1]!);
  }
  assert.deepEqual(
    tickets,
    tickets.map((_, i) => ticketOf(i + 1)),
  );
  await sink.until(() => new Set(sink.taken.map((each) => each.ticket)).size === tickets.length);
  assert.equal((await verb(on, 'verify')).code, 0);
  assert.equal(await on.stop(), 0);
});

test('when the supervisor is killed its stages leave, and the next daemon takes over at once', async (t) => {
  const on = await daemon(t);
  await send(on.smtpPort, ['Subject: one\r\n\r\n']);
  const { stages } = await status(on);
  assert.equal(stages.length, 3);
  const gone = new Promise((resolve) => on.process.once('exit', resolve));
  on.process.kill('SIGKILL');
  await gone;
  const [file, args] = seawall('serve');
  const next = spawn(file, args, { env: on.environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  next.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const nextGone = new Promise((resolve) => next.once('exit', resolve));
  atEnd(t, async () => {
    next.kill('SIGTERM');
    await nextGone;
  });
  const ready = new Promise<void>((resolve) =>
    next.stdout.on('data', (chunk: Buffer) => chunk.includes('Seawall is running') && resolve()),
  );
  await Promise.race([ready, nextGone.then((code) => assert.fail(`the next daemon ended with ${String(code)}`))]);
  assert.match((await send(on.smtpPort, ['Subject: two\r\n\r\n']))[0]!, /SW-000000002-/);
  assert.equal(printed, '', 'the banner is for terminals: here the log says it');
});

test('a second daemon on the same spool refuses with a clear sentence', async (t) => {
  const on = await daemon(t);
  for (const args of [['serve'], ['serve', 'intake'], ['serve', 'acknowledge'], ['serve', 'deliver']]) {
    const [file, all] = seawall(...args);
    const environment = { ...on.environment, SEAWALL_SMTP_PORT: '0', SEAWALL_SOAP_PORT: '0', SEAWALL_ADMIN_PORT: '0' };
    const refused = await run(file, all, { env: environment }).catch(
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    );
    assert.ok('code' in refused && refused.code === 75, args.join(' '));
    assert.match(
      refused.stderr + refused.stdout,
      /The spool .* is in use: its \w+ is process \d+ on .* Stop that one first, or choose another spool/,
    );
  }
  assert.match((await send(on.smtpPort, ['Subject: still here\r\n\r\n']))[0]!, /^250 /);
});

test('a damaged deliver journal keeps nobody from sending: health, the log and the exit code say so, and SIGHUP tries again', async (t) => {
  const spool = await temporaryFolder(t);
  const journal = join(spool, 'deliver.journal');
  // A line that is not whole, before one that is: no torn write leaves that.
  const damaged = `0000000000000000 []\n${hash('sha256', '[]').slice(0, 16)} []\n`;
  await writeFile(journal, damaged);
  const on = await daemon(t, { SEAWALL_SPOOL_DIR: spool });
  const health = async () => {
    const response = await fetch(`http://127.0.0.1:${on.adminPort}/health`);
    return { code: response.status, body: (await response.json()) as { stages: { stage: string; state: string }[] } };
  };
  assert.match((await send(on.smtpPort, ['Subject: taken\r\n\r\n']))[0]!, /^250 .*SW-000000001-/);
  const { code, body } = await health();
  assert.equal(code, 503);
  assert.deepEqual(
    body.stages.map(({ stage, state }) => `${stage} ${state}`),
    ['intake working', 'acknowledge working', 'deliver given up'],
  );
  assert.match(on.log(), /stage given up: its journal or the log is damaged: run seawall verify/);
  assert.match((await verb(on, 'status')).stdout, /^PROBLEM +deliver\.journal: line 1 is damaged/m);
  await rm(journal);
  on.process.kill('SIGHUP');
  await until(
    () => health(),
    (said) => said.code === 200,
  );
  await writeFile(journal, damaged);
  assert.equal((await verb(on, 'status')).code, 0);
  process.kill((await status(on)).stages.find(({ stage }) => stage === 'deliver')!.pid, 'SIGKILL');
  await until(
    () => health(),
    (said) => said.body.stages[2]?.state === 'given up',
  );
  assert.match((await send(on.smtpPort, ['Subject: taken too\r\n\r\n']))[0]!, /^250 .*SW-000000002-/);
  assert.equal(await on.stop(), 65);
});

test('a damaged acknowledge journal keeps nobody from sending, and nobody from pulling', async (t) => {
  const spool = await temporaryFolder(t);
  const whole = hash('sha256', '[]').slice(0, 16);
  await writeFile(join(spool, 'acknowledge.journal'), `0000000000000000 []\n${whole} []\n`);
  const on = await daemon(t, { SEAWALL_SPOOL_DIR: spool });
  assert.match((await send(on.smtpPort, ['Subject: taken\r\n\r\n']))[0]!, /^250 /);
  const { stages } = (await (await fetch(`http://127.0.0.1:${on.adminPort}/health`)).json()) as {
    stages: { stage: string; state: string }[];
  };
  assert.deepEqual(
    stages.map(({ state }) => state),
    ['working', 'given up', 'working'],
  );
});

/** Leaves what a daemon in another container leaves when it is killed: a lock, and a holder of whom we cannot know whether he lives. */
async function heldElsewhere(
  t: TestContext,
  holder: ProcessIdentity = { ...nodeRuntime.processes.self(), pid: 1, pidNamespace: 'pid:[1]' },
): Promise<string> {
  const spool = await temporaryFolder(t);
  await writeFile(
    join(spool, 'serve.epoch'),
    `${JSON.stringify({ epoch: 1, nonce: '0123456789abcdef', holder, since: '2026-11-21T09:00:00.000Z' })}\n`,
  );
  await mkdir(join(spool, 'serve.lock'));
  return spool;
}

test('a daemon in another pid namespace waits for the lock of one that was killed, and takes over', async (t) => {
  const on = await daemon(t, { SEAWALL_SPOOL_DIR: await heldElsewhere(t) });
  assert.match((await send(on.smtpPort, ['Subject: taken over\r\n\r\n']))[0]!, /^250 /);
});

test('a daemon in another pid namespace says with exit code 75 that one still holds the spool', async (t) => {
  const spool = await heldElsewhere(t);
  const renewing = setInterval(() => void utimes(join(spool, 'serve.lock'), new Date(), new Date()), 500);
  atEnd(t, async () => clearInterval(renewing));
  const refused = await verb({ environment: { ...process.env, SEAWALL_SPOOL_DIR: spool } }, 'serve');
  assert.equal(refused.code, 75);
  assert.match(refused.stderr, /is in use/);
});

test('a daemon whose clock is an hour ahead displaces none that is well: its lock looks left behind, and is being renewed', async (t) => {
  const spool = await heldElsewhere(t, nodeRuntime.processes.self());
  const lock = join(spool, 'serve.lock');
  const renew = (): Promise<void> => {
    const hourAgo = new Date(Date.now() - 3_600_000);
    return utimes(lock, hourAgo, hourAgo);
  };
  await renew();
  const renewing = setInterval(() => void renew(), 500);
  atEnd(t, async () => clearInterval(renewing));
  const refused = await verb({ environment: { ...process.env, SEAWALL_SPOOL_DIR: spool } }, 'serve');
  assert.equal(refused.code, 75);
  assert.match(refused.stderr, /is in use: its serve is process/);
});

test('a daemon whose serve.lock is removed takes it again; one whose spool is moved ends with 65, in words', async (t) => {
  const spool = join(await temporaryFolder(t), 'spool');
  const on = await daemon(t, { SEAWALL_SPOOL_DIR: spool });
  await rm(join(spool, 'serve.lock'), { recursive: true });
  await until(
    () => readdir(spool),
    () => on.log().includes('the spool is held again'),
  );
  assert.match((await send(on.smtpPort, ['Subject: still here\r\n\r\n']))[0]!, /^250 /);
  await rename(spool, `${spool}-moved`);
  const [code] = (await once(on.process, 'exit')) as [number];
  assert.equal(code, 65);
  assert.match(on.log(), /(?:was moved or removed while it was in use|was removed, replaced or moved)/);
});

test('mistakes in the configuration end the daemon at once, in words', async (t) => {
  const folder = await temporaryFolder(t);
  const broken = join(folder, 'templates');
  await mkdir(join(broken, 'en'), { recursive: true });
  const file = join(folder, 'seawall.toml');
  const cases: [Record<string, string>, string, RegExp][] = [
    [{ SEAWALL_SMTP_PORT: 'many' }, '', /SEAWALL_SMTP_PORT wants a whole number/],
    [{}, '[smtp]\nprot = 25\n', /unknown key "smtp\.prot"/],
    [{ SEAWALL_TEMPLATES_DIR: broken }, '', /template/],
    [
      { SEAWALL_SMTP_TLS_CERTIFICATE: '/nowhere', SEAWALL_SMTP_TLS_KEY: '/nowhere' },
      '',
      /smtp\.tls_certificate: \/nowhere cannot be read/,
    ],
    [{ SEAWALL_SPOOL_DIR: join(file, 'below') }, '', /The spool .*below cannot be used: .*spool\.dir/],
  ];
  for (const [settings, toml, pattern] of cases) {
    await writeFile(file, toml);
    const [node, args] = seawall('serve', '--config', file);
    const ports = {
      SEAWALL_SMTP_PORT: '0',
      SEAWALL_SOAP_PORT: '0',
      SEAWALL_ADMIN_PORT: '0',
      SEAWALL_SPOOL_DIR: join(folder, 'spool'),
    };
    const ended = await run(node, args, { env: { ...process.env, ...ports, ...settings }, timeout: 20_000 }).catch(
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    );
    assert.ok('code' in ended && ended.code > 0, String(pattern));
    assert.match(ended.stderr + ended.stdout, pattern);
  }
});

test('health and status answer over HTTP', async (t) => {
  const on = await daemon(t);
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${on.adminPort}${path}`);
    return {
      code: response.status,
      body: (await response.json()) as { ok?: boolean; stages?: { state: string }[]; kept?: number },
    };
  };
  const health = await get('/health');
  assert.deepEqual(
    [health.code, health.body.ok, health.body.stages!.map((each) => each.state)],
    [200, true, ['working', 'working', 'working']],
  );
  assert.equal((await get('/status')).body.kept, 0);
  assert.equal((await get('/nowhere')).code, 404);
});

test('Postfix relays to it, exactly but for the header that a relay adds', async (t) => {
  if (!(await has(t, ['postconf', '-d', 'mail_version']))) return;
  if (process.getuid?.() !== 0) return t.skip('Postfix can only be started by root: this is NOT tested');
  const on = await daemon(t, {}, 'intake');
  const postfix = await startPostfix({
    default_transport: 'relay',
    relayhost: `[127.0.0.1]:${on.smtpPort}`,
    smtp_host_lookup: 'native',
  });
  atEnd(t, () => postfix.stop());
  const body = 'Subject: through Postfix\r\n\r\n.a dot\r\n>From quoted\r\nFrom bare\r\n';
  await send(postfix.port, [body, body]);
  const views = await until(
    () => verb(on, 'list', '--json'),
    ({ stdout }) => stdout.trim().split('\n').length === 2,
  );
  assert.match(views.stdout, /"sequence":2/);
  const kept = (await verb(on, 'cat', '1')).stdout;
  assert.match(kept, /^Received: from /);
  assert.ok(kept.endsWith('\r\n.a dot\r\n>From quoted\r\nFrom bare\r\n'));
});

test('words on the command line that mean nothing end with a hint and exit code 64', async () => {
  for (const [args, pattern] of [
    [['sevre'], /no verb "sevre"/],
    [['serve', 'soap'], /the stages are intake, acknowledge, deliver/],
    [['cat'], /cat wants a sequence number or a ticket/],
    [['cat', 'SW-000000001-X'], /the check character of SW-000000001-X is wrong/],
    [['cat', 'SW-1'], /such as SW-000000123-/],
    [['status', '--from', '1'], /status does not take --from/],
    [['list', '--since', 'noon'], /--since wants a time/],
    [['list', '--nonsense'], /See seawall --help/],
  ] as const) {
    const [file, all] = seawall(...args);
    const ended = await run(file, all).catch((error: unknown) => error as { code: number; stderr: string });
    assert.ok('code' in ended && ended.code === 64, args.join(' '));
    assert.match(ended.stderr, pattern);
  }
  const [file, all] = seawall('--help');
  assert.match((await run(file, all)).stdout, /usage: seawall VERB/);
});
