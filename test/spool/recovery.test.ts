import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { appendFile, chmod, copyFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DamagedLogError } from '../../src/model/errors.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Disk, DiskFile } from '../../src/ports/runtime.ts';
import { lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { mailboxName } from '../../src/spool/mailbox/mailbox-file.ts';
import { mailboxFolder } from '../../src/spool/mailbox/mailbox-file.ts';
import type { Rotation } from '../../src/spool/mailbox/mailbox-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';
import { verifyLog } from '../../src/spool/mailbox/verify.ts';
import { request } from '../support/memory.ts';
import { largeMailboxes, openWriter, readAll, temporaryFolder } from '../support/spool.ts';
import { until } from '../support/verbs.ts';

/**
 * A spool as a crash leaves it: three requests in their own batches that were acknowledged, and `unacknowledged` ones in a
 * last batch that never came back (the commit position does not cover it).
 */
async function crashedSpool(
  t: TestContext,
  unacknowledged: number,
): Promise<{ spool: string; mailbox: string; acknowledgedBytes: number }> {
  const made = await temporaryFolder(t);
  const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, made, largeMailboxes);
  for (let i = 1; i <= 3; i++) await writer.append([request(`Subject: ${i}\r\n\r\nacknowledged\r\n`)]);
  const path = join(mailboxFolder(made), mailboxName(1));
  const spool = await temporaryFolder(t);
  await mkdir(mailboxFolder(spool));
  // The published position may lag behind the last answer, never lead it: what stood there after the third request.
  await until(
    () => readFile(join(made, 'durable'), 'latin1'),
    (text) => text.startsWith('sequence 3 '),
  );
  const acknowledgedBytes = (await readFile(path)).length;
  for (const name of ['durable', 'log-id', 'intake.epoch']) await copyFile(join(made, name), join(spool, name));
  if (unacknowledged > 0) {
    await writer.append(
      Array.from({ length: unacknowledged }, (_, i) => request(`Subject: late ${i}\r\n\r\nnever acknowledged\r\n`)),
    );
  }
  const mailbox = join(mailboxFolder(spool), mailboxName(1));
  await copyFile(path, mailbox);
  await writer.close();
  await chmod(mailbox, 0o640);
  return { spool, mailbox, acknowledgedBytes };
}

async function recoveredSubjects(t: TestContext, spool: string): Promise<string[]> {
  const writer = await openWriter(t, spool);
  const all = await readAll(spool);
  assert.equal(writer.lastSequence, all.length);
  await writer.append([request('Subject: next\r\n\r\n')]);
  const report = await verifyLog(nodeRuntime.disk, spool);
  assert.deepEqual(report.problems, []);
  assert.equal(report.requests, all.length + 1);
  return all.map((each) => /Subject: (.*)\r/.exec(each.message.toString('latin1'))![1]!);
}

test('a tail torn at every byte of the last record is cut away, and what was cut is kept beside', async (t) => {
  const { spool, mailbox, acknowledgedBytes } = await crashedSpool(t, 1);
  const whole = await readFile(mailbox);
  const epoch = await readFile(join(spool, 'intake.epoch'));
  const durable = await readFile(join(spool, 'durable'));
  for (let length = acknowledgedBytes; length <= whole.length; length++) {
    await t.test(`cut to ${length - acknowledgedBytes} of ${whole.length - acknowledgedBytes} bytes`, async (sub) => {
      await rm(mailboxFolder(spool), { recursive: true });
      await mkdir(mailboxFolder(spool));
      await writeFile(mailbox, whole.subarray(0, length));
      await writeFile(join(spool, 'intake.epoch'), epoch);
      await writeFile(join(spool, 'durable'), durable);
      const expected = ['1', '2', '3', ...(length === whole.length ? ['late 0'] : [])];
      assert.deepEqual(await recoveredSubjects(sub, spool), expected);
      const torn = (await readdir(mailboxFolder(spool))).filter((name) => name.includes('.torn-'));
      if (length === acknowledgedBytes || length === whole.length) assert.deepEqual(torn, []);
      else
        assert.deepEqual(
          await readFile(join(mailboxFolder(spool), torn[0]!)),
          whole.subarray(acknowledgedBytes, length),
        );
    });
  }
});

test('a tail of zeros, or with a hole of zeros in an unacknowledged batch, is cut away', async (t) => {
  for (const [from, to] of [
    [0, undefined],
    [0, 4],
    [200, 600],
    [700, 900],
  ] as const) {
    const { spool, mailbox, acknowledgedBytes } = await crashedSpool(t, 3);
    const bytes = await readFile(mailbox);
    bytes.fill(0, acknowledgedBytes + from, to === undefined ? undefined : acknowledgedBytes + to);
    await writeFile(mailbox, bytes);
    const subjects = await recoveredSubjects(t, spool);
    assert.deepEqual(subjects.slice(0, 3), ['1', '2', '3']);
    assert.ok(subjects.length < 6, `zeros from ${from} to ${to}`);
  }
});

test('what a failed sync left in the cache, and is gone when it is copied, never takes the place of a mailbox', async (t) => {
  const { spool, mailbox } = await crashedSpool(t, 1);
  const before = await readFile(mailbox);
  let reads = 0;
  const open: Disk['open'] = async (path, mode) => {
    const file = await nodeRuntime.disk.open(path, mode);
    if (path !== mailbox) return file;
    const read: DiskFile['read'] = async (into, position) => {
      const got = await file.read(into, position);
      if (++reads > 1) into.fill(0, Math.max(0, got - 100), got);
      return got;
    };
    return { read, size: () => file.size(), isSealed: () => file.isSealed(), close: () => file.close() } as DiskFile;
  };
  const forgetful = { ...nodeRuntime, disk: { ...nodeRuntime.disk, open } };
  await assert.rejects(openMailboxWriter(forgetful, lockFiles, spool, largeMailboxes), /changed while it was copied/);
  assert.deepEqual(await readFile(mailbox), before);
  assert.deepEqual(await recoveredSubjects(t, spool), ['1', '2', '3', 'late 0']);
});

test('before the next start a torn tail is no damage to verify, whatever became of the commit position', async (t) => {
  for (const committed of ['missing', 'of an older mailbox'] as const) {
    const { spool, mailbox } = await crashedSpool(t, 0);
    if (committed === 'missing') await rm(join(spool, 'durable'));
    else {
      const text = 'sequence 0 mailbox 0 offset 0';
      await writeFile(join(spool, 'durable'), `${text} ${hash('sha256', text).slice(0, 8)}\n`);
    }
    await appendFile(mailbox, 'From nobody Thu Jan  1 00:00:00 1970\nSeawall-Sequence: 4\n');
    const report = await verifyLog(nodeRuntime.disk, spool);
    assert.deepEqual([report.problems, report.requests], [[], 3], committed);
    assert.match(report.notes.join(), /not finished/, committed);
    await truncate(mailbox, (await stat(mailbox)).size - 1);
    const damaged = await readFile(mailbox);
    damaged[damaged.indexOf('Subject: 1')] = 0x58;
    await writeFile(mailbox, damaged);
    assert.notDeepEqual((await verifyLog(nodeRuntime.disk, spool)).problems, [], committed);
  }
});

test('garbage behind the last record is cut away', async (t) => {
  const { spool, mailbox } = await crashedSpool(t, 0);
  await appendFile(mailbox, 'From nobody Thu Jan  1 00:00:00 1970\nSeawall-Sequence: 4\n');
  assert.deepEqual(await recoveredSubjects(t, spool), ['1', '2', '3']);
});

async function assertHalts(spool: string, pattern: RegExp): Promise<void> {
  await assert.rejects(openMailboxWriter(nodeRuntime, lockFiles, spool, largeMailboxes), (error: unknown) => {
    assert.ok(error instanceof DamagedLogError, String(error));
    assert.match(error.message, pattern);
    return true;
  });
  assert.ok((await verifyLog(nodeRuntime.disk, spool)).problems.length > 0);
}

test('damage in what was acknowledged halts, and says where', async (t) => {
  for (const keepDurable of [true, false]) {
    const { spool, mailbox } = await crashedSpool(t, 1);
    const bytes = await readFile(mailbox);
    const at = bytes.indexOf('acknowledged', bytes.indexOf('Subject: 2'));
    bytes[at] = bytes[at]! ^ 1;
    await writeFile(mailbox, bytes);
    // Without the published position the later batches still tell.
    if (!keepDurable) await rm(join(spool, 'durable'));
    await assertHalts(spool, /000000000001\.mbox: the record of request 2, at byte \d+, is damaged/);
  }
});

test('an acknowledged request that is missing halts', async (t) => {
  const { spool, mailbox } = await crashedSpool(t, 0);
  await truncate(mailbox, (await readFile(mailbox)).length - 3);
  await assertHalts(spool, /request 3.*was once durable|up to 3 was once durable/);
});

test('a missing mailbox halts', async (t) => {
  const { spool, mailbox } = await crashedSpool(t, 0);
  await rm(mailbox);
  await assertHalts(spool, /no mailbox, but 3 requests were once durable/);
});

const rotations: [string, Rotation][] = [
  ['by count 1', { ...largeMailboxes, count: 1 }],
  ['by count 3', { ...largeMailboxes, count: 3 }],
  ['by count 4', { ...largeMailboxes, count: 4 }],
  ['by size', { ...largeMailboxes, bytes: 2_000 }],
  ['at every record by size', { ...largeMailboxes, bytes: 1 }],
];

for (const [what, rotation] of rotations) {
  test(`the order goes on across mailboxes rotated ${what}, batches and restarts`, async (t) => {
    const spool = await temporaryFolder(t);
    let sent = 0;
    for (const batches of [[1, 3, 8], [], [5], [1]]) {
      const writer = await openWriter(t, spool, rotation);
      for (const count of batches) {
        const sequences = await writer.append(
          Array.from({ length: count }, () => request(`Subject: ${++sent}\r\n\r\n`)),
        );
        assert.deepEqual(
          sequences,
          Array.from({ length: count }, (_, i) => sent - count + 1 + i),
        );
      }
      await writer.close();
    }
    const all = await readAll(spool);
    assert.deepEqual(
      all.map((each) => each.message.toString()),
      Array.from({ length: sent }, (_, i) => `Subject: ${i + 1}\r\n\r\n`),
    );
    assert.deepEqual((await verifyLog(nodeRuntime.disk, spool)).problems, []);
    const names = (await readdir(mailboxFolder(spool))).filter((name) => name.endsWith('.mbox'));
    if (rotation.count < 20_000) {
      for (const name of names) {
        const text = await readFile(join(mailboxFolder(spool), name), 'latin1');
        assert.ok(text.split('Seawall-Sequence').length - 1 <= rotation.count, name);
      }
    }
    assert.ok(names.length > 3);
  });
}

test('a mailbox is begun anew by age', async (t) => {
  const spool = await temporaryFolder(t);
  let elapsed = 0;
  const runtime = { ...nodeRuntime, clock: { ...nodeRuntime.clock, elapsed: () => elapsed } };
  const { writer } = await openMailboxWriter(runtime, lockFiles, spool, { ...largeMailboxes, seconds: 60 });
  for (const now of [0, 59_999, 60_000, 60_001]) {
    elapsed = now;
    await writer.append([request('x\r\n')]);
  }
  await writer.close();
  const names = (await readdir(mailboxFolder(spool))).filter((name) => name.endsWith('.mbox'));
  assert.deepEqual(names.toSorted(), [mailboxName(1), mailboxName(3)]);
});

test('a finished mailbox is read-only and is never touched again', async (t) => {
  const spool = await temporaryFolder(t);
  for (let round = 0; round < 3; round++) {
    const writer = await openWriter(t, spool, { ...largeMailboxes, count: 2 });
    await writer.append([request('x\r\n'), request('y\r\n'), request('z\r\n')]);
    await writer.close();
  }
  const look = async () =>
    Promise.all(
      (await readdir(mailboxFolder(spool)))
        .filter((name) => name.endsWith('.mbox'))
        .map(async (name) => {
          const { ino, mtimeMs, size, mode } = await stat(join(mailboxFolder(spool), name));
          assert.equal(mode & 0o222, 0, name);
          return { name, ino, mtimeMs, size };
        }),
    );
  const before = await look();
  await (await openWriter(t, spool)).close();
  assert.deepEqual(await look(), before);
});

test('without its index, or with a wrong one, a mailbox is read all the same, and the next writer makes the index anew', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool, { ...largeMailboxes, count: 50 });
  for (let i = 0; i < 4; i++)
    await writer.append(Array.from({ length: 30 }, (_, n) => request(`Subject: ${i * 30 + n + 1}\r\n\r\n`)));
  await writer.close();
  const { openReader } = await import('../../src/spool/mailbox/reader.ts');
  const index = join(mailboxFolder(spool), '000000000051.idx');
  const good = await readFile(index);
  for (const spoil of [
    () => rm(index),
    () => writeFile(index, Buffer.alloc(good.length, 7)),
    () => writeFile(index, good.subarray(0, 9)),
  ]) {
    await spoil();
    const reader = openReader(nodeRuntime, spool);
    const [read] = await reader.read(76, { count: 1, bytes: 1 });
    assert.equal(read?.sequence, 77);
    assert.equal(read.message.toString(), 'Subject: 77\r\n\r\n');
    await reader.close();
    const next = await openWriter(t, spool);
    await until(
      () => readFile(index).catch(() => Buffer.alloc(0)),
      (bytes) => bytes.equals(good),
    );
    await next.close();
  }
});
