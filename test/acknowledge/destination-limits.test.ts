// Limits by recipient domain: what goes when, and that those who wait hold up nobody. A clock that the test turns.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DestinationLimits, limitsOf } from '../../src/acknowledge/queue/destination-limits.ts';
import { domainOf } from '../../src/acknowledge/transport/mail-domain.ts';
import { Acknowledging } from '../support/acknowledging.ts';
import { MailSink } from '../support/mail-sink.ts';
import { request, TurnedClock } from '../support/memory.ts';

function around(connections: number, perSecond: number, exceptions: string[] = []) {
  const clock = new TurnedClock();
  const turns: number[] = [];
  const limitOf = limitsOf({ connections, perSecond }, exceptions);
  const gate = new DestinationLimits({ clock, limitOf, turn: (sequence) => void turns.push(sequence) });
  return { clock, turns, gate };
}

test('as many as may go at once go; the others in their order, one for each that leaves', () => {
  const { turns, gate } = around(2, 0);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((sequence) => gate.enter('a', sequence)),
    [true, true, false, false, false],
  );
  assert.equal(gate.enter('b', 6), true);
  assert.equal(gate.waiting, 3);
  gate.leave('a');
  assert.deepEqual(turns, [3]);
  // A newcomer does not overtake the one whose turn has come, nor those who wait.
  assert.equal(gate.enter('a', 7), false);
  assert.equal(gate.enter('a', 3), true);
  gate.leave('a');
  gate.leave('a');
  assert.deepEqual(turns, [3, 4, 5]);
  assert.equal(gate.enter('a', 4), true);
  assert.equal(gate.enter('a', 5), true);
  for (const domain of ['a', 'a', 'b']) gate.leave(domain);
  assert.deepEqual(turns, [3, 4, 5, 7]);
  assert.equal(gate.waiting, 0);
});

test('a rate lets a second’s worth begin at once and then keeps to its pace', async () => {
  const { clock, turns, gate } = around(0, 10);
  const began = Array.from({ length: 60 }, (_, sequence) => gate.enter('a', sequence)).filter(Boolean).length;
  assert.equal(began, 10);
  await clock.turn(1_000);
  assert.ok(turns.length >= 9 && turns.length <= 10, `${turns.length} in the first second`);
  await clock.turn(3_000);
  assert.ok(turns.length >= 38 && turns.length <= 40, `${turns.length} in four seconds`);
  assert.deepEqual(
    turns,
    turns.toSorted((a, b) => a - b),
  );
  await clock.turn(2_000);
  assert.equal(turns.length, 50);
});

test('less than one a second is a rate too, and the exceptions have limits of their own', async () => {
  const { clock, turns, gate } = around(1, 0, ['slow.example=0/0.5', 'open.example=0/0']);
  assert.deepEqual(
    [1, 2, 3].map((each) => gate.enter('slow.example', each)),
    [true, false, false],
  );
  assert.deepEqual(
    [4, 5, 6].map((each) => gate.enter('open.example', each)),
    [true, true, true],
  );
  assert.deepEqual(
    [7, 8].map((each) => gate.enter('other.example', each)),
    [true, false],
  );
  await clock.turn(1_900);
  assert.deepEqual(turns, []);
  await clock.turn(2_200);
  assert.deepEqual(turns, [2, 3]);
});

test('the domain of an address is what DNS would be asked for', () => {
  assert.equal(domainOf('x@Registres.EXAMPLE.'), 'registres.example');
  assert.equal(domainOf('"a@b"@käse.example'), 'xn--kse-qla.example');
  assert.equal(domainOf('x@[IPv6:::1]'), '[ipv6:::1]');
  assert.equal(domainOf('x@not a domain'), '');
});

const from = (name: string, domain: string) =>
  request('Subject: x\r\n\r\n2a..: a.example\r\n', { envelope: { from: `${name}@${domain}`, to: ['x@y'] } });

test('a domain at its limit waits aside and holds up neither senders nor other domains', async (t) => {
  const here = await Acknowledging.open();
  const sink = await MailSink.open();
  t.after(async () => {
    await sink.close();
    await here.close();
  });
  for (let each = 1; each <= 200; each++) here.log.add(from(`r${each}`, 'many.example'));
  for (let each = 1; each <= 50; each++) here.log.add(from(`s${each}`, 'few.example'));
  const limits = { domain_limits: ['many.example=0/10'], waiting_count: 300 };
  const stage = await here.start({ relays: [sink.url], connections: 3, ...limits });
  const taken = (domain: string): string[] => sink.taken.filter(({ to }) => to.endsWith(domain)).map(({ to }) => to);
  const began = here.clock.now();
  await here.turnUntil(() => taken('few.example').length === 50, 20);
  assert.ok(taken('many.example').length < 100, `${taken('many.example').length} of the domain with the limit`);
  await here.turnUntil(() => here.replay().settledThrough === 250);
  const seconds = (here.clock.now() - began) / 1000;
  assert.ok(seconds >= 18, `200 mails at 10 a second took ${seconds} s`);
  // Three senders may change places, no more.
  const order = taken('many.example').map((to) => Number(/\d+/.exec(to)?.[0]));
  order.forEach((number, place) => assert.ok(Math.abs(number - 1 - place) <= 3, `${number} came at ${place}`));
  await stage.stop();
});

test('those who wait aside count for waiting_count, so that memory is bounded', async (t) => {
  const here = await Acknowledging.open();
  const sink = await MailSink.open();
  t.after(async () => {
    await sink.close();
    await here.close();
  });
  let read = 0;
  for (let each = 0; each < 500; each++) here.log.add(request('Subject: x\r\n\r\nx'));
  const reader = { durable: () => here.log.durable(), logId: () => here.log.logId(), close: () => here.log.close() };
  const stage = await here.start(
    { relays: [sink.url], waiting_count: 50, domain_limits: ['registres.example=0/1'] },
    {
      ...reader,
      read: async (after, limit, signal) => {
        const batch = await here.log.read(after, limit, signal);
        for (const { sequence } of batch) read = Math.max(read, sequence);
        return batch;
      },
    },
  );
  await here.pass(10_000);
  const sent = here.replay().counts.sent;
  assert.ok(sent >= 9 && sent <= 11, `${sent} in ten seconds`);
  assert.ok(read <= 50 + sent + 1, `${read} read`);
  await stage.stop();
});
