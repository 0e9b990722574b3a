// Rehearsal mode, as real processes: it is said wherever anybody looks, and its spool and the day's are never mixed up.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, seawall, startDaemon } from '../../loadtest/daemon.ts';
import { makeConfig } from '../../src/config/config.ts';
import { call } from '../support/deliver.ts';
import { MailSink } from '../support/mail-sink.ts';
import { tool } from '../support/rehearsal.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';

const message = 'Subject: create\r\n\r\n2a..: a.example\r\n';

async function daemon(t: TestContext, settings: Record<string, string>, stage?: string): Promise<Daemon> {
  const started = await startDaemon(stage, settings);
  atEnd(t, () => started.stop());
  return started;
}

/** Runs the program; gives its exit code and what it said. */
function seawallSays(environment: NodeJS.ProcessEnv, ...words: string[]): Promise<{ code: number; said: string }> {
  const [file, args] = seawall(...words);
  return new Promise((resolve) => {
    execFile(file, args, { env: environment, timeout: 20_000 }, (error, out, err) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, said: out + err }),
    );
  });
}

/** Everything in a folder, by name. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((each) => each.isFile());
  const read = names.map(async ({ name, parentPath }) => {
    const path = join(parentPath, name);
    return [path, await readFile(path, 'latin1')] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}

const dirOf = (settings: Record<string, string>): string => makeConfig(undefined, settings).spool.dir;

test('a rehearsal has a spool of its own', () => {
  const rehearsal = { SEAWALL_SERVE_REHEARSAL: 'true' };
  assert.equal(dirOf({}), './spool');
  assert.equal(dirOf(rehearsal), './spool-rehearsal');
  assert.equal(dirOf({ ...rehearsal, SEAWALL_SPOOL_DIR: '/var/spool/seawall/' }), '/var/spool/seawall-rehearsal');
  assert.equal(dirOf({ ...rehearsal, SEAWALL_SPOOL_REHEARSAL_DIR: '/srv/try' }), '/srv/try');
  assert.equal(dirOf({ SEAWALL_SPOOL_REHEARSAL_DIR: '/srv/try' }), './spool');
});

test('a rehearsal says so in the greeting, the reply, the mailbox, the mail, to the registry, in status and in the log', async (t) => {
  const sink = await MailSink.open();
  atEnd(t, () => sink.close());
  const on = await daemon(t, {
    SEAWALL_SERVE_REHEARSAL: 'true',
    SEAWALL_ACK_RELAYS: sink.url,
    SEAWALL_OPENING_PHASES: '2020-12-01T09:00 Europe/Paris a-f',
    SEAWALL_OPENING_CLOCK: 'ignore',
  });
  const smtp = new SmtpClient(on.smtpPort);
  assert.match(await smtp.reply(), /^220 localhost ESMTP Seawall REHEARSAL$/);
  assert.match(await smtp.say('EHLO client.example'), /^250-localhost REHEARSAL/);
  assert.match(await smtp.send(message), /^250 2\.0\.0 Ok: queued as SW-000000001-\S \(rehearsal\)$/);
  assert.match(await smtp.send(message), /^250 2\.0\.0 Ok: queued as SW-000000001-\S \(already kept\) \(rehearsal\)$/);
  await smtp.say('QUIT');

  await sink.until(() => sink.taken.length > 0);
  const mail = sink.taken[0]?.text ?? '';
  assert.match(mail, /^Subject: \[REHEARSAL\] /m);
  assert.match(mail, /^Seawall-Rehearsal: yes\r$/m);
  assert.match(mail, /^Seawall-Phase: a-f\r$/m);

  const soap = `http://127.0.0.1:${on.soapPort}/soap`;
  assert.match((await call(soap, 'Hello', { clientId: 'c' })).text, /<rehearsal>true<\/rehearsal><\/HelloResponse>/);
  const { text } = await call(soap, 'Fetch', { clientId: 'c', attemptId: '1', max: 1 });
  assert.match(text, /<phase>a-f<\/phase><rehearsal>true<\/rehearsal><\/request>/);
  assert.match(text, /<\/oldestReceivedAt><rehearsal>true<\/rehearsal><\/FetchResponse>/);

  const box = await readFile(join(on.spool, 'mailboxes/000000000001.mbox'), 'latin1');
  assert.match(box, /^Seawall-Rehearsal: yes$/m);
  const status = await seawallSays(on.environment, 'status');
  assert.match(status.said, /^REHEARSAL        nothing in this spool counts\n/);
  assert.match(status.said, /^Opening          Open since 2020-12-01 09:00:00 \+01:00, phase 1 of 1: a-f$/m);
  assert.match((await seawallSays(on.environment, 'verify')).said, /this is a rehearsal's log.*\n.*all is well/);
  assert.match(on.log(), /Seawall is running: REHEARSAL/);
  assert.match(on.log(), /"stage":"supervisor".*REHEARSAL: nothing that is kept here counts/);
});

test('in earnest nothing says rehearsal, and a flood refuses to go there unless it is told to', async (t) => {
  const on = await daemon(t, { SEAWALL_ACK_ENABLED: 'false' });
  const smtp = new SmtpClient(on.smtpPort);
  assert.equal(await smtp.reply(), '220 localhost ESMTP Seawall');
  await smtp.say('EHLO client.example');
  assert.match(await smtp.send(message), /queued as SW-000000001-\S$/);
  await smtp.say('QUIT');
  const soap = `http://127.0.0.1:${on.soapPort}/soap`;
  for (const [name, more] of [
    ['Hello', {}],
    ['Fetch', { attemptId: '1', max: 1 }],
  ] as const) {
    assert.doesNotMatch((await call(soap, name, { clientId: 'c', ...more })).text, /rehearsal/i);
  }
  const notes = join(await temporaryFolder(t), 'flood.notes');
  const flood = ['--target', String(on.smtpPort), '--profile', 'storm', '--count', '3', '--notes', notes];
  const refused = await tool('flood', ...flood);
  assert.equal(refused.code, 64, refused.said);
  assert.match(refused.said, /does not say REHEARSAL.*serve\.rehearsal.*--not-a-rehearsal\. Nothing was sent/);
  assert.match((await seawallSays(on.environment, 'status')).said, /^Kept             1 requests/m);
  assert.equal((await tool('flood', ...flood, '--not-a-rehearsal')).code, 0);
  const after = await seawallSays(on.environment, 'status');
  assert.match(after.said, /^Kept             4 requests/m);
  assert.doesNotMatch(after.said, /REHEARSAL/);
});

for (const [kind, other, words] of [
  ['true', 'false', /is a rehearsal's \(log rehearsal-.*\): nothing real may be kept in it\. Set spool\.dir/],
  ['false', 'true', /holds the day's requests \(log .*\): no rehearsal may write to it\. Set spool\.rehearsal_dir/],
] as const) {
  test(`a spool begun with serve.rehearsal = ${kind} is not opened with ${other}: exit 78, and not a byte is changed`, async (t) => {
    const spool = await mkdtemp(join(tmpdir(), 'seawall-spool-'));
    atEnd(t, () => rm(spool, { recursive: true, force: true }));
    const on = await daemon(t, {
      SEAWALL_SPOOL_DIR: spool,
      SEAWALL_SPOOL_REHEARSAL_DIR: spool,
      SEAWALL_SERVE_REHEARSAL: kind,
    });
    const smtp = new SmtpClient(on.smtpPort);
    await smtp.hello();
    assert.match(await smtp.send(message), /^250 /);
    await smtp.say('QUIT');
    assert.equal(await on.stop(), 0);
    const before = await contents(spool);
    assert.ok(Object.keys(before).length > 3);
    for (const stage of [[], ['intake'], ['acknowledge'], ['deliver']]) {
      const { code, said } = await seawallSays(
        { ...on.environment, SEAWALL_SERVE_REHEARSAL: other },
        'serve',
        ...stage,
      );
      assert.equal(code, 78, said);
      assert.match(said, words, stage.join());
      assert.deepEqual(await contents(spool), before, stage.join());
    }
    // Looking is allowed, and says what it is.
    const { said } = await seawallSays({ ...on.environment, SEAWALL_SERVE_REHEARSAL: other }, 'status');
    assert.equal(said.startsWith('REHEARSAL'), kind === 'true');
  });
}
