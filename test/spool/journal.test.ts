import assert from 'node:assert/strict';
import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DamagedLogError, FencedError, InUseError } from '../../src/model/errors.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { openJournalFile, replayJournal } from '../../src/spool/journal-file.ts';
import { type Locks, lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';

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
  await journal.append([{ name: 'a', add: 2 }]);
  await journal.close();
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
    /sums\.journal: line 2 is damaged/,
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
