// A copy of a spool is to be looked at, and gives no numbers that its original gives too.

import assert from 'node:assert/strict';
import { cp, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon } from '../../loadtest/daemon.ts';
import { call, valueOf } from '../support/deliver.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { until, verb } from '../support/verbs.ts';

const settings = (spool: string): Record<string, string> => ({
  SEAWALL_SPOOL_DIR: spool,
  SEAWALL_ACK_ENABLED: 'false',
});

/** What is just being replaced is no part of a spool. */
const isFinished = (path: string): boolean => !path.endsWith('.new');

async function queued(port: number, subject: string): Promise<string> {
  const smtp = new SmtpClient(port);
  await smtp.reply();
  await smtp.say('EHLO client.example');
  const reply = await smtp.send(`Subject: ${subject}\r\n\r\n2a..: a.example\r\n`);
  await smtp.say('QUIT');
  return /SW-\S+/.exec(reply)?.[0] ?? reply;
}

test('a copied spool can be read beside the running original, and goes on only when told', async (t) => {
  const folder = await temporaryFolder(t);
  const [original, copy] = [join(folder, 'original'), join(folder, 'copy')];
  const first = await startDaemon(undefined, settings(original));
  atEnd(t, () => first.stop());
  const ticket = await queued(first.smtpPort, 'one');
  await cp(original, copy, { recursive: true, preserveTimestamps: true, filter: isFinished });
  const environment = { ...first.environment, SEAWALL_SPOOL_DIR: copy };

  // As long as nobody says otherwise it is for auditors.
  const refused = await verb({ environment }, 'serve');
  assert.equal(refused.code, 78, refused.stderr);
  assert.match(refused.stderr, /The spool .*copy is a copy.*serve --restored/);
  assert.equal((await verb({ environment }, 'serve', 'intake')).code, 78);
  assert.match((await verb({ environment }, 'list')).stdout, new RegExp(ticket));
  assert.match((await verb({ environment }, 'verify')).stdout, /^1 requests .* all is well$/m);
  assert.match((await verb({ environment }, 'cat', '1')).stdout, /^Subject: one/);
  const look = (await verb({ environment }, 'status')).stdout;
  assert.match(look, /^Spool .*a COPY of a spool/m);
  assert.match(look, /^Stages +none/m);
  assert.match((await verb(first, 'status')).stdout, /^Spool [^;]*$/m);

  const audit = join(folder, 'audit');
  for (const name of ['durable', 'mailboxes', 'log-id'])
    await cp(join(original, name), join(audit, name), { recursive: true });
  assert.equal((await verb({ environment: { ...environment, SEAWALL_SPOOL_DIR: audit } }, 'serve')).code, 78);

  // The original is gone for good.
  await first.stop({ keepSpool: true });
  const second = await startDaemon('--restored', settings(copy), { ready: 'Seawall is running' });
  atEnd(t, () => second.stop());
  assert.match(await queued(second.smtpPort, 'two'), /^SW-000000002-/);
  // A stage's lines may come behind the supervisor's.
  await until(
    async () => second.log(),
    (log) => /"after":1,.*this log went on from a copy/.test(log),
  );
  const hello = (await call(`http://127.0.0.1:${second.soapPort}/soap`, 'Hello', { clientId: 'c' })).text;
  assert.equal(valueOf(hello, 'restoredAfter'), '1');
  assert.match(valueOf(hello, 'restoredAt') ?? '', /^\d{4}-/);
  assert.match((await verb(second, 'status')).stdout, /^Spool .*went on from a copy at \d{4}-.*, behind request 1$/m);
  await second.stop();

  // From now on it is a spool like every other, also when it is moved.
  const moved = join(folder, 'moved');
  await rename(copy, moved);
  const third = await startDaemon(undefined, settings(moved));
  atEnd(t, () => third.stop());
  assert.match(await queued(third.smtpPort, 'three'), /^SW-000000003-/);
});
