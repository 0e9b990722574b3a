import assert from 'node:assert/strict';
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { DamagedLogError } from '../../src/model/errors.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { openReader } from '../../src/spool/mailbox/reader.ts';
import { mailboxName } from '../../src/spool/mailbox/mailbox-file.ts';
import { lockFiles } from '../../src/spool/fencing/lock-file.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import { mailboxFolder } from '../../src/spool/mailbox/mailbox-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';
import { request } from '../support/memory.ts';
import { until } from '../support/verbs.ts';
import { atEnd, largeMailboxes, openWriter, temporaryFolder } from '../support/spool.ts';

test('a reader sees nothing before the first writer, then waits until something is durable', async (t) => {
  const spool = await temporaryFolder(t);
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  assert.equal(await reader.durable(), 0);
  assert.equal(await reader.logId(), undefined);
  assert.deepEqual(await reader.read(0, { count: 10, bytes: 1000 }), []);
  const waiting = reader.read(0, { count: 10, bytes: 1000 }, AbortSignal.timeout(10_000));
  const writer = await openWriter(t, spool);
  await writer.append([request('Subject: first\r\n\r\n')]);
  assert.equal((await waiting)[0]?.message.toString(), 'Subject: first\r\n\r\n');
  assert.match((await reader.logId())!, /^[0-9a-f-]{36}$/);
});

test('a wait that is aborted gives nothing', async (t) => {
  const spool = await temporaryFolder(t);
  await openWriter(t, spool);
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  const abort = new AbortController();
  const waiting = reader.read(0, { count: 1, bytes: 1 }, abort.signal);
  abort.abort();
  assert.deepEqual(await waiting, []);
});

test('what stands in the file behind the commit position is not seen', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  await writer.append([request('one\r\n')]);
  const durable = await readFile(join(spool, 'durable'));
  await writer.append([request('two\r\n'), request('three\r\n')]);
  // As if the sync of the second write had not come back yet.
  await writeFile(join(spool, 'durable'), durable);
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  const seen = await reader.read(0, { count: 10, bytes: 1000 });
  assert.deepEqual(
    seen.map((each) => each.sequence),
    [1],
  );
});

test('reads of any size from any place give the same order', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool, { ...largeMailboxes, count: 7 });
  const messages = Array.from({ length: 40 }, (_, i) => `Subject: ${i + 1}\r\n\r\n${'x'.repeat(i * 7)}\r\n`);
  for (let i = 0; i < messages.length; i += 5)
    await writer.append(messages.slice(i, i + 5).map((each) => request(each)));
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  await fc.assert(
    fc.asyncProperty(
      fc.nat(45),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 3000 }),
      async (after, count, bytes) => {
        const got = await reader.read(after, { count, bytes });
        const expected: string[] = [];
        let sum = 0;
        for (const message of messages.slice(after, after + count)) {
          if (expected.length > 0 && sum + message.length > bytes) break;
          sum += message.length;
          expected.push(message);
        }
        assert.deepEqual(
          got.map((each) => each.message.toString()),
          expected,
        );
        assert.deepEqual(
          got.map((each) => each.sequence),
          expected.map((_, i) => after + 1 + i),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('single requests out of the newest mailbox, in any order, do not each read it from its beginning', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  const count = 2_000;
  const body = `Subject: x\r\n\r\n${'x'.repeat(1_000)}\r\n`;
  await writer.append(Array.from({ length: count }, () => request(body)));
  let read = 0;
  const { disk } = nodeRuntime;
  const counting: Runtime['disk'] = {
    ...disk,
    open: async (path, mode) => {
      const file = await disk.open(path, mode);
      const readOf = file.read.bind(file);
      file.read = async (into, position) => {
        const got = await readOf(into, position);
        read += got;
        return got;
      };
      return file;
    },
  };
  for (const how of ['after following it', 'without']) {
    const reader = openReader({ ...nodeRuntime, disk: counting }, spool);
    atEnd(t, () => reader.close());
    if (how !== 'without')
      for (let after = 0; after < count; after += 100) await reader.read(after, { count: 100, bytes: 1_000_000 });
    read = 0;
    for (let each = 0; each < 200; each++) {
      const sequence = ((each * 1_237) % count) + 1;
      assert.equal((await reader.read(sequence - 1, { count: 1, bytes: 1 }))[0]?.sequence, sequence);
    }
    // The mailbox has about 3 MB. What is not known yet is read once.
    assert.ok(read < 200 * 65_536 + 5_000_000, `${how}: ${read} bytes`);
  }
});

test('a damaged record is never given: the reader says which and where', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  await writer.append([request('Subject: good\r\n\r\n'), request('Subject: evil\r\n\r\n')]);
  const path = join(mailboxFolder(spool), mailboxName(1));
  const bytes = await readFile(path);
  bytes.write('lucky', bytes.indexOf('evil') - 0, 4);
  await writeFile(path, bytes);
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  assert.equal((await reader.read(0, { count: 1, bytes: 1 }))[0]?.sequence, 1);
  await assert.rejects(reader.read(0, { count: 2, bytes: 1000 }), (error: unknown) => {
    assert.ok(error instanceof DamagedLogError);
    assert.match(
      error.message,
      /000000000001\.mbox: the record of request 2, at byte \d+, is damaged: its message is not what its SHA-256 says/,
    );
    return true;
  });
});

test('a reader goes on when a new writer has replaced the last mailbox', async (t) => {
  const spool = await temporaryFolder(t);
  const first = await openWriter(t, spool);
  await first.append([request('1\r\n'), request('2\r\n')]);
  const reader = openReader(nodeRuntime, spool);
  atEnd(t, () => reader.close());
  assert.equal((await reader.read(0, { count: 1, bytes: 1 })).length, 1);
  await first.close();
  // A torn tail makes recovery write the mailbox anew.
  await appendFile(join(spool, 'log-id'), '');
  const second = await openWriter(t, spool);
  await second.append([request('3\r\n')]);
  assert.deepEqual(
    (await reader.read(1, { count: 10, bytes: 1000 })).map((each) => each.sequence),
    [2, 3],
  );
});

test('a reader writes nothing, without an index too; the next writer writes it again', async (t) => {
  const spool = await temporaryFolder(t);
  const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, { ...largeMailboxes, count: 3 });
  for (let n = 1; n <= 7; n++) await writer.append([request(`Subject: ${n}\r\n\r\n`)]);
  await writer.close();
  const index = join(mailboxFolder(spool), '000000000001.idx');
  const whole = await readFile(index);
  await rm(index);
  const refused: Runtime['disk'] = {
    ...nodeRuntime.disk,
    open: async (path, mode) => {
      assert.equal(mode, 'read', path);
      return nodeRuntime.disk.open(path, mode);
    },
  };
  const reader = openReader({ ...nodeRuntime, disk: refused }, spool);
  atEnd(t, () => reader.close());
  for (const sequence of [3, 2, 5, 3]) {
    assert.equal((await reader.read(sequence - 1, { count: 1, bytes: 1 }))[0]?.sequence, sequence);
  }
  await openWriter(t, spool);
  await until(
    () => readFile(index).catch(() => Buffer.alloc(0)),
    (bytes) => bytes.equals(whole),
  );
});
