import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DamagedLogError, FencedError, InUseError } from '../../src/model/errors.ts';
import { errorCode } from '../../src/lib/system-error.ts';
import { openWriterClient } from '../../src/spool/mailbox/writer-client.ts';
import { request } from '../support/memory.ts';
import { atEnd, largeMailboxes, openWriter, readAll, temporaryFolder } from '../support/spool.ts';

const open = (spool: string, duplicateMs = 0, rehearsal = false) =>
  openWriterClient({ spool, rotation: largeMailboxes, duplicateMs, rehearsal });

test('requests cross to the writing thread byte for byte, and their numbers come back', async (t) => {
  const spool = await temporaryFolder(t);
  const { writer, lastSequence, epoch } = await open(spool);
  atEnd(t, () => writer.close());
  assert.equal(lastSequence, 0);
  assert.match(epoch, /./);
  const bytes = Buffer.from([0x53, 0x3a, 0x20, 0xff, 0x00, 0xe9, 0x0d, 0x0a, 0x0d, 0x0a, 0x2e, 0x0d, 0x0a]);
  // A part of a larger piece of memory, as the socket's chunks are.
  const requests = [
    request('Subject: one\r\n\r\n'),
    { ...request(''), message: Buffer.concat([Buffer.alloc(5), bytes]).subarray(5) },
    request(''),
    request('Subject: é\r\n\r\nFrom here\r\n'),
  ];
  assert.deepEqual(await writer.append(requests), [1, 2, 3, 4]);
  assert.deepEqual(await writer.append([request('next\r\n')]), [5]);
  assert.equal(writer.lastSequence, 5);
  const kept = await readAll(spool);
  assert.deepEqual(
    kept
      .slice(0, 4)
      .map(({ id, envelope, client, receivedAt, message }) => ({ id, envelope, client, receivedAt, message })),
    requests.map(({ id, envelope, client, receivedAt, message }) => ({ id, envelope, client, receivedAt, message })),
  );
});

test('a copy is recognised by the writing thread, which works its fingerprints out', async (t) => {
  const spool = await temporaryFolder(t);
  const { writer } = await open(spool, 60_000);
  atEnd(t, () => writer.close());
  const one = request('Message-ID: <1@x.example>\r\nSubject: one\r\n\r\nbody\r\n');
  assert.deepEqual(await writer.append([one]), [1]);
  assert.deepEqual(await writer.append([{ ...one, id: 'another' }, request('other\r\n')]), [1, 2]);
});

test('a log that cannot be opened fails with its own class and code', async (t) => {
  const held = await temporaryFolder(t);
  await openWriter(t, held);
  await assert.rejects(open(held), InUseError);

  const damaged = await temporaryFolder(t);
  const { writer } = await open(damaged);
  await writer.append([request('one\r\n')]);
  await writer.append([request('two\r\n')]);
  await writer.close();
  await truncate(join(damaged, 'mailboxes', '000000000001.mbox'), 100);
  await assert.rejects(open(damaged), DamagedLogError);

  const file = join(await temporaryFolder(t), 'file');
  await writeFile(file, '');
  await assert.rejects(open(file), (error: unknown) => errorCode(error) === 'ENOTDIR' || errorCode(error) === 'EEXIST');
});

test('a writer that another one has replaced is lost, and rejects what is appended', async (t) => {
  const spool = await temporaryFolder(t);
  const { writer } = await open(spool);
  await writer.append([request('one\r\n')]);
  const path = join(spool, 'intake.epoch');
  const epoch = JSON.parse(await readFile(path, 'utf8')) as { epoch: number };
  await writeFile(path, JSON.stringify({ ...epoch, epoch: epoch.epoch + 1, nonce: 'somebody-else-00' }));
  await assert.rejects(writer.append([request('two\r\n')]), FencedError);
  assert.ok((await writer.lost) instanceof FencedError);
  await assert.rejects(writer.append([request('three\r\n')]), FencedError);
  await writer.close();
});

test("a rehearsal's log is not opened in earnest, nor the day's for a rehearsal, by whoever holds its lock", async (t) => {
  for (const rehearsal of [true, false]) {
    const spool = await temporaryFolder(t);
    const { writer } = await open(spool, 0, rehearsal);
    await writer.close();
    await assert.rejects(open(spool, 0, !rehearsal), { name: 'ConfigError', message: /rehearsal/ });
    // The refused one has given its lock back.
    const again = await open(spool, 0, rehearsal);
    await again.writer.close();
  }
});
