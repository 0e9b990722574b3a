import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { ticketOf } from '../../src/model/ticket.ts';
import { call, filledLog, nobody, openLeases, openStage, valueOf, valuesOf } from '../support/deliver.ts';
import { MemoryLog, request, settle } from '../support/memory.ts';

const why = { reasonCode: 'E42', reasonText: 'no such holder' };

test('an extended lease lives for the time that was asked for, from then on', async () => {
  const { leases, fetch, clock } = await openLeases();
  const first = await fetch('a', 3, { leaseMs: 10_000 });
  await clock.turn(9_000);
  const { leaseExpires } = await leases.extend({ leaseToken: first.token, leaseMs: 10_000 }, nobody);
  equal(leaseExpires, clock.now() + 10_000);
  await clock.turn(9_999);
  await rejects(fetch('b'), { code: 'LEASE_HELD' });
  await clock.turn(1);
  await rejects(leases.extend({ leaseToken: first.token, leaseMs: 10_000 }, nobody), { code: 'LEASE_LOST' });
  deepEqual((await fetch('b')).sequences, [1, 2, 3]);
});

test('a delayed release holds up the line, not longer than it said, also across a restart', async () => {
  const { leases, fetch, confirm, clock, store } = await openLeases();
  const first = await fetch('a', 4);
  await leases.release({ leaseToken: first.token, fromSequence: 3, delayMs: 30_000 }, nobody);
  await confirm(first.token, 2);
  deepEqual((await fetch('b')).sequences, []);
  await clock.turn(20_000);
  leases.stop();
  const next = await openLeases({ store, clock });
  deepEqual((await next.fetch('c')).sequences, []);
  const waiting = next.leases.fetch({ clientId: 'r', attemptId: 'd', max: 2, waitMs: 60_000 }, nobody);
  await clock.turn(9_999);
  equal(store.events.filter(({ type }) => type === 'leased').length, 1);
  await clock.turn(1);
  deepEqual(
    (await waiting).request.map(({ sequence, deliveryCount }) => [sequence, deliveryCount]),
    [
      [3, 2],
      [4, 2],
    ],
  );
});

test('a parked request is passed, listed with who and why, and confirming past it is no harm', async () => {
  const { leases, park, fetch, confirm, clock } = await openLeases();
  const first = await fetch('a', 4);
  const { parkId } = await leases.park({ leaseToken: first.token, sequence: 2, ...why }, nobody);
  deepEqual(await leases.park({ leaseToken: first.token, sequence: 2, ...why }, nobody), { parkId });
  await leases.park({ leaseToken: first.token, sequence: 4, ...why }, nobody);
  deepEqual(await confirm(first.token, 4), { confirmedThrough: 4, remaining: 0, alreadyConfirmed: false });
  deepEqual(await confirm(first.token, 4), { confirmedThrough: 4, remaining: 0, alreadyConfirmed: true });
  const listed = { ...why, parkedBy: 'registry', parkedAt: clock.now(), deliveryCount: 1 };
  const two = { sequence: 2, ticket: ticketOf(2), parkId, ...listed };
  deepEqual(await park.listParked({ max: 1 }), { parked: [two] });
  deepEqual(
    (await park.listParked({ cursor: 2, max: 10 })).parked.map(({ sequence }) => sequence),
    [4],
  );
});

test('what was unparked comes back at the head or the tail, told where', async () => {
  const { leases, park, fetch, confirm } = await openLeases();
  const first = await fetch('a', 4);
  for (const sequence of [1, 2, 3, 4]) await leases.park({ leaseToken: first.token, sequence, ...why }, nobody);
  const operator = 'marguerite';
  deepEqual(await park.unpark({ sequence: 1, operator, place: 'tail' }), { position: 6 });
  deepEqual(await park.unpark({ sequence: 3, operator }), { position: 0 });
  deepEqual(await park.unpark({ sequence: 2, operator, place: 'head' }), { position: 0 });
  await rejects(park.unpark({ sequence: 3, operator }), { code: 'NOT_FOUND' });
  await rejects(park.unpark({ sequence: 4, operator, place: 'side' }), { code: 'BAD_ARGUMENT' });
  const all = await fetch('b', 20);
  deepEqual(all.sequences, [2, 3, 5, 6, 7, 8, 9, 10, 1]);
  deepEqual(await confirm(all.token, 1), { confirmedThrough: 10, remaining: 0, alreadyConfirmed: false });
});

test('a pause stops every Fetch, one that waits too, and outlives a restart', async () => {
  const log = new MemoryLog();
  const { leases, park, store, clock } = await openLeases({ log });
  const waiting = leases.fetch({ clientId: 'r', attemptId: 'a', max: 1, waitMs: 60_000 }, nobody);
  const refused = rejects(waiting, { code: 'PAUSED' });
  await settle();
  deepEqual(await park.pause({ reason: 'database is full' }), { state: 'paused' });
  await refused;
  const next = await openLeases({ log, store, clock });
  await rejects(next.fetch('b'), { code: 'PAUSED', message: 'The delivery is paused: database is full' });
  deepEqual(await next.park.resume({ reason: 'done' }), { state: 'delivering' });
  deepEqual((await next.fetch('b')).sequences, []);
});

test('Replay gives what is confirmed too, and moves nothing', async () => {
  const log = new MemoryLog();
  for (let each = 0; each < 10; each++) log.add(request(`${each}`, { receivedAt: 1_000 * each }));
  const { archive, fetch, confirm, store } = await openLeases({ log });
  const purpose = 'audit';
  await confirm((await fetch('a')).token, 3);
  const before = store.events.length;
  const sequences = async (input: Parameters<typeof archive.replay>[0]): Promise<number[]> =>
    (await archive.replay(input)).request.map(({ sequence }) => sequence);
  deepEqual(await sequences({ fromSequence: 2, max: 3, purpose }), [2, 3, 4]);
  deepEqual(await sequences({ fromTime: 6_500, max: 99, purpose }), [8, 9, 10]);
  deepEqual(await sequences({ fromTime: 0, max: 1, purpose }), [1]);
  await rejects(archive.replay({ fromSequence: 11, max: 1, purpose }), { code: 'RANGE' });
  await rejects(archive.replay({ fromTime: 9_001, max: 1, purpose }), { code: 'RANGE' });
  await rejects(archive.replay({ max: 1, purpose }), { code: 'BAD_ARGUMENT' });
  equal(store.events.length, before);
});

test('GetRequest finds by sequence, ticket or digest, and tells where it is', async () => {
  const log = filledLog(500);
  const { archive, leases, fetch, confirm } = await openLeases({ log });
  const first = await fetch('a', 4);
  await confirm(first.token, 1);
  await leases.park({ leaseToken: first.token, sequence: 2, ...why }, nobody);
  const states = await Promise.all(
    [1, 2, 3, 5].map(async (sequence) => (await archive.getRequest({ sequence }, nobody)).history),
  );
  deepEqual(
    states.map(({ state, leasedBy, leaseExpires, parked }) => [state, leasedBy, leaseExpires, parked?.reasonCode]),
    [
      ['confirmed', undefined, undefined, undefined],
      ['parked', undefined, undefined, 'E42'],
      ['leased', 'registry', first.leaseExpires, undefined],
      ['ready', undefined, undefined, undefined],
    ],
  );
  const last = log.stored[499];
  equal((await archive.getRequest({ ticket: ticketOf(500).toLowerCase() }, nobody)).request.sequence, 500);
  equal((await archive.getRequest({ sha256: last?.sha256.toUpperCase() ?? '' }, nobody)).request.sequence, 500);
  for (const absent of [{ sequence: 501 }, { ticket: 'SW-000000001-X' }, { sha256: '00' }]) {
    await rejects(archive.getRequest(absent, nobody), { code: 'NOT_FOUND' });
  }
  await rejects(archive.getRequest({}, nobody), { code: 'BAD_ARGUMENT' });
});

test('a token works for the client that got it, and for nobody else', async () => {
  const { leases } = await openLeases();
  const mine = { ...nobody, owner: 'registry' };
  const batch = await leases.fetch({ clientId: 'r', attemptId: 'a', max: 1 }, mine);
  const leaseToken = batch.leaseToken ?? '';
  const theirs = { ...nobody, owner: 'other' };
  await rejects(leases.confirm({ leaseToken, throughSequence: 1 }, theirs), { code: 'LEASE_LOST' });
  await rejects(leases.release({ leaseToken, fromSequence: 1 }, theirs), { code: 'LEASE_LOST' });
  await rejects(leases.fetch({ clientId: 'r', attemptId: 'a', max: 1 }, theirs), { code: 'LEASE_HELD' });
  equal((await leases.confirm({ leaseToken, throughSequence: 1 }, mine)).remaining, 0);
});

test('every operation goes over the wire', async (t) => {
  const { url } = await openStage(t);
  const leaseToken = valueOf((await call(url, 'Fetch', { clientId: 'r', attemptId: 'a', max: 4 })).text, 'leaseToken');
  const token = { leaseToken: leaseToken ?? '' };
  const answers = {
    leaseExpires: await call(url, 'Extend', { ...token, leaseMs: 60_000 }),
    parkId: await call(url, 'Park', { ...token, sequence: 2, ...why }),
    releasedCount: await call(url, 'Release', { ...token, fromSequence: 3, delayMs: 5 }),
    reasonText: await call(url, 'ListParked', { max: 5 }),
    position: await call(url, 'Unpark', { sequence: 2, operator: 'me', place: 'tail' }),
    sequence: await call(url, 'Replay', { fromTime: '2026-01-01T00:00:00+01:00', max: 2, purpose: 'test' }),
    state: await call(url, 'GetRequest', { sequence: 1 }),
  };
  for (const [name, { status, text }] of Object.entries(answers)) equal(status, 200, `${name}: ${text}`);
  for (const [name, { text }] of Object.entries(answers)) equal(valuesOf(text, name).length > 0, true, text);
  equal(valueOf(answers.state.text, 'state'), 'leased');
  equal(valueOf((await call(url, 'Pause', { reason: 'x' })).text, 'state'), 'paused');
  equal((await call(url, 'Fetch', { clientId: 'r', attemptId: 'b', max: 4 })).code, 'PAUSED');
  equal(valueOf((await call(url, 'Resume', { reason: 'x' })).text, 'state'), 'delivering');
});

test('what is known of the hour at which a request came stands behind the message', async () => {
  const log = new MemoryLog();
  const plain = request('Subject: x\r\n\r\n');
  const stamps = [{ early: true }, { phase: 'a-f' }, { late: true }, { rehearsal: true }, {}] as const;
  for (const each of stamps) log.add({ ...plain, client: { ...plain.client, ...each } });
  const { archive } = await openLeases({ log });
  const { request: given } = await archive.replay({ fromSequence: 1, max: 9, purpose: 'the hour' });
  const behind = given.map((each) => Object.entries(each).slice(Object.keys(each).indexOf('message') + 1));
  deepEqual(
    behind,
    stamps.map((each) => [['names', []], ...Object.entries(each)]),
  );
});
