// A verb says which configuration and which spool it looks at, and does not take a spool that is not there for an empty one.

import assert from 'node:assert/strict';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AckEvent } from '../../src/acknowledge/journal/ack-events.ts';
import { AckState } from '../../src/acknowledge/journal/ack-state.ts';
import { makeConfig } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { verifySpool } from '../../src/operate/spool-views.ts';
import { lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { openJournalFile } from '../../src/spool/journal-file.ts';
import { request } from '../support/memory.ts';
import { openWriter, temporaryFolder } from '../support/spool.ts';
import { verb } from '../support/verbs.ts';

const missing = Object.assign(new Error('ENOENT: no such file or directory'), { code: 'ENOENT' });

/** A disk with these files only. */
const diskOf = (files: Record<string, string>) => ({
  async readFile(path: string): Promise<Buffer> {
    const text = files[path];
    if (text === undefined) throw missing;
    return Buffer.from(text);
  },
});

test('without a name the configuration in /etc/seawall is taken, if there is one; a file that is named must be there', async () => {
  const files = { '/etc/seawall/seawall.toml': '[smtp]\nport = 26\n', '/b.toml': '[smtp]\nport = 27\n' };
  const found = async (
    ...[named, environment, disk = files]: [string?, Record<string, string>?, Record<string, string>?]
  ) => {
    const { config, origin } = await loadConfig(diskOf(disk), named, environment ?? {});
    return [config.smtp.port, origin];
  };
  assert.deepEqual(await found(), [26, '/etc/seawall/seawall.toml']);
  assert.deepEqual(await found(undefined, { SEAWALL_CONFIG: '/b.toml' }), [27, '/b.toml']);
  assert.deepEqual(await found('/b.toml', { SEAWALL_CONFIG: '/c.toml' }), [27, '/b.toml']);
  assert.deepEqual(await found(undefined, { SEAWALL_CONFIG: '' }), [2525, 'none (SEAWALL_CONFIG is empty)']);
  assert.match(
    String((await found(undefined, {}, {}))[1]),
    /^none \(no --config, no SEAWALL_CONFIG, and no \/etc\/seawall/,
  );
  await assert.rejects(found('/c.toml'), /The configuration file \/c\.toml cannot be read/);
});

test('a verb on a spool that is not there, or on an empty folder, names folder and configuration, and ends with 78', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'seawall.toml');
  const spool = join(folder, 'spool');
  await writeFile(file, `[spool]\ndir = ${JSON.stringify(spool)}\n`);
  const environment = { ...process.env, SEAWALL_CONFIG: file };
  const verbs = ['status', 'list', 'cat 1', 'verify', 'acks list', 'acks show 1', 'acks retry --all', 'acks preview 1'];
  const refuse = async (why: string): Promise<void> => {
    for (const words of verbs) {
      const { stdout, stderr, code } = await verb({ environment }, ...words.split(' '));
      assert.deepEqual([code, stdout], [78, ''], words);
      assert.ok(stderr.includes(`the folder ${spool} ${why}`) && stderr.includes(file), stderr);
    }
  };
  await refuse('does not exist');
  await mkdir(spool);
  await refuse('is empty');
  await openWriter(t, spool);
  const { stdout, code } = await verb({ environment }, 'status');
  assert.equal(code, 0);
  assert.ok(stdout.includes(file) && stdout.includes(spool));
  assert.match((await verb({ environment }, 'list')).stdout, new RegExp(`No requests in ${spool}\\.`));
});

test('what the example clients take from the environment disturbs no verb', async () => {
  const environment = { ...process.env, SEAWALL_CONFIG: '', REGISTRY_USER: 'backend', REGISTRY_PASSWORD: 'secret' };
  assert.equal((await verb({ environment }, 'acks', 'preview', '--sample', '--language', 'en')).code, 0);
});

test('after a power cut, before the next start, verify judges journals by what the next start will find', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  await writer.append([request('Subject: one\r\n\r\n'), request('Subject: two\r\n\r\n')]);
  await writer.close();
  const journal = await openJournalFile<AckEvent>(nodeRuntime, lockFiles, spool, 'acknowledge', new AckState());
  await journal.append([{ type: 'sent', ranges: [[1, 2]] }]);
  await journal.close();
  // The commit position is not synced: it may be older than the mailbox.
  await rm(join(spool, 'durable'));
  const config = makeConfig(undefined, { SEAWALL_SPOOL_DIR: spool });
  const { problems, requests } = await verifySpool(config, () => undefined);
  assert.deepEqual([problems, requests], [[], 2]);
});

test('a daemon does not start on a spool that everybody may write to', async (t) => {
  const spool = await temporaryFolder(t);
  await openWriter(t, spool);
  const environment = { ...process.env, SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: spool };
  for (const folder of [spool, join(spool, 'mailboxes')]) {
    await chmod(folder, 0o777);
    for (const words of [['serve'], ['serve', 'intake']]) {
      const { stderr, code } = await verb({ environment }, ...words);
      assert.deepEqual([code, stderr.includes(`chmod o-w ${folder}`)], [78, true], stderr);
    }
    await chmod(folder, 0o750);
  }
  // In a sticky folder nobody replaces another one's files. What is meant here is refused for another reason, later.
  await chmod(spool, 0o1777);
  const { stderr } = await verb({ environment: { ...environment, SEAWALL_SMTP_HOST: '192.0.2.1' } }, 'serve', 'intake');
  assert.doesNotMatch(stderr, /chmod/);
});
