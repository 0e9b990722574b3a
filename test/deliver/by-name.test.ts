import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StoredRequest } from '../../src/model/request.ts';
import { nobody, openLeases } from '../support/deliver.ts';
import { MemoryLog, request, settle, TurnedClock } from '../support/memory.ts';

/** In these tests a message is the names it asks for. */
const namesOf = ({ message }: StoredRequest): string[] => message.toString().split(' ').filter(Boolean);

function logOf(...messages: string[]): MemoryLog {
  const log = new MemoryLog();
  for (const message of messages) log.add(request(message));
  return log;
}

test('several leases are out at once, never two for one name, the earlier first', async () => {
  const { fetch, confirm } = await openLeases({ log: logOf('a', 'b', 'a', 'c', 'b a', 'd', 'a'), namesOf });
  const one = await fetch('1', 2);
  const two = await fetch('2', 5);
  deepEqual(
    [one.sequences, two.sequences],
    [
      [1, 2],
      [4, 6],
    ],
  );
  deepEqual((await fetch('3', 5)).sequences, []);
  await confirm(one.token, 1);
  const three = await fetch('4', 5);
  deepEqual(three.sequences, [3]);
  await confirm(one.token, 2);
  deepEqual((await fetch('5', 5)).sequences, []);
  await confirm(three.token, 3);
  deepEqual((await fetch('6', 5)).sequences, [5]);
});

test('requests without a name stay strict among themselves, in one lease at a time', async () => {
  const { fetch, confirm } = await openLeases({ log: logOf('', 'a', '', '', 'b'), namesOf });
  const one = await fetch('1', 3);
  deepEqual(one.sequences, [1, 2, 3]);
  deepEqual((await fetch('2', 3)).sequences, [5]);
  await confirm(one.token, 3);
  deepEqual((await fetch('3', 3)).sequences, [4]);
});

test('a lease that expires, or a delay that ends, frees its names for who waits', async () => {
  const clock = new TurnedClock();
  const { leases, fetch } = await openLeases({ log: logOf('a', 'a'), namesOf, clock });
  await fetch('1', 5, { leaseMs: 10_000 });
  const waiting = leases.fetch({ clientId: 'r', attemptId: '2', max: 5, waitMs: 60_000 }, nobody);
  await settle();
  await clock.turn(10_000);
  const batch = await waiting;
  deepEqual(
    batch.request.map(({ sequence, deliveryCount }) => [sequence, deliveryCount]),
    [[1, 2]],
  );
  await leases.release({ leaseToken: batch.leaseToken ?? '', fromSequence: 1, delayMs: 5_000 }, nobody);
  deepEqual((await fetch('3')).sequences, []);
  await clock.turn(5_000);
  deepEqual((await fetch('4')).sequences, [1]);
});

test('leases of several clients survive a restart, and their names stay taken', async () => {
  const log = logOf('a', 'b', 'a', 'b', 'c');
  const first = await openLeases({ log, namesOf });
  const one = await first.fetch('1', 1, { clientId: 'x' });
  await first.fetch('2', 1, { clientId: 'y' });
  const next = await openLeases({ log, namesOf, store: first.store, clock: first.clock });
  deepEqual((await next.fetch('3', 9)).sequences, [5]);
  equal((await next.fetch('1', 1, { clientId: 'x' })).token, one.token);
});

test('whatever is confirmed in whatever order, each name goes in the order of the log', async () => {
  const message = fc.subarray(['a', 'b', 'c', 'd']).map((names) => names.join(' '));
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat({ max: 5 })), {
    minLength: 30,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 25, size: 'max' }), steps, async (messages, turns) => {
      const log = logOf(...messages);
      const { fetch, confirm } = await openLeases({ log, namesOf });
      const out: { token: string; sequences: number[] }[] = [];
      const done: number[] = [];
      const finish = async (which: number): Promise<void> => {
        const [batch] = out.splice(which % Math.max(out.length, 1), 1);
        if (!batch) return;
        await confirm(batch.token, batch.sequences.at(-1) ?? 0);
        done.push(...batch.sequences);
      };
      const begin = async (attempt: number, max: number): Promise<void> => {
        const batch = await fetch(`${attempt}`, max);
        const names = new Set(out.flatMap((each) => each.sequences).flatMap((each) => namesOf(log.stored[each - 1]!)));
        for (const each of batch.sequences) {
          const own = namesOf(log.stored[each - 1]!);
          ok(!own.some((name) => names.has(name)), 'two for one name are out');
          for (const name of own) names.add(name);
        }
        if (batch.sequences.length > 0) out.push(batch);
      };
      for (const [attempt, [max, which]] of turns.entries()) {
        await begin(attempt, max);
        if (which < 4) await finish(which);
      }
      while (done.length < messages.length) {
        await begin(1_000 + done.length, 9);
        ok(out.length > 0, 'stuck');
        while (out.length > 0) await finish(0);
      }
      for (const name of ['a', 'b', 'c', 'd', '']) {
        const order = done.filter((each) =>
          name === '' ? messages[each - 1] === '' : namesOf(log.stored[each - 1]!).includes(name),
        );
        deepEqual(
          order,
          order.toSorted((a, b) => a - b),
          `order of ${name || 'those without a name'}`,
        );
      }
      equal(new Set(done).size, messages.length);
    }),
    { numRuns: 60 },
  );
});

/** As `namesOf`; the mail `?` cannot be read. */
const namesOrNot = (each: StoredRequest): string[] | undefined =>
  each.message.toString() === '?' ? undefined : namesOf(each);

test('a mail that could not be read may ask for any name: it is leased alone, and nothing overtakes it', async () => {
  const { fetch, confirm } = await openLeases({ log: logOf('a', 'b', '?', 'a', 'c'), namesOf: namesOrNot });
  const one = await fetch('1', 1);
  const two = await fetch('2', 9);
  deepEqual([one.sequences, two.sequences], [[1], [2]]);
  deepEqual((await fetch('3', 9)).sequences, [], 'neither the unread one nor what stands behind it');
  await confirm(two.token, 2);
  deepEqual((await fetch('4', 9)).sequences, [], 'not while anything before it is leased');
  await confirm(one.token, 1);
  const alone = await fetch('5', 9);
  deepEqual(alone.sequences, [3]);
  deepEqual((await fetch('6', 9)).sequences, [], 'not while it is leased');
  await confirm(alone.token, 3);
  deepEqual((await fetch('7', 9)).sequences, [4, 5]);
});

test('a mail that could not be read is not overtaken while it waits behind a delay, nor after a restart', async () => {
  const log = logOf('?', 'a', 'b');
  const first = await openLeases({ log, namesOf: namesOrNot });
  const alone = await first.fetch('1', 9);
  deepEqual(alone.sequences, [1]);
  const next = await openLeases({ log, namesOf: namesOrNot, store: first.store, clock: first.clock });
  deepEqual((await next.fetch('2', 9)).sequences, []);
  await next.leases.release({ leaseToken: alone.token, fromSequence: 1, delayMs: 60_000 }, nobody);
  deepEqual((await next.fetch('3', 9)).sequences, []);
  await next.clock.turn(61_000);
  deepEqual((await next.fetch('4', 9)).sequences, [1]);
});

test('one popular name costs each Fetch only what is new, and names are read while others are served', async () => {
  const log = logOf(...Array<string>(10_000).fill('popular'), 'rare');
  let reads = 0;
  let held = false;
  const waiting: (() => void)[] = [];
  const counted = {
    durable: () => log.durable(),
    logId: () => log.logId(),
    close: () => log.close(),
    read: async (...args: Parameters<MemoryLog['read']>) => {
      const batch = await log.read(...args);
      reads += batch.length;
      return batch;
    },
  };
  const { fetch, confirm } = await openLeases({
    log: counted,
    namesOf: async (each) => {
      if (held) await new Promise<void>((go) => waiting.push(go));
      return namesOf(each);
    },
  });
  const first = await fetch('1', 2);
  deepEqual(first.sequences, [1]);
  const rare = await fetch('rare', 2);
  deepEqual(rare.sequences, [10_001]);
  reads = 0;
  for (let each = 2; each <= 6; each++) deepEqual((await fetch(String(each), 2)).sequences, []);
  ok(reads <= 10, `${reads} records were read in five Fetches`);
  await confirm(first.token, 1);
  const second = await fetch('7', 2);
  deepEqual(second.sequences, [2]);

  // A Confirm does not wait for mails that a Fetch reads.
  held = true;
  log.add(request('new'));
  const slow = fetch('8', 2);
  await settle();
  equal(waiting.length, 1);
  equal((await confirm(second.token, 2)).confirmedThrough, 2);
  held = false;
  for (const go of waiting) go();
  deepEqual((await slow).sequences, [3, 10_002]);
});
