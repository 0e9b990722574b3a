import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotSequencedError, type Kept, Sequencer } from '../../src/intake/sequencer.ts';
import type { NewRequest } from '../../src/model/request.ts';
import type { RequestWriter } from '../../src/ports/request-log.ts';
import { request, settle } from '../support/memory.ts';

/** A log whose writes end when the test says so. */
class HeldLog implements RequestWriter {
  readonly batches: string[][] = [];
  readonly lost = new Promise<Error>(() => undefined);
  lastSequence = 0;
  #end: ((error?: Error) => void) | undefined;

  append(requests: readonly NewRequest[]): Promise<number[]> {
    assert.equal(this.#end, undefined, 'one write at a time');
    this.batches.push(requests.map((each) => each.message.toString().trim()));
    return new Promise((resolve, reject) => {
      this.#end = (error) => {
        this.#end = undefined;
        if (error) return reject(error);
        resolve(requests.map(() => ++this.lastSequence));
      };
    });
  }

  async endWrite(error?: Error): Promise<void> {
    assert.ok(this.#end, 'a write is under way');
    this.#end(error);
    await settle();
  }

  async close(): Promise<void> {}
}

async function sequencesOf(places: readonly Promise<Kept>[]): Promise<number[]> {
  return (await Promise.all(places)).map((each) => each.sequence);
}

const limits = { batchCount: 3, batchBytes: 1_000, waitingCount: 5 };

test('while one write is under way arrivals gather, and the order of arrival is the order of the log', async () => {
  const log = new HeldLog();
  const sequencer = new Sequencer(log, limits);
  const numbers = ['a', 'b', 'c', 'd', 'e'].map((each) => sequencer.submit(request(`${each}\r\n`)));
  await settle();
  assert.deepEqual(log.batches, [['a']]);
  await log.endWrite();
  assert.deepEqual(log.batches, [['a'], ['b', 'c', 'd']]);
  await log.endWrite();
  await log.endWrite();
  assert.deepEqual(await sequencesOf(numbers), [1, 2, 3, 4, 5]);
  assert.deepEqual(log.batches.at(-1), ['e']);
});

test('a write is bounded in bytes too, but a single large request always goes', async () => {
  const log = new HeldLog();
  const sequencer = new Sequencer(log, { ...limits, batchBytes: 10 });
  const large = 'x'.repeat(50);
  const all = ['a', large, 'b', 'c'].map((each) => sequencer.submit(request(`${each}\r\n`)));
  for (let i = 0; i < 3; i++) await log.endWrite();
  await Promise.all(all);
  assert.deepEqual(log.batches, [['a'], [large], ['b', 'c']]);
});

test('past the bound of the line the answer is no, at once, and those in line keep their places', async () => {
  const log = new HeldLog();
  const sequencer = new Sequencer(log, limits);
  const taken = Array.from({ length: 6 }, (_, i) => sequencer.submit(request(`${i}\r\n`)));
  await settle();
  await assert.rejects(
    sequencer.submit(request('late\r\n')),
    (error: unknown) => error instanceof NotSequencedError && error.kind === 'full',
  );
  for (let i = 0; i < 3; i++) await log.endWrite();
  assert.deepEqual(await sequencesOf(taken), [1, 2, 3, 4, 5, 6]);
  const later = sequencer.submit(request('later\r\n'));
  await settle();
  await log.endWrite();
  assert.deepEqual(await later, { sequence: 7, repeated: false });
});

test('a failed write fails its whole batch, all that wait, and all that come after', async () => {
  const log = new HeldLog();
  const sequencer = new Sequencer(log, limits);
  const all = ['a', 'b', 'c'].map((each) => sequencer.submit(request(`${each}\r\n`)));
  const outcomes = Promise.allSettled(all);
  await settle();
  await log.endWrite(new Error('EIO'));
  for (const outcome of await outcomes) {
    assert.ok(
      outcome.status === 'rejected' && outcome.reason instanceof NotSequencedError && outcome.reason.kind === 'lost',
    );
  }
  await assert.rejects(sequencer.submit(request('d\r\n')), /EIO/);
  assert.equal(log.batches.length, 1);
  await sequencer.idle();
});
