// The acknowledgement journal, replayed: what it remembers, what a snapshot loses (nothing), and how small it stays.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, constantFrom, integer, property, record } from 'fast-check';
import type { AckEvent } from '../../src/acknowledge/journal/ack-events.ts';
import { AckState } from '../../src/acknowledge/journal/ack-state.ts';
import { RangeSet } from '../../src/model/range-set.ts';

function replay(events: readonly AckEvent[]): AckState {
  const state = new AckState();
  for (const event of events) state.apply(event);
  return state;
}

/** Everything that anybody can ask about the first requests. */
function view(state: AckState, through = 45): unknown {
  const states = Array.from({ length: through }, (_, index) => state.stateOf(index + 1));
  const { settledThrough, counts, pending, failures, logId, seenThrough, poisonedCount, reopenedCount } = state;
  const reading = states.map((_, index) => [state.isPoisoned(index + 1), state.beganReading(index + 1)]);
  const rest = { settledThrough, counts, pending, failures, logId, seenThrough, reopenedCount };
  return { states, poisonedCount, reading, ...rest };
}

const failed = (sequence: number): AckEvent => ({ type: 'failed', sequence, at: 5, code: 550, text: 'no such user' });
const retry = (sequence: number, attempts = 1): AckEvent => ({
  type: 'retry',
  sequence,
  attempts,
  nextAt: 1_000 * attempts,
  code: 451,
  text: 'later',
});

const again = (sequence: number): AckEvent => ({
  type: 'again',
  sequence,
  attempts: 1,
  nextAt: 7_000,
  code: 550,
  text: 'no such user',
  askedAt: 7_000,
});

test('what an operator asks for again waits again, in its old place, and ends anew', () => {
  const state = replay([
    { type: 'sent', ranges: [[1, 3]] },
    failed(4),
    retry(6),
    { type: 'skipped', ranges: [[7, 7]] },
  ]);
  for (const each of [1, 4, 6, 8]) state.apply(again(each));
  assert.deepEqual(
    [1, 4, 6, 7, 8].map((each) => state.stateOf(each)),
    ['retrying', 'retrying', 'retrying', 'none due', 'waiting'],
  );
  assert.deepEqual(state.counts, { sent: 2, skipped: 1, failed: 0 });
  assert.equal(state.settledThrough, 4);
  assert.deepEqual([state.pendingCount, state.reopenedCount, state.failures], [3, 2, []]);
  state.apply(retry(4, 2));
  assert.equal(state.retryOf(4)?.attempts, 2);
  state.apply({ type: 'sent', ranges: [[4, 6]] });
  state.apply(failed(1));
  assert.deepEqual(
    [1, 4, 6].map((each) => state.stateOf(each)),
    ['failed', 'acknowledged', 'acknowledged'],
  );
  assert.deepEqual(state.counts, { sent: 5, skipped: 1, failed: 1 });
  assert.deepEqual([state.settledThrough, state.pendingCount, state.reopenedCount], [7, 0, 0]);
});

test('a set of ranges holds what a plain set holds', () => {
  const range = record({ from: integer({ min: 1, max: 60 }), length: integer({ min: 0, max: 8 }) });
  check(
    property(array(range), (ranges) => {
      const plain = new Set<number>();
      const set = new RangeSet();
      for (const { from, length } of ranges) {
        set.add(from, from + length);
        for (let each = from; each <= from + length; each++) plain.add(each);
        set.remove(from + 2);
        plain.delete(from + 2);
      }
      for (let each = 0; each <= 70; each++) assert.equal(set.has(each), plain.has(each));
      assert.equal(set.size, plain.size);
      set.ranges.reduce((before, [from, to]) => {
        assert.ok(from > before + 1 && to >= from, 'ranges stand apart and in order');
        return to;
      }, -1);
    }),
  );
});

test('each request has the state that its events say', () => {
  const state = replay([
    { type: 'log', id: 'L' },
    { type: 'sent', ranges: [[1, 2]] },
    { type: 'skipped', ranges: [[4, 4]] },
    failed(5),
    retry(6),
    retry(7),
    { type: 'sent', ranges: [[7, 7]] },
  ]);
  assert.deepEqual((view(state, 8) as { states: unknown }).states, [
    'acknowledged',
    'acknowledged',
    'waiting',
    'none due',
    'failed',
    'retrying',
    'acknowledged',
    'waiting',
  ]);
  assert.equal(state.settledThrough, 2);
  assert.deepEqual(state.counts, { sent: 3, skipped: 1, failed: 1 });
  assert.deepEqual(state.failureOf(5), { sequence: 5, at: 5, code: 550, text: 'no such user' });
  assert.equal(state.settledFrom(3), 5);
  state.apply({ type: 'sent', ranges: [[3, 3]] });
  assert.equal(state.settledThrough, 5);
});

test('events applied twice, and a snapshot taken anywhere, change nothing', () => {
  const sequence = integer({ min: 1, max: 40 });
  const kind = constantFrom('sent', 'skipped', 'failed', 'retry', 'again', 'reading', 'read', 'poisoned');
  const steps = array(record({ kind, sequence, attempts: integer({ min: 1, max: 9 }) }), { maxLength: 80 });
  check(
    property(steps, integer({ min: 0, max: 80 }), (all, at) => {
      const events = all.map((step): AckEvent => {
        if (step.kind === 'failed') return failed(step.sequence);
        if (step.kind === 'retry') return retry(step.sequence, step.attempts);
        const { kind: type, sequence: of, attempts: times } = step;
        if (type === 'reading') return { type, sequence: of, times };
        if (type === 'read') return { type, sequence: of };
        if (type === 'poisoned') return { type, sequence: of, at: 5, text: 'not read within 5 s' };
        if (type === 'again') return again(of);
        return { type: step.kind === 'sent' ? 'sent' : 'skipped', ranges: [[step.sequence, step.sequence]] };
      });
      const plain = replay(events);
      assert.deepEqual(view(replay(events.flatMap((event) => [event, event]))), view(plain));
      // The snapshot holds the event that follows it, as when a journal was cut off while it compacted.
      const early = replay(events.slice(0, at + 1)).snapshot();
      assert.deepEqual(view(replay([...early, ...events.slice(at)])), view(plain));
    }),
  );
});

test('a million acknowledgements in a shuffled order leave a snapshot of one line', () => {
  const state = new AckState();
  const count = 1_000_000;
  const window = 1_000;
  for (let start = 1; start <= count; start += window) {
    // 7 and 1000 have no common divisor: each of the window comes once, far from its neighbours.
    for (let step = 0; step < window; step++) {
      const each = start + ((step * 7) % window);
      state.apply({ type: 'sent', ranges: [[each, each]] });
    }
  }
  assert.equal(state.settledThrough, count);
  assert.equal(state.snapshot().length, 1);
});

test('a request that waits for days costs one range, however many settle behind it', () => {
  const state = replay([retry(1), { type: 'sent', ranges: [[2, 100_000]] }]);
  assert.equal(state.settledThrough, 0);
  assert.equal(state.settledFrom(1), 100_000);
  assert.equal(state.snapshot().length, 3);
});

test('failures without number keep their count, and the newest their words', () => {
  const state = new AckState();
  for (let each = 1; each <= 30_000; each++)
    state.apply(each % 2 === 0 ? failed(each) : { type: 'sent', ranges: [[each, each]] });
  assert.deepEqual(state.counts, { sent: 15_000, skipped: 0, failed: 15_000 });
  assert.equal(state.failures.length, 10_000);
  assert.equal(state.failures.at(-1)?.sequence, 30_000);
  assert.equal(state.stateOf(30_000), 'failed');
  assert.equal(state.stateOf(29_999), 'acknowledged');
  // Beyond 10,000 scattered ranges it is honest about what it no longer knows.
  assert.equal(state.stateOf(2), 'settled');
  const replayed = replay(state.snapshot());
  assert.deepEqual(view(replayed), view(state));
  assert.deepEqual(replayed.snapshot(), state.snapshot());
  for (const event of state.snapshot()) assert.ok(JSON.stringify(event).length < 20_000);
});
