// What a process of ours does when somebody signals it, and when nobody reads what it says any more.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { seawall, startDaemon } from '../../loadtest/daemon.ts';
import { freePort } from '../../loadtest/postfix.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { run } from '../support/tools.ts';
import { until, verb } from '../support/verbs.ts';

test('SIGUSR1 opens no inspector, in no process of the daemon', async (t) => {
  const on = await startDaemon();
  atEnd(t, () => on.stop());
  const { stdout } = await verb(on, 'status', '--json');
  const { stages } = JSON.parse(stdout) as { stages: { pid: number }[] };
  const pids = [on.process.pid!, ...stages.map(({ pid }) => pid)];
  assert.equal(pids.length, 4);
  for (const pid of pids) process.kill(pid, 'SIGUSR1');
  // The inspector's port, 9229, in the table of those who listen, where Node would be within milliseconds.
  await verb(on, 'status');
  for (const pid of pids) assert.doesNotMatch(await readFile(`/proc/${pid}/net/tcp`, 'latin1'), /0100007F:240D .* 0A /);
  assert.doesNotMatch(on.log(), /Debugger listening/);
  assert.equal(await on.stop(), 0);
});

/** A daemon whose output goes where a test wants it; ready when it takes mail. */
async function daemonInto(t: TestContext, output: string): Promise<{ child: ChildProcess; smtpPort: number }> {
  const [smtpPort, adminPort] = [await freePort(), await freePort()];
  const env = {
    ...process.env,
    SEAWALL_CONFIG: '',
    SEAWALL_SPOOL_DIR: await temporaryFolder(t),
    SEAWALL_TEMPLATES_DIR: join(import.meta.dirname, '../../templates'),
    SEAWALL_SMTP_PORT: String(smtpPort),
    SEAWALL_SOAP_PORT: '0',
    SEAWALL_ADMIN_PORT: String(adminPort),
    SEAWALL_LOG_FORMAT: 'json',
  };
  const [file, args] = seawall('serve');
  const out = openSync(output, 'w');
  const child = spawn(file, args, { env, stdio: ['ignore', out, 'ignore'] });
  closeSync(out);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  atEnd(t, async () => {
    child.kill('SIGKILL');
    await gone;
  });
  await until(
    () =>
      fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
        ({ status }) => status,
        () => 0,
      ),
    (status) => status === 200,
  );
  return { child, smtpPort };
}

/** Has every stage say something, then ends the daemon. Gives its exit code. */
async function codeAfterMail({ child, smtpPort }: { child: ChildProcess; smtpPort: number }): Promise<number | null> {
  const smtp = new SmtpClient(smtpPort);
  await smtp.hello();
  assert.match(await smtp.send('Subject: nobody reads the log\r\n\r\n'), /^250 /);
  await smtp.say('QUIT');
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  return ended;
}

test('a daemon whose log nobody reads any more takes mail and stops in order', async (t) => {
  const fifo = join(await temporaryFolder(t), 'log');
  await run('mkfifo', [fifo]);
  const reader = spawn('cat', [fifo], { stdio: 'ignore' });
  const on = await daemonInto(t, fifo);
  reader.kill('SIGKILL');
  await new Promise((resolve) => reader.once('close', resolve));
  assert.equal(await codeAfterMail(on), 0);
});

test('a daemon whose log cannot be written takes mail and stops in order', async (t) => {
  assert.equal(await codeAfterMail(await daemonInto(t, '/dev/full')), 0);
});
