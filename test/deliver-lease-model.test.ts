import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DeliverEvent } from '../src/deliver/lease-state.ts';
import { toRanges, fromRanges, RangeSet } from '../src/deliver/ranges.ts';
import { QueueError } from '../src/deliver/fault.ts';
import { openDesk } from './support/deliver.ts';
import { JournalStore, MemoryLog, request, TurnedClock } from './support/memory.ts';

type Step =
  | { do: 'add'; count: number }
  | { do: 'fetch'; client: string; attempt: string; max: number; leaseMs: number }
  | { do: 'confirm'; which: number; through: number }
  | { do: 'turn'; ms: number }
  | { do: 'restart' }
  | { do: 'compact' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({
    do: fc.constant('fetch' as const),
    client: fc.constantFrom('one', 'two'),
    attempt: fc.constantFrom('a', 'b', 'c'),
    max: fc.integer({ min: 1, max: 6 }),
    leaseMs: fc.constantFrom(10, 100),
  }),
  fc.record({
    do: fc.constant('confirm' as const),
    which: fc.nat({ max: 20 }),
    through: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({ do: fc.constant('turn' as const), ms: fc.constantFrom(1, 9, 60) }),
  fc.constant({ do: 'restart' as const }),
  fc.constant({ do: 'compact' as const }),
);

/** What the lease desk must do, in the plainest form: one counter, one window. */
class Model {
  total = 0;
  confirmed = 0;
  lease: { key: string; to: number; token: string; ends: number } | undefined;
  tokens: { token: string; to: number }[] = [];
  delivered = new Map<number, number>();

  live(now: number): boolean {
    return this.lease !== undefined && this.lease.ends > now && this.lease.to > this.confirmed;
  }
}

async function codeOf<T>(promise: Promise<T>): Promise<{ value: T } | { code: string }> {
  try {
    return { value: await promise };
  } catch (error) {
    ok(error instanceof QueueError, String(error));
    return { code: error.code };
  }
}

async function play(steps: readonly Step[]): Promise<void> {
  const log = new MemoryLog();
  const clock = new TurnedClock();
  let store = new JournalStore<DeliverEvent>();
  let desk = await openDesk({ store, log, clock });
  const model = new Model();
  let opens = 1;
  for (const each of steps) {
    opens++;
    if (each.do === 'add') {
      for (let added = 0; added < each.count; added++) log.add(request(`${++model.total}`));
    } else if (each.do === 'turn') await clock.turn(each.ms);
    else if (each.do === 'restart') {
      await desk.desk.stop();
      desk = await openDesk({ store, log, clock });
    } else if (each.do === 'compact') {
      await desk.desk.stop();
      const compact = new JournalStore<DeliverEvent>();
      // Epochs go on: the file of a compacted journal keeps them.
      for (let opened = 0; opened < opens; opened++) compact.open({ apply: () => undefined, snapshot: () => [] });
      compact.events.push(...desk.ledger.state.snapshot());
      store = compact;
      desk = await openDesk({ store, log, clock });
    } else if (each.do === 'fetch') await fetchStep(model, desk, clock, each);
    else await confirmStep(model, desk, clock, each);
    equal(desk.ledger.state.confirmedThrough, model.confirmed);
  }
}

type Desk = Awaited<ReturnType<typeof openDesk>>;

async function fetchStep(model: Model, desk: Desk, clock: TurnedClock, each: Extract<Step, { do: 'fetch' }>) {
  const { client: clientId, attempt, max, leaseMs } = each;
  const key = `${clientId} ${attempt}`;
  const result = await codeOf(desk.fetch(attempt, max, { clientId, leaseMs }));
  if (model.live(clock.now()) && model.lease?.key !== key) return deepEqual(result, { code: 'LEASE_HELD' });
  ok('value' in result, JSON.stringify(result));
  const { sequences, token } = result.value;
  const again = model.live(clock.now());
  const to = again ? (model.lease?.to ?? 0) : Math.min(model.confirmed + max, model.total);
  // First in first out, nothing skipped, nothing that is confirmed.
  deepEqual(sequences, fromRanges(to > model.confirmed ? [[model.confirmed + 1, to]] : []));
  if (sequences.length === 0) return equal(token, '');
  if (again) return equal(token, model.lease?.token);
  for (const sequence of sequences) model.delivered.set(sequence, (model.delivered.get(sequence) ?? 0) + 1);
  model.lease = { key, to, token, ends: clock.now() + leaseMs };
  ok(!model.tokens.some((old) => old.token === token));
  model.tokens.push({ token, to });
  deepEqual(
    result.value.request.map(({ deliveryCount }) => deliveryCount),
    sequences.map((sequence) => model.delivered.get(sequence)),
  );
}

async function confirmStep(model: Model, desk: Desk, clock: TurnedClock, each: Extract<Step, { do: 'confirm' }>) {
  const known = model.tokens[each.which % Math.max(model.tokens.length, 1)];
  const result = await codeOf(desk.confirm(known?.token ?? 'invented.token', each.through));
  if (!known) return deepEqual(result, { code: 'LEASE_LOST' });
  if (each.through <= model.confirmed) return ok('value' in result && result.value.alreadyConfirmed);
  const current = model.live(clock.now()) && model.lease?.token === known.token;
  if (!current) return deepEqual(result, { code: 'LEASE_LOST' });
  if (each.through > known.to) return deepEqual(result, { code: 'OUT_OF_ORDER' });
  model.confirmed = each.through;
  deepEqual(result, {
    value: { confirmedThrough: each.through, remaining: known.to - each.through, alreadyConfirmed: false },
  });
}

test('whatever happens, the lease desk is a queue with one window at its head', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => play(steps)),
    { numRuns: 150 },
  );
});

test('a range set is a set', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 })), (members) => {
      const set = new RangeSet();
      for (const member of members) set.add(member);
      const sorted = [...new Set(members)].toSorted((a, b) => a - b);
      deepEqual(fromRanges(set.ranges()), sorted);
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
