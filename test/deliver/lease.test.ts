import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../src/lib/async.ts';
import { pino } from 'pino';
import type { DeliverEvent } from '../../src/deliver/leases/lease-state.ts';
import { LeaseState } from '../../src/deliver/leases/lease-state.ts';
import { tokenOf } from '../../src/deliver/leases/live-leases.ts';
import { DamagedLogError } from '../../src/model/errors.ts';
import { filledLog, nobody, openLeases } from '../support/deliver.ts';
import { JournalStore, MemoryLog, request, settle } from '../support/memory.ts';

test('requests are leased first in first out, and a confirmed lease ends at once', async () => {
  const { fetch, confirm } = await openLeases();
  const first = await fetch('a');
  deepEqual(first.sequences, [1, 2, 3]);
  equal(first.ready, 7);
  equal(first.oldestReceivedAt, first.request[0]?.receivedAt);
  deepEqual(await confirm(first.token, 2), { confirmedThrough: 2, remaining: 1, alreadyConfirmed: false });
  await rejects(fetch('b'), { code: 'LEASE_HELD' });
  deepEqual(await confirm(first.token, 3), { confirmedThrough: 3, remaining: 0, alreadyConfirmed: false });
  deepEqual((await fetch('b')).sequences, [4, 5, 6]);
});

test('the same attempt gets the same batch and token, and is not a second delivery', async () => {
  const { fetch } = await openLeases();
  const first = await fetch('a');
  const again = await fetch('a', 9);
  equal(again.token, first.token);
  deepEqual(again.sequences, [1, 2, 3]);
  deepEqual(
    again.request.map(({ deliveryCount }) => deliveryCount),
    [1, 1, 1],
  );
});

test('another attempt, or another client, is told when the lease ends', async () => {
  const { fetch, clock } = await openLeases();
  const first = await fetch('a', 3, { leaseMs: 10_000 });
  equal(first.leaseExpires, clock.now() + 10_000);
  const detail = { leaseExpires: first.leaseExpires };
  await rejects(fetch('b'), { code: 'LEASE_HELD', detail });
  await rejects(fetch('a', 3, { clientId: 'other' }), { code: 'LEASE_HELD', detail });
});

test('an expired lease goes back to the head and is delivered again, counted', async () => {
  const { fetch, confirm, clock } = await openLeases();
  const lost = await fetch('a', 3, { leaseMs: 5_000 });
  await clock.turn(5_000);
  await rejects(confirm(lost.token, 3), { code: 'LEASE_LOST' });
  const next = await fetch('b', 4);
  deepEqual(
    next.request.map(({ sequence, deliveryCount }) => [sequence, deliveryCount]),
    [
      [1, 2],
      [2, 2],
      [3, 2],
      [4, 1],
    ],
  );
  await rejects(confirm(lost.token, 1), { code: 'LEASE_LOST' });
});

test('what is confirmed may be confirmed again, even when the lease has long ended', async () => {
  const { fetch, confirm, clock } = await openLeases();
  const first = await fetch('a');
  await confirm(first.token, 3);
  const done = { confirmedThrough: 3, remaining: 0, alreadyConfirmed: true };
  deepEqual(await confirm(first.token, 3), done);
  await clock.turn(10_000_000);
  deepEqual(await confirm(first.token, 2), done);
});

test('a sequence beyond the lease, and a token that we did not make, are refused', async () => {
  const { fetch, confirm } = await openLeases();
  const first = await fetch('a');
  await rejects(confirm(first.token, 4), { code: 'OUT_OF_ORDER', detail: { confirmedThrough: 0 } });
  await confirm(first.token, 3);
  const invented = [tokenOf('00'.repeat(32), first.batchId ?? ''), `${first.token}x`, `x${first.token}`, 'x', '.'];
  for (const token of invented) await rejects(confirm(token, 1), { code: 'LEASE_LOST' }, token);
});

test('leases, deliveries and confirmations survive a restart', async () => {
  const { fetch, confirm, store, clock } = await openLeases();
  const first = await fetch('a', 3, { leaseMs: 60_000 });
  await confirm(first.token, 1);
  await clock.turn(20_000);
  const next = await openLeases({ store, clock });
  await rejects(next.fetch('b'), { code: 'LEASE_HELD' });
  const again = await next.fetch('a');
  deepEqual(again.sequences, [2, 3]);
  equal(again.token, first.token);
  equal(again.leaseExpires, first.leaseExpires);
  await clock.turn(40_000);
  equal((await next.fetch('b')).request[0]?.deliveryCount, 2);
});

test('a clock that was set back while we were down gives no lease more time than it was granted', async () => {
  const { fetch, store, clock } = await openLeases();
  await fetch('a', 3, { leaseMs: 60_000 });
  const back = clock.now.bind(clock);
  clock.now = () => back() - 86_400_000;
  const next = await openLeases({ store, clock });
  await clock.turn(60_000);
  equal((await next.fetch('b')).request[0]?.deliveryCount, 2);
});

test('after a restore an older journal refuses what it did not see', async () => {
  const { fetch, confirm, store } = await openLeases();
  await confirm((await fetch('a')).token, 3);
  const backup = store.events.slice();
  const late = await fetch('b');
  const restored = new JournalStore<DeliverEvent>();
  restored.events.push(...backup);
  // The restored journal begins another epoch, as the real one's randomness sees to.
  await restored.open(new LeaseState()).close();
  const leases = await openLeases({ store: restored });
  deepEqual((await leases.fetch('c')).sequences, late.sequences);
  await rejects(leases.confirm(late.token, 6), { code: 'LEASE_LOST' });
  equal((await leases.confirm(late.token, 3)).alreadyConfirmed, true);
});

test('nothing ready gives an empty batch without a lease', async () => {
  const { fetch, store } = await openLeases({ log: new MemoryLog() });
  const empty = await fetch('a');
  deepEqual(
    [empty.batchId, empty.leaseToken, empty.leaseExpires, empty.request, empty.ready],
    [undefined, undefined, undefined, [], 0],
  );
  deepEqual(
    store.events.map(({ type }) => type),
    ['secret'],
  );
});

test('maxBytes ends a batch, but one request always fits', async () => {
  const log = new MemoryLog();
  for (const size of [10, 10, 500, 10]) log.add(request('x'.repeat(size)));
  const { leases, confirm } = await openLeases({ log });
  const batches: number[][] = [];
  for (const attemptId of ['a', 'b', 'c']) {
    const batch = await leases.fetch({ clientId: 'r', attemptId, max: 10, maxBytes: 25 }, nobody);
    batches.push(batch.request.map(({ sequence }) => sequence));
    await confirm(batch.leaseToken ?? '', batch.request.at(-1)?.sequence ?? 0);
  }
  deepEqual(batches, [[1, 2], [3], [4]]);
});

test('a waiting fetch is answered as soon as a request is durable', async () => {
  const log = new MemoryLog();
  const { leases } = await openLeases({ log });
  const waiting = leases.fetch({ clientId: 'r', attemptId: 'a', max: 5, waitMs: 30_000 }, nobody);
  await settle();
  log.add(request('one'), request('two'));
  equal((await waiting).request.length, 2);
});

test('a waiting fetch gives up when its time is over', async () => {
  const { leases, clock } = await openLeases({ log: new MemoryLog() });
  const waiting = leases.fetch({ clientId: 'r', attemptId: 'a', max: 5, waitMs: 30_000 }, nobody);
  await clock.turn(29_999);
  let answered = false;
  void waiting.then(() => (answered = true));
  await settle();
  equal(answered, false);
  await clock.turn(1);
  deepEqual((await waiting).request, []);
});

test('a client that has hung up while waiting gets no lease', async () => {
  const log = new MemoryLog();
  const { leases, store, fetch } = await openLeases({ log });
  const client = new AbortController();
  const waiting = leases.fetch(
    { clientId: 'r', attemptId: 'a', max: 5, waitMs: 30_000 },
    { owner: '', signal: client.signal },
  );
  await settle();
  client.abort();
  deepEqual((await waiting).request, []);
  log.add(request('one'));
  await settle();
  deepEqual(
    store.events.map(({ type }) => type),
    ['secret'],
  );
  const second = new AbortController();
  second.abort();
  deepEqual(
    (await leases.fetch({ clientId: 'r', attemptId: 'b', max: 5 }, { owner: '', signal: second.signal })).request,
    [],
  );
  deepEqual((await fetch('c')).sequences, [1]);
});

test('waiting fetches end when the stage stops', async () => {
  const { leases } = await openLeases({ log: new MemoryLog() });
  const waiting = leases.fetch({ clientId: 'r', attemptId: 'a', max: 5, waitMs: 30_000 }, nobody);
  await settle();
  leases.stop();
  deepEqual((await waiting).request, []);
});

test('concurrent fetches of one attempt are one lease; those of others are refused', async () => {
  const { fetch } = await openLeases();
  const [one, two, other] = await Promise.allSettled([fetch('a'), fetch('a'), fetch('b')]);
  ok(one.status === 'fulfilled' && two.status === 'fulfilled');
  equal(one.value.token, two.value.token);
  equal(other.status, 'rejected');
});

test('an answer waits until its events are durable', async () => {
  const store = new JournalStore<DeliverEvent>();
  const gate = deferred<void>();
  const open = store.open.bind(store);
  store.open = (state) => {
    const journal = open(state);
    return {
      ...journal,
      append: async (events) => {
        if (events.some(({ type }) => type !== 'secret')) await gate.promise;
        await journal.append(events);
      },
    };
  };
  const { fetch } = await openLeases({ store });
  let answered = false;
  const waiting = fetch('a').then(() => (answered = true));
  await settle();
  equal(answered, false);
  gate.resolve();
  await waiting;
});

test('after a failed append nothing is answered any more', async () => {
  const { fetch, confirm, store, leaseStore } = await openLeases();
  const first = await fetch('a');
  store.failure = new Error('no space left');
  await rejects(confirm(first.token, 3), { code: 'UNAVAILABLE' });
  store.failure = undefined;
  equal((await leaseStore.failed).message, 'no space left');
  await rejects(confirm(first.token, 3), { code: 'UNAVAILABLE' });
  await rejects(fetch('a'), { code: 'UNAVAILABLE' });
  equal((await openLeases({ store })).leaseStore.state.confirmedThrough, 0);
});

test('a damaged request stops the delivery at its place', async () => {
  const log = filledLog(5);
  const read = log.read.bind(log);
  log.read = async (after, limit, signal) => {
    const batch = await read(after, limit, signal);
    if (batch.some(({ sequence }) => sequence === 2)) throw new DamagedLogError('request 2');
    return batch;
  };
  const { fetch, confirm } = await openLeases({ log });
  await confirm((await fetch('a', 1)).token, 1);
  await rejects(fetch('b', 1), DamagedLogError);
  await rejects(fetch('c', 1), DamagedLogError);
});

test('the journal holds what is outstanding, not history', async () => {
  const { fetch, confirm, leaseStore, store } = await openLeases({ log: filledLog(400) });
  for (let each = 0; each < 100; each++) {
    const batch = await fetch(`a${each}`, 3);
    await confirm(batch.token, batch.sequences.at(-1) ?? 0);
  }
  const open = await fetch('last');
  ok(store.events.length > 200);
  const compact = leaseStore.state.snapshot();
  ok(JSON.stringify(compact).length < 700, JSON.stringify(compact));
  const copy = new JournalStore<DeliverEvent>();
  copy.events.push(...compact);
  const again = await openLeases({ store: copy, log: filledLog(400) });
  deepEqual((await again.fetch('last')).sequences, open.sequences);
  deepEqual(again.leaseStore.state.snapshot(), compact);
});

test('each lease, confirmation and expiry is one line in the log, without the token', async () => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  const { fetch, confirm, clock } = await openLeases({ logger });
  const first = await fetch('a');
  await confirm(first.token, 2);
  await clock.turn(400_000);
  deepEqual(
    lines.map(({ msg, batchId, clientId, from, to }) => [msg, batchId, clientId, from, to]),
    [
      ['batch leased', first.batchId, 'registry', 1, 3],
      ['batch confirmed', first.batchId, 'registry', 1, 2],
      ['lease expired', first.batchId, 'registry', 3, 3],
    ],
  );
  equal(lines[0]?.ticket, first.request[0]?.ticket);
  equal(JSON.stringify(lines).includes(first.token.split('.').at(-1) ?? ''), false);
});
