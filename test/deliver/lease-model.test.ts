import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DeliverEvent } from '../../src/deliver/leases/lease-state.ts';
import { QueueError } from '../../src/deliver/soap/fault.ts';
import { fromRanges, RangeSet, toRanges } from '../../src/model/range-set.ts';
import { nobody, openLeases } from '../support/deliver.ts';
import { JournalStore, MemoryLog, request, TurnedClock } from '../support/memory.ts';

type Desk = Awaited<ReturnType<typeof openLeases>>;

/** What the lease leases must do, in the plainest form: an array that is the line, and one window. */
class Model {
  total = 0;
  line: number[] = [];
  /** Those at the head of the queue that were put there. */
  readonly front = new Set<number>();
  readonly parked = new Set<number>();
  readonly delivered = new Map<number, number>();
  readonly tokens: string[] = [];
  lease: { key: string; token: string; ends: number; window: number[]; held: Set<number> } | undefined;

  live(now: number): boolean {
    return this.lease !== undefined && this.lease.ends > now && this.lease.held.size > 0;
  }

  holds(token: string, now: number): boolean {
    return this.live(now) && this.lease?.token === token;
  }

  take(sequence: number): void {
    this.line = this.line.filter((each) => each !== sequence);
    this.front.delete(sequence);
    this.lease?.held.delete(sequence);
  }
}

/** What one step does to both, and what must be the same afterwards. */
type Step = (model: Model, leases: Desk, clock: TurnedClock) => Promise<void>;

async function codeOf<T>(promise: Promise<T>): Promise<{ value: T } | { code: string }> {
  try {
    return { value: await promise };
  } catch (error) {
    ok(error instanceof QueueError, String(error));
    return { code: error.code };
  }
}

const fetchStep =
  (client: string, attempt: string, max: number, leaseMs: number): Step =>
  async (model, leases, clock) => {
    const key = `${client} ${attempt}`;
    const again = model.live(clock.now());
    const result = await codeOf(leases.fetch(attempt, max, { clientId: client, leaseMs }));
    if (again && model.lease?.key !== key) return deepEqual(result, { code: 'LEASE_HELD' });
    ok('value' in result, JSON.stringify(result));
    const { sequences, token } = result.value;
    const { lease } = model;
    // First in first out, nothing skipped, nothing that is settled.
    const expected = again && lease ? lease.window.filter((each) => lease.held.has(each)) : model.line.slice(0, max);
    deepEqual(sequences, expected);
    if (sequences.length === 0) return equal(token, '');
    if (again) return equal(token, lease?.token);
    for (const sequence of sequences) model.delivered.set(sequence, (model.delivered.get(sequence) ?? 0) + 1);
    deepEqual(
      result.value.request.map(({ deliveryCount }) => deliveryCount),
      sequences.map((sequence) => model.delivered.get(sequence)),
    );
    ok(!model.tokens.includes(token));
    model.tokens.push(token);
    model.lease = { key, token, ends: clock.now() + leaseMs, window: sequences, held: new Set(sequences) };
  };

const tokenAt = (model: Model, which: number): string => model.tokens[which % (model.tokens.length || 1)] ?? 'none.x';

const confirmStep =
  (which: number, through: number): Step =>
  async (model, leases, clock) => {
    const token = tokenAt(model, which);
    const held = model.holds(token, clock.now());
    const result = await codeOf(leases.confirm(token, through));
    if (token === 'none.x') return deepEqual(result, { code: 'LEASE_LOST' });
    const place = held ? (model.lease?.window.indexOf(through) ?? -1) : -1;
    if (place >= 0) {
      const todo = model.lease?.window.slice(0, place + 1).filter((each) => model.lease?.held.has(each)) ?? [];
      for (const sequence of todo) model.take(sequence);
      ok('value' in result, JSON.stringify(result));
      equal(result.value.alreadyConfirmed, todo.length === 0);
      return equal(result.value.remaining, model.lease?.held.size);
    }
    const settled = through <= model.total && !model.line.includes(through);
    if (settled) return ok('value' in result && result.value.alreadyConfirmed, JSON.stringify(result));
    return deepEqual(result, { code: held ? 'OUT_OF_ORDER' : 'LEASE_LOST' });
  };

const releaseStep =
  (which: number, from: number): Step =>
  async (model, leases, clock) => {
    const token = tokenAt(model, which);
    const result = await codeOf(leases.leases.release({ leaseToken: token, fromSequence: from }, nobody));
    if (!model.holds(token, clock.now()) || !model.lease) return deepEqual(result, { code: 'LEASE_LOST' });
    const place = model.lease.window.indexOf(from);
    const back = place < 0 ? [] : model.lease.window.slice(place).filter((each) => model.lease?.held.has(each));
    deepEqual(result, { value: { releasedCount: back.length } });
    for (const sequence of back) model.lease.held.delete(sequence);
    if (back.length > 0) model.lease.window = model.lease.window.slice(0, place);
  };

const parkStep =
  (which: number, sequence: number): Step =>
  async (model, leases, clock) => {
    const token = tokenAt(model, which);
    const reason = { reasonCode: 'X', reasonText: '' };
    const result = await codeOf(leases.leases.park({ leaseToken: token, sequence, ...reason }, nobody));
    const held = model.holds(token, clock.now());
    if (held && model.lease?.held.has(sequence)) {
      ok('value' in result, JSON.stringify(result));
      model.take(sequence);
      model.parked.add(sequence);
    } else if ('value' in result) ok(model.parked.has(sequence));
    else equal(result.code, held ? 'OUT_OF_ORDER' : 'LEASE_LOST');
  };

const unparkStep =
  (sequence: number, place: 'head' | 'tail'): Step =>
  async (model, leases) => {
    const result = await codeOf(leases.park.unpark({ sequence, operator: 'me', place }));
    if (!model.parked.delete(sequence)) return deepEqual(result, { code: 'NOT_FOUND' });
    if (place === 'head') {
      model.front.add(sequence);
      const front = [...model.front].toSorted((a, b) => a - b);
      model.line = [...front, ...model.line.filter((each) => !model.front.has(each))];
    } else model.line.push(sequence);
    deepEqual(result, { value: { position: model.line.indexOf(sequence) } });
  };

const extendStep =
  (which: number, leaseMs: number): Step =>
  async (model, leases, clock) => {
    const token = tokenAt(model, which);
    const result = await codeOf(leases.leases.extend({ leaseToken: token, leaseMs }, nobody));
    if (!model.holds(token, clock.now()) || !model.lease) return deepEqual(result, { code: 'LEASE_LOST' });
    model.lease.ends = clock.now() + leaseMs;
    deepEqual(result, { value: { leaseExpires: model.lease.ends } });
  };

const which = fc.nat({ max: 20 });
const sequence = fc.integer({ min: 1, max: 15 });
const ms = fc.constantFrom(10, 100);
type Any = Step | 'add' | 'restart' | 'compact' | { turn: number };
const step: fc.Arbitrary<Any> = fc.oneof(
  { arbitrary: fc.constant('add' as const), weight: 3 },
  fc.constant('restart' as const),
  fc.constant('compact' as const),
  fc.record({ turn: fc.constantFrom(1, 9, 60) }),
  {
    arbitrary: fc
      .tuple(fc.constantFrom('one', 'two'), fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 6 }), ms)
      .map((args) => fetchStep(...args)),
    weight: 4,
  },
  { arbitrary: fc.tuple(which, sequence).map((args) => confirmStep(...args)), weight: 3 },
  fc.tuple(which, sequence).map((args) => releaseStep(...args)),
  { arbitrary: fc.tuple(which, sequence).map((args) => parkStep(...args)), weight: 2 },
  fc.tuple(sequence, fc.constantFrom('head' as const, 'tail' as const)).map((args) => unparkStep(...args)),
  fc.tuple(which, ms).map((args) => extendStep(...args)),
);

async function play(steps: readonly Any[]): Promise<void> {
  const log = new MemoryLog();
  const clock = new TurnedClock();
  let store = new JournalStore<DeliverEvent>();
  let leases = await openLeases({ store, log, clock });
  const model = new Model();
  let opens = 1;
  for (const each of steps) {
    opens++;
    if (each === 'add') {
      log.add(request(`${++model.total}`));
      model.line.push(model.total);
    } else if (each === 'restart' || each === 'compact') {
      leases.leases.stop();
      if (each === 'compact') {
        store = new JournalStore<DeliverEvent>();
        // Epochs go on: the file of a compacted journal keeps them.
        for (let opened = 0; opened < opens; opened++) store.open({ apply: () => undefined, snapshot: () => [] });
        store.events.push(...leases.leaseStore.state.snapshot());
      }
      leases = await openLeases({ store, log, clock });
    } else if (typeof each === 'object') await clock.turn(each.turn);
    else await each(model, leases, clock);
    deepEqual(fromRanges([...leases.leaseStore.state.line(model.total)]), model.line);
    equal(leases.leaseStore.state.counts(model.total, clock.now()).parked, model.parked.size);
    equal(leases.leaseStore.state.confirmedCount, model.total - model.line.length - model.parked.size);
  }
}

test('whatever happens, the lease leases is a queue with one window at its head', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), play), { numRuns: 200 });
});

test('a range set is a set', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 })), (members) => {
      const set = new RangeSet();
      for (const member of members) set.add(member);
      const sorted = [...new Set(members)].toSorted((a, b) => a - b);
      deepEqual(fromRanges(set.ranges), sorted);
      equal(set.size, sorted.length);
      const absent = fromRanges([...set.gaps(1, 40)]);
      deepEqual(
        [...sorted, ...absent].toSorted((a, b) => a - b),
        fromRanges([[1, 40]]),
      );
      for (let each = 1; each <= 40; each++) equal(set.has(each), sorted.includes(each));
      deepEqual(fromRanges(toRanges(members)), members);
    }),
  );
});
