import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DamagedLogError, FencedError, InUseError } from '../../src/model/errors.ts';
import { keepAlive, nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { DiskFile, Runtime } from '../../src/ports/runtime.ts';
import { type Locks, lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';
import { openReader } from '../../src/spool/mailbox/reader.ts';
import { verifyLog } from '../../src/spool/mailbox/verify.ts';
import { request } from '../support/memory.ts';
import { atEnd, largeMailboxes, openWriter, readAll, temporaryFolder } from '../support/spool.ts';

/** Locks that anybody gets: what is left when the lock has failed, as it does for a writer that was stopped for long. */
const brokenLocks: Locks = { staleMs: 10, acquire: async () => ({ release: async () => undefined }) };

test('a second writer is refused while the first lives, and told who holds the spool', async (t) => {
  const spool = await temporaryFolder(t);
  await openWriter(t, spool);
  await assert.rejects(openMailboxWriter(nodeRuntime, lockFiles, spool, largeMailboxes), (error: unknown) => {
    assert.ok(error instanceof InUseError);
    assert.match(error.message, new RegExp(`in use: its intake is process ${process.pid} `));
    return true;
  });
});

/** Renames a file that the next holder has just removed, as it does with all that others are about to rename. */
async function renameTooLate(from: string, to: string): Promise<void> {
  await rm(from);
  return nodeRuntime.disk.rename(from, to);
}

test('whoever is overtaken while it takes a lock does not give back the lock of the one that has it now', async (t) => {
  const spool = await temporaryFolder(t);
  let released = 0;
  const locks: Locks = { staleMs: 10, acquire: async () => ({ release: async () => void released++ }) };
  const overtaken = { ...nodeRuntime, disk: { ...nodeRuntime.disk, rename: renameTooLate } };
  await assert.rejects(openMailboxWriter(overtaken, locks, spool, largeMailboxes), FencedError);
  assert.equal(released, 0);
});

test('the lock that a killed writer left is taken over at once', async (t) => {
  const spool = await temporaryFolder(t);
  // A process that is gone: its pid and start time stand in the epoch file, its lock folder is fresh.
  const gone = spawn(process.execPath, ['-e', '']);
  const identity = { ...nodeRuntime.processes.self(), pid: gone.pid!, started: '1' };
  await new Promise((resolve) => gone.once('exit', resolve));
  await mkdir(join(spool, 'intake.lock'));
  const epoch = { epoch: 41, nonce: 'abcdef0123456789', holder: identity, since: new Date().toISOString() };
  await writeFile(join(spool, 'intake.epoch'), `${JSON.stringify(epoch)}\n`);
  const before = performance.now();
  const writer = await openWriter(t, spool);
  assert.ok(performance.now() - before < lockFiles.staleMs, 'it did not wait for the lock to go stale');
  assert.match(await readFile(join(spool, 'intake.epoch'), 'utf8'), /"epoch":42/);
  await writer.append([request('x\r\n')]);
});

test('a writer that another has replaced acknowledges nothing, damages nothing and leaves', async (t) => {
  const spool = await temporaryFolder(t);
  // The first writer is stopped in the middle of a write: its bytes are on the way when the second takes over.
  let stop: (() => void) | undefined;
  const resumed = new Promise<void>((resolve) => (stop = resolve));
  let reached: (() => void) | undefined;
  const stopped = new Promise<void>((resolve) => (reached = resolve));
  let armed = false;
  const wrap = (file: DiskFile): DiskFile => ({
    read: (into, position) => file.read(into, position),
    write: async (data, position) => {
      if (armed) {
        reached!();
        await resumed;
      }
      await file.write(data, position);
    },
    sync: () => file.sync(),
    size: () => file.size(),
    seal: () => file.seal(),
    isSealed: () => file.isSealed(),
    setAccess: (access) => file.setAccess(access),
    close: () => file.close(),
  });
  const slow: Runtime = {
    ...nodeRuntime,
    disk: { ...nodeRuntime.disk, open: async (path, mode) => wrap(await nodeRuntime.disk.open(path, mode)) },
  };
  const first = (await openMailboxWriter(slow, brokenLocks, spool, largeMailboxes)).writer;
  await first.append([request('Subject: one\r\n\r\n')]);
  armed = true;
  const late = first.append([request('Subject: late\r\n\r\n')]);
  await stopped;

  const second = (await openMailboxWriter(nodeRuntime, brokenLocks, spool, largeMailboxes)).writer;
  assert.deepEqual(await second.append([request('Subject: two\r\n\r\n')]), [2]);
  stop!();
  await assert.rejects(late, FencedError);
  assert.ok((await first.lost) instanceof FencedError);
  await assert.rejects(first.append([request('Subject: again\r\n\r\n')]), FencedError);
  await first.close();
  assert.deepEqual(await second.append([request('Subject: three\r\n\r\n')]), [3]);
  await second.close();
  const subjects = (await readAll(spool)).map((each) => each.message.toString('latin1').trim());
  assert.deepEqual(subjects, ['Subject: one', 'Subject: two', 'Subject: three']);
  assert.deepEqual((await verifyLog(nodeRuntime.disk, spool)).problems, []);
});

test('after a failed sync the writer never writes again, and gives no number', async (t) => {
  const spool = await temporaryFolder(t);
  let failing = false;
  let writes = 0;
  const runtime: Runtime = {
    ...nodeRuntime,
    disk: {
      ...nodeRuntime.disk,
      async open(path, mode) {
        const file = await nodeRuntime.disk.open(path, mode);
        if (!path.includes('.mbox')) return file;
        const sync = file.sync.bind(file);
        const write = file.write.bind(file);
        file.sync = async () => {
          if (failing) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
          return sync();
        };
        file.write = async (data, position) => {
          writes++;
          return write(data, position);
        };
        return file;
      },
    },
  };
  const { writer } = await openMailboxWriter(runtime, lockFiles, spool, largeMailboxes);
  await writer.append([request('Subject: one\r\n\r\n')]);
  failing = true;
  await assert.rejects(writer.append([request('Subject: two\r\n\r\n')]), /EIO/);
  failing = false;
  const before = writes;
  await assert.rejects(writer.append([request('Subject: three\r\n\r\n')]), /EIO/);
  assert.equal(writes, before);
  assert.match((await writer.lost).message, /EIO/);
  await writer.close();
  const next = await openWriter(t, spool);
  assert.deepEqual(await next.append([request('Subject: four\r\n\r\n')]), [next.lastSequence]);
  assert.deepEqual((await verifyLog(nodeRuntime.disk, spool)).problems, []);
});

test('a request whose outcome was unknown keeps its first number when it is appended again', async (t) => {
  const spool = await temporaryFolder(t);
  const [a, b] = [request('Subject: a\r\n\r\n'), request('Subject: b\r\n\r\n')];
  const first = (await openMailboxWriter(nodeRuntime, brokenLocks, spool, largeMailboxes)).writer;
  await first.append([a, b]);
  const second = (await openMailboxWriter(nodeRuntime, brokenLocks, spool, largeMailboxes)).writer;
  assert.deepEqual(await second.append([b, request('Subject: c\r\n\r\n'), a]), [2, 3, 1]);
  await second.close();
  await first.close();
  assert.equal((await readAll(spool)).length, 3);
});

test('a spool that was copied to another machine and started twice: each start is told apart', async (t) => {
  const spool = await temporaryFolder(t);
  const copy = join(await temporaryFolder(t), 'copy');
  const first = await openWriter(t, spool);
  await first.append([request('Subject: before\r\n\r\n')]);
  await first.close();
  await cp(spool, copy, { recursive: true });
  const elsewhere: Runtime = {
    ...nodeRuntime,
    processes: { ...nodeRuntime.processes, self: () => ({ ...nodeRuntime.processes.self(), host: 'another' }) },
  };
  const here = await openMailboxWriter(nodeRuntime, lockFiles, spool, largeMailboxes);
  const there = await openMailboxWriter(elsewhere, lockFiles, copy, largeMailboxes);
  assert.equal(Number.parseInt(here.epoch, 10), Number.parseInt(there.epoch, 10));
  assert.notEqual(here.epoch, there.epoch);
  assert.deepEqual(await here.writer.append([request('Subject: here\r\n\r\n')]), [2]);
  assert.deepEqual(await there.writer.append([request('Subject: there\r\n\r\n')]), [2]);
  await Promise.all([here.writer.close(), there.writer.close()]);
  const [ours, theirs] = await Promise.all([spool, copy].map((each) => verifyLog(nodeRuntime.disk, each)));
  assert.deepEqual([ours?.problems, theirs?.problems], [[], []]);
  assert.notEqual(ours?.chain, theirs?.chain);
});

test('every file of the log belongs to its owner only, finished mailboxes too', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool, { ...largeMailboxes, count: 1 });
  await writer.append([request('x\r\n'), request('y\r\n')]);
  assert.equal((await stat(join(spool, 'mailboxes/000000000001.mbox'))).mode & 0o777, 0o440);
  for (const name of ['durable', 'log-id', 'intake.epoch', 'mailboxes/000000000001.mbox']) {
    assert.equal((await stat(join(spool, name))).mode & 0o007, 0, name);
  }
});

test('an index or a file of fingerprints that cannot be written ends neither the writer nor a recovery', async (t) => {
  const spool = await temporaryFolder(t);
  const refused: string[] = [];
  const runtime: Runtime = {
    ...nodeRuntime,
    disk: {
      ...nodeRuntime.disk,
      async open(path, mode) {
        if (mode === 'read' || !/\.(?:idx|fpr)\b/.test(path)) return nodeRuntime.disk.open(path, mode);
        refused.push(path);
        throw Object.assign(new Error('ENOSPC: no space left on device, open'), { code: 'ENOSPC' });
      },
    },
  };
  const dead = { ...runtime, processes: { ...runtime.processes, state: () => 'dead' as const } };
  const open = (on: Runtime) => openMailboxWriter(on, lockFiles, spool, { ...largeMailboxes, count: 2 }, 86_400_000);
  const first = (await open(runtime)).writer;
  for (let n = 1; n <= 5; n++) assert.deepEqual(await first.append([request(`Subject: ${n}\r\n\r\n`)]), [n]);
  // As after a kill: the next writer recovers, and copies the last mailbox.
  const second = (await open(dead)).writer;
  atEnd(t, () => first.close().catch(() => undefined));
  assert.deepEqual(await second.append([request('Subject: 6\r\n\r\n')]), [6]);
  await second.close();
  assert.ok(refused.some((path) => path.includes('.idx')) && refused.some((path) => path.includes('.fpr')));
  assert.equal((await readAll(spool)).length, 6, 'each is found without an index');
  assert.deepEqual((await verifyLog(nodeRuntime.disk, spool)).problems, []);
});

for (const [what, vanish] of [
  ['removed', (path: string) => rm(path)],
  ['moved away', (path: string) => rename(path, `${path}.old`)],
  ['replaced by a copy', (path: string) => cp(path, `${path}.new`).then(() => rename(`${path}.new`, path))],
] as const) {
  test(`a newest mailbox that is ${what} while it is written to ends the writer before it acknowledges more`, async (t) => {
    const spool = await temporaryFolder(t);
    const writer = await openWriter(t, spool);
    await writer.append([request('Subject: one\r\n\r\n')]);
    await vanish(join(spool, 'mailboxes/000000000001.mbox'));
    await assert.rejects(writer.append([request('Subject: two\r\n\r\n')]), DamagedLogError);
    assert.match((await writer.lost).message, /000000000001\.mbox was removed, replaced or moved/);
  });
}

test('a writer to which nothing is sent notices too when its mailbox or log-id is gone or another', async (t) => {
  const alive = keepAlive();
  atEnd(t, async () => alive.cancel());
  for (const [name, vanish] of [
    ['mailboxes/000000000001.mbox', (path: string) => rm(path)],
    ['log-id', (path: string) => rm(path)],
    ['log-id', (path: string) => writeFile(path, 'another\n')],
  ] as const) {
    const spool = await temporaryFolder(t);
    const writer = await openWriter(t, spool);
    await writer.append([request('Subject: one\r\n\r\n')]);
    await vanish(join(spool, name));
    const reason = await writer.lost;
    assert.ok(reason instanceof DamagedLogError && reason.message.includes(name), reason.message);
  }
});

test('a commit position that is removed while the writer works is there again, with or without new requests', async (t) => {
  const alive = keepAlive();
  atEnd(t, async () => alive.cancel());
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  await writer.append([request('Subject: one\r\n\r\n')]);
  await rm(join(spool, 'durable'));
  await writer.append([request('Subject: two\r\n\r\n')]);
  assert.equal((await readAll(spool)).length, 2);
  await rm(join(spool, 'durable'));
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  assert.equal((await reader.read(1, { count: 1, bytes: 1 }, t.signal))[0]?.sequence, 2);
});

test('a log that was begun does not open without its log-id, nor with that of another', async (t) => {
  for (const count of [1, 20_000]) {
    const spool = await temporaryFolder(t);
    const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, { ...largeMailboxes, count });
    for (let i = 1; i <= 3; i++) await writer.append([request(`Subject: ${i}\r\n\r\n`)]);
    await writer.close();
    const own = await readFile(join(spool, 'log-id'));
    const mailbox = await readFile(join(spool, 'mailboxes/000000000001.mbox'));
    for (const change of [
      (path: string) => rm(path),
      (path: string) => writeFile(path, ''),
      (path: string) => writeFile(path, 'another\n'),
    ]) {
      await change(join(spool, 'log-id'));
      await rm(join(spool, 'durable'), { force: true });
      const opening = openMailboxWriter(nodeRuntime, lockFiles, spool, largeMailboxes);
      await assert.rejects(opening, (error: unknown) => {
        assert.ok(error instanceof DamagedLogError, String(error));
        assert.match(error.message, /log-id .*Restore log-id from a copy/);
        return true;
      });
    }
    assert.deepEqual(await readFile(join(spool, 'mailboxes/000000000001.mbox')), mailbox, 'nothing is changed');
    await writeFile(join(spool, 'log-id'), own);
    assert.equal((await openWriter(t, spool)).lastSequence, 3);
  }
});
