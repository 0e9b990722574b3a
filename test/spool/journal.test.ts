import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { appendFile, cp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DamagedLogError, FencedError, InUseError } from '../../src/model/errors.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { openJournalFile, replayJournal } from '../../src/spool/journal-file.ts';
import { type Locks, lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';
import { request } from '../support/memory.ts';
import { atEnd, largeMailboxes, temporaryFolder } from '../support/spool.ts';

/** Sums numbers by name; its snapshot is one event a name. */
class Sums {
  readonly byName = new Map<string, number>();

  apply({ name, add }: { name: string; add: number }): void {
    this.byName.set(name, (this.byName.get(name) ?? 0) + add);
  }

  snapshot(): { name: string; add: number }[] {
    return [...this.byName].map(([name, add]) => ({ name, add }));
  }
}

const anybody: Locks = { staleMs: 10, acquire: async () => ({ release: async () => undefined }) };

async function open(t: TestContext, spool: string, state = new Sums(), locks = lockFiles) {
  const journal = await openJournalFile(nodeRuntime, locks, spool, 'sums', state);
  atEnd(t, () => journal.close());
  return { journal, state };
}

test('what was appended is there again for the next holder, whatever the first had time for', async (t) => {
  const spool = await temporaryFolder(t);
  const { journal, state } = await open(t, spool);
  await Promise.all([
    journal.append([{ name: 'a', add: 1 }]),
    journal.append([
      { name: 'b', add: 2 },
      { name: 'a', add: 3 },
    ]),
    journal.append([{ name: 'a', add: 5 }]),
  ]);
  assert.deepEqual(
    [...state.byName],
    [
      ['a', 9],
      ['b', 2],
    ],
  );
  await journal.close();
  const next = await open(t, spool);
  assert.deepEqual(
    [...next.state.byName],
    [
      ['a', 9],
      ['b', 2],
    ],
  );
  assert.notEqual(next.journal.epoch, journal.epoch);
});

test('a line torn at every byte is as if it had not been written; an earlier damaged one halts', async (t) => {
  const spool = await temporaryFolder(t);
  const { journal } = await open(t, spool);
  await journal.append([{ name: 'a', add: 1 }]);
  // The position that was published before the line that is torn.
  const position = await readFile(join(spool, 'sums.position'));
  await journal.append([{ name: 'a', add: 2 }]);
  await journal.close();
  await writeFile(join(spool, 'sums.position'), position);
  const path = join(spool, 'sums.journal');
  const whole = await readFile(path);
  const lastLine = whole.lastIndexOf('\n', whole.length - 2) + 1;
  for (let length = lastLine; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length));
    const sums = new Sums();
    await replayJournal(nodeRuntime.disk, spool, 'sums', sums);
    assert.equal(sums.byName.get('a'), 1, `cut to ${length}`);
  }
  const damaged = Buffer.from(whole);
  damaged[lastLine - 4] = damaged[lastLine - 4]! ^ 1;
  await writeFile(path, damaged);
  await assert.rejects(replayJournal(nodeRuntime.disk, spool, 'sums', new Sums()), DamagedLogError);
  await assert.rejects(
    openJournalFile(nodeRuntime, lockFiles, spool, 'sums', new Sums()),
    /sums\.journal: line 3 is damaged/,
  );
});

test('the journal is as large as what is outstanding, not as its history', async (t) => {
  const spool = await temporaryFolder(t);
  const { journal, state } = await open(t, spool);
  const events = Array.from({ length: 2_000 }, () => ({ name: 'the same name every time', add: 1 }));
  for (let round = 0; round < 40; round++) await journal.append(events);
  assert.equal(state.byName.get('the same name every time'), 80_000);
  assert.ok((await stat(join(spool, 'sums.journal'))).size < 2_000_000);
  await journal.close();
  const next = await open(t, spool);
  assert.equal(next.state.byName.get('the same name every time'), 80_000);
  assert.ok((await stat(join(spool, 'sums.journal'))).size < 200);
});

test('a second holder is refused; one that takes over all the same fences the first', async (t) => {
  const spool = await temporaryFolder(t);
  await open(t, spool);
  await assert.rejects(openJournalFile(nodeRuntime, lockFiles, spool, 'sums', new Sums()), InUseError);
  const other = await temporaryFolder(t);
  const first = await open(t, other, new Sums(), anybody);
  await first.journal.append([{ name: 'a', add: 1 }]);
  const second = await open(t, other, new Sums(), anybody);
  await assert.rejects(first.journal.append([{ name: 'a', add: 10 }]), FencedError);
  assert.ok((await first.journal.lost) instanceof FencedError);
  assert.equal(first.state.byName.get('a'), 1);
  await second.journal.append([{ name: 'a', add: 100 }]);
  const sums = new Sums();
  await replayJournal(nodeRuntime.disk, other, 'sums', sums);
  assert.equal(sums.byName.get('a'), 101);
});

test('after a failed sync nothing is applied and nothing is written any more', async (t) => {
  const spool = await temporaryFolder(t);
  let failing = false;
  const disk = {
    ...nodeRuntime.disk,
    open: async (...args: Parameters<typeof nodeRuntime.disk.open>) => {
      const file = await nodeRuntime.disk.open(...args);
      const sync = file.sync.bind(file);
      file.sync = async () => (failing ? Promise.reject(new Error('EIO')) : sync());
      return file;
    },
  };
  const state = new Sums();
  const journal = await openJournalFile({ ...nodeRuntime, disk }, lockFiles, spool, 'sums', state);
  await journal.append([{ name: 'a', add: 1 }]);
  failing = true;
  await assert.rejects(journal.append([{ name: 'a', add: 2 }]), /EIO/);
  failing = false;
  await assert.rejects(journal.append([{ name: 'a', add: 4 }]), /EIO/);
  assert.equal(state.byName.get('a'), 1);
  assert.match((await journal.lost).message, /EIO/);
  await journal.close();
});

test('a missing or empty journal is a beginning', async (t) => {
  const spool = await temporaryFolder(t);
  const sums = new Sums();
  await replayJournal(nodeRuntime.disk, spool, 'sums', sums);
  await appendFile(join(spool, 'sums.journal'), '');
  await truncate(join(spool, 'sums.journal'), 0);
  await replayJournal(nodeRuntime.disk, spool, 'sums', sums);
  assert.equal(sums.byName.size, 0);
});

/** A journal of a log, as it was closed: three lines behind its snapshot. */
async function closedJournal(t: TestContext) {
  const spool = await temporaryFolder(t);
  await writeFile(join(spool, 'log-id'), 'one-log\n');
  const { journal } = await open(t, spool);
  for (const add of [1, 2, 4]) await journal.append([{ name: 'a', add }]);
  await journal.close();
  const path = join(spool, 'sums.journal');
  return { spool, path, whole: await readFile(path), position: await readFile(join(spool, 'sums.position')) };
}

async function assertRefused(spool: string, pattern: RegExp, what?: string): Promise<void> {
  await assert.rejects(openJournalFile(nodeRuntime, lockFiles, spool, 'sums', new Sums()), (error: unknown) => {
    assert.ok(error instanceof DamagedLogError, `${what}: ${String(error)}`);
    assert.match(error.message, pattern, what);
    assert.match(error.message, /Restore sums\.journal and sums\.position/, what);
    return true;
  });
}

test('a bit that flips anywhere in a journal is noticed, in its last line too', async (t) => {
  const { spool, path, whole } = await closedJournal(t);
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole);
    flipped[at] = flipped[at]! ^ 1;
    await writeFile(path, flipped);
    await assert.rejects(
      replayJournal(nodeRuntime.disk, spool, 'sums', new Sums()),
      DamagedLogError,
      `byte ${at} of ${whole.length}`,
    );
  }
});

test('a journal that is missing, emptied, cut, without a line, older or of another log is refused in words', async (t) => {
  const { spool, path, whole } = await closedJournal(t);
  await rm(path);
  await assertRefused(spool, /sums\.journal: it is missing/);
  await writeFile(path, '');
  await assertRefused(spool, /older than what was written last/, 'emptied');
  const lines = whole.toString().split('\n');
  for (let count = 1; count < lines.length - 1; count++) {
    await writeFile(path, `${lines.slice(0, count).join('\n')}\n`);
    await assertRefused(spool, /it has \d+ bytes, but \d+ were written/, `cut behind line ${count}`);
    await writeFile(path, lines.toSpliced(count, 1).join('\n'));
    await assertRefused(spool, /line \d is damaged|bytes, but/, `without line ${count + 1}`);
  }
  await writeFile(path, whole);
  await writeFile(join(spool, 'log-id'), 'another-log\n');
  await assertRefused(spool, /belongs to the log one-log, but this log is another-log/);
  await writeFile(join(spool, 'log-id'), 'one-log\n');
  const { journal, state } = await open(t, spool);
  assert.equal(state.byName.get('a'), 7, 'nothing of it was changed meanwhile');
  await journal.close();
  await writeFile(path, whole);
  await assertRefused(spool, /older than what was written last/);
});

test('a journal that is removed while its holder works is written again whole', async (t) => {
  const { spool, path } = await closedJournal(t);
  const { journal } = await open(t, spool);
  await rm(path);
  await journal.append([{ name: 'a', add: 8 }]);
  await journal.append([{ name: 'a', add: 16 }]);
  await journal.close();
  assert.equal((await open(t, spool)).state.byName.get('a'), 31);
});

test('a journal as it was written before is read, and bound to its log when it is opened', async (t) => {
  const spool = await temporaryFolder(t);
  await writeFile(join(spool, 'log-id'), 'one-log\n');
  const lines = [[{ name: 'a', add: 1 }], [{ name: 'a', add: 2 }]].map((events) => {
    const json = JSON.stringify(events);
    return `${hash('sha256', json).slice(0, 16)} ${json}\n`;
  });
  await writeFile(join(spool, 'sums.journal'), `${lines.join('')}0123456789abcdef [{"torn`);
  const sums = new Sums();
  await replayJournal(nodeRuntime.disk, spool, 'sums', sums);
  assert.equal(sums.byName.get('a'), 3);
  const { journal } = await open(t, spool);
  await journal.close();
  assert.match(await readFile(join(spool, 'sums.journal'), 'utf8'), /^\w{16} \{"journal":"sums","log":"one-log",/);
  await writeFile(join(spool, 'sums.journal'), lines.join(''));
  await assertRefused(spool, /older than what was written last/);
});

test('a log that is shorter than what a journal has seen does not open: its numbers would be given again', async (t) => {
  const spool = await temporaryFolder(t);
  const write = async (subjects: string[]) => {
    const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, largeMailboxes);
    for (const subject of subjects) await writer.append([request(`Subject: ${subject}\r\n\r\n`)]);
    await writer.close();
  };
  await write(['1', '2']);
  await cp(join(spool, 'mailboxes'), join(spool, 'older'), { recursive: true });
  await write(['3']);
  const { journal } = await open(t, spool);
  await journal.append([{ name: 'a', add: 1 }]);
  await journal.close();
  await rm(join(spool, 'mailboxes'), { recursive: true });
  await rename(join(spool, 'older'), join(spool, 'mailboxes'));
  await rm(join(spool, 'durable'));
  await assert.rejects(write(['another 3']), (error: unknown) => {
    assert.ok(error instanceof DamagedLogError, String(error));
    assert.match(error.message, /ends with request 2, but sums\.journal was written when it held 3/);
    return true;
  });
});

test('a log that was begun anew takes requests, and the journals of the one before it are refused', async (t) => {
  const { spool } = await closedJournal(t);
  await rm(join(spool, 'log-id'));
  const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, largeMailboxes);
  atEnd(t, () => writer.close());
  assert.deepEqual(await writer.append([request('Subject: 1\r\n\r\n')]), [1]);
  await assertRefused(spool, /belongs to the log one-log/);
});
