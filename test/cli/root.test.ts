// Root's verbs beside a daemon of another user: what root writes is the daemon's to use, or is not written.

import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { seawall, startDaemon } from '../../loadtest/daemon.ts';
import { MailSink } from '../support/mail-sink.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { has, run } from '../support/tools.ts';
import { until, verb } from '../support/verbs.ts';

/** A user of this machine that is not root. */
const other = 65_534;

/** A spool folder of another user; undefined, with a word, when we are not root. */
async function foreignSpool(t: TestContext): Promise<string | undefined> {
  if (process.geteuid?.() !== 0) {
    t.skip('only root can have a daemon of another user: this is NOT tested');
    return undefined;
  }
  if (!(await has(t, ['setpriv', '--version']))) return undefined;
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  const spool = join(folder, 'spool');
  await mkdir(spool, { mode: 0o750 });
  await chown(spool, other, other);
  return spool;
}

const asOther = ['setpriv', '--reuid', String(other), '--regid', String(other), '--clear-groups'];

/** Owner, group and permissions of a file. */
async function accessOf(file: string): Promise<unknown[]> {
  const { uid, gid, mode } = await stat(file);
  return [uid, gid, (mode & 0o777).toString(8)];
}

/** Everything in a folder that is not the other user's. */
async function notTheirs(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const all = await Promise.all(names.map(async (name) => ({ name, uid: (await stat(join(folder, name))).uid })));
  return all.flatMap(({ name, uid }) => (uid === other ? [] : [name]));
}

test('what root asks for beside a daemon of another user is granted, and leaves nothing of root', async (t) => {
  const spool = await foreignSpool(t);
  if (spool === undefined) return;
  const sink = await MailSink.open();
  atEnd(t, () => sink.close());
  sink.answer = () => ({ code: 550, text: '5.1.1 no such user' });
  const settings = { SEAWALL_SPOOL_DIR: spool, SEAWALL_ACK_RELAYS: sink.url };
  const on = await startDaemon(undefined, settings, { under: asOther });
  atEnd(t, () => on.stop());
  const smtp = new SmtpClient(on.smtpPort);
  await smtp.hello();
  assert.match(await smtp.send('Subject: one\r\n\r\n2a..: one.example\r\n'), /^250 /);
  await smtp.say('QUIT');
  const failed = () => verb(on, 'acks', 'list', '--json', '--state', 'failed');
  await until(failed, ({ stdout }) => stdout !== '');
  sink.answer = () => undefined;
  const { stdout, code } = await verb(on, 'acks', 'retry', '1');
  assert.deepEqual([code, /tried again now/.test(stdout)], [0, true]);
  await until(failed, ({ stdout: left }) => left === '');
  assert.equal((await verb(on, 'verify')).code, 0);
  assert.deepEqual(await notTheirs(spool), []);
});

test('root is refused a daemon on a spool of another user, in words, and leaves nothing there', async (t) => {
  const spool = await foreignSpool(t);
  if (spool === undefined) return;
  for (const stage of [[], ['intake'], ['acknowledge'], ['deliver']]) {
    const environment = { ...process.env, SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: spool };
    const { stderr, code } = await verb({ environment }, 'serve', ...stage);
    assert.equal(code, 78);
    assert.match(stderr, /belongs to user 65534, and this is root/);
  }
  assert.deepEqual(await readdir(spool), []);
});

test('a password that root sets leaves the file to whom it belongs', async (t) => {
  const spool = await foreignSpool(t);
  if (spool === undefined) return;
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  const [clients, book, fresh] = [join(folder, 'clients'), join(folder, 'book.toml'), join(folder, 'fresh')];
  await writeFile(clients, '# who may call\n');
  await writeFile(book, '[[registrar]]\nid = "tag"\nname = "Tag Ltd"\n');
  for (const file of [clients, book]) {
    await chown(file, 0, other);
    await chmod(file, 0o660);
  }
  const passwd = async (file: string, under: string[], ...words: string[]): Promise<string> => {
    const [node, args] = seawall('passwd', ...words);
    const settings = { SEAWALL_SOAP_CLIENTS: file, SEAWALL_REGISTRARS_FILE: book, SEAWALL_SPOOL_DIR: spool };
    const [program = '', ...rest] = [...under, node, ...args];
    const done = run(program, rest, { env: { ...process.env, SEAWALL_CONFIG: '', ...settings } });
    done.child.stdin?.end('long enough\n');
    return done.then(
      ({ stdout }) => stdout,
      (error: { stderr: string }) => error.stderr,
    );
  };
  assert.match(await passwd(clients, [], 'backend'), /is set in/);
  assert.match(await passwd(clients, [], '--registrar', 'tag'), /is set in/);
  assert.deepEqual(
    [await accessOf(clients), await accessOf(book)],
    [
      [0, other, '660'],
      [0, other, '660'],
    ],
  );
  // One that is not there yet must be readable for the daemon all the same.
  assert.match(await passwd(fresh, [], 'backend'), /is set in/);
  assert.deepEqual(await accessOf(fresh), [other, other, '640']);
  // Who may write the folder but not give files away is told so, and changes nothing.
  await chown(folder, other, other);
  const before = await readFile(clients, 'utf8');
  assert.match(await passwd(clients, asOther, 'office'), /belongs to user 0.*Run passwd as root/);
  assert.equal(await readFile(clients, 'utf8'), before);
  assert.deepEqual((await readdir(folder)).toSorted(), ['book.toml', 'clients', 'fresh']);
});
