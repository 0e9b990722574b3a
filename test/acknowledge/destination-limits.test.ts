// Limits by recipient domain: what goes when, and that those who wait hold up nobody. A clock that the test turns.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DestinationLimits,
  limitsOf,
  type Permit,
  type Slots,
} from '../../src/acknowledge/queue/destination-limits.ts';
import { domainOf } from '../../src/acknowledge/compose/recipient.ts';
import { Acknowledging } from '../support/acknowledging.ts';
import { MailSink } from '../support/mail-sink.ts';
import { request, TurnedClock } from '../support/memory.ts';

function around(connections: number, perSecond: number, exceptions: string[] = [], slots: Partial<Slots> = {}) {
  const clock = new TurnedClock();
  const limitOf = limitsOf({ connections, perSecond }, exceptions);
  const all = { fast: 100, slow: 100, shared: false, ...slots };
  const began: number[] = [];
  const held: Permit[] = [];
  /** Takes what may begin. */
  const take = (): void => {
    for (let next = limits.next(); next; next = limits.next()) {
      began.push(next.item);
      held.push(next.permit);
    }
  };
  const limits = new DestinationLimits<number>({ clock, limitOf, slots: all, free: take });
  const add = (domain: string, ...items: number[]): void => {
    for (const item of items) limits.add(domain, item);
    take();
  };
  /** The first permit that is still held of a domain is given back. */
  const release = (domain: string, answered?: boolean): void => {
    const at = held.findIndex((permit) => permit.domain === domain);
    held.splice(at, 1)[0]!.release(answered);
  };
  /** Lets a destination earn as many at once as it wants. */
  const warm = (domain: string, times: number): void => {
    for (let each = 0; each < times; each++) {
      add(domain, 0);
      release(domain, true);
    }
    began.length = 0;
  };
  return { clock, began, held, limits, add, release, warm };
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('as many as may go at once go; the others in their order, one for each that ends', () => {
  const { began, limits, add, release, warm } = around(2, 0);
  warm('a', 5);
  add('a', 1, 2, 3, 4, 5);
  assert.deepEqual(began, [1, 2]);
  add('b', 6);
  assert.deepEqual(began, [1, 2, 6]);
  assert.equal(limits.waiting, 3);
  release('a', true);
  // A newcomer does not overtake those who wait.
  add('a', 7);
  assert.deepEqual(began, [1, 2, 6, 3]);
  for (let each = 0; each < 5; each++) release('a', true);
  assert.deepEqual(began, [1, 2, 6, 3, 4, 5, 7]);
  assert.equal(limits.waiting, 0);
});

test('a destination begins with one at once, earns more by answering, and falls back to one when it does not', () => {
  const { began, add, release, held } = around(10, 0);
  add('a', ...numbers(1, 100));
  assert.equal(began.length, 1);
  release('a', true);
  assert.equal(held.length, 2);
  for (let each = 0; each < 8; each++) release('a', true);
  assert.equal(held.length, 10);
  release('a', false);
  for (let each = 0; each < 8; each++) release('a');
  assert.equal(held.length, 1);
});

test('a rate lets a second’s worth begin at once and then keeps to its pace', async () => {
  const { clock, began, held, add } = around(0, 10);
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 20) {
      for (const permit of held.splice(0)) permit.release(true);
      await clock.turn(20);
    }
  };
  add('a', ...numbers(1, 60));
  await pass(20);
  for (let each = 0; each < 10; each++) for (const permit of held.splice(0)) permit.release(true);
  assert.equal(began.length, 10);
  await pass(980);
  assert.ok(began.length >= 19 && began.length <= 20, `${began.length} in the first second`);
  await pass(3_000);
  assert.ok(began.length >= 48 && began.length <= 50, `${began.length} in four seconds`);
  await pass(2_000);
  assert.deepEqual(began, numbers(1, 60));
});

test('less than one a second is a rate too, and the exceptions have limits of their own', async () => {
  const { began, add, warm } = around(1, 0, ['open.example=0/0']);
  warm('open.example', 5);
  add('open.example', 4, 5, 6);
  assert.deepEqual(began, [4, 5, 6]);
  add('other.example', 7, 8);
  assert.deepEqual(began, [4, 5, 6, 7]);
  const slow = around(0, 0, ['slow.example=0/0.5']);
  slow.warm('slow.example', 1);
  await slow.clock.turn(2_000);
  slow.add('slow.example', 1, 2, 3);
  assert.deepEqual(slow.began, [1]);
  slow.release('slow.example', true);
  await slow.clock.turn(1_900);
  assert.deepEqual(slow.began, [1]);
  await slow.clock.turn(200);
  assert.deepEqual(slow.began, [1, 2]);
  await slow.clock.turn(2_000);
  assert.deepEqual(slow.began, [1, 2, 3]);
});

test('a permit is given back once, whatever happens, and its place is free again', () => {
  const { began, add, held } = around(1, 0);
  add('a', 1, 2, 3);
  const [permit] = held;
  permit!.release();
  permit!.release();
  assert.deepEqual(began, [1, 2]);
});

test('what takes long gives its slot to others: silent destinations cannot use up those of the quick ones', async () => {
  const { clock, began, add, warm } = around(10, 0, [], { fast: 5, slow: 3 });
  for (const each of numbers(1, 20)) warm(`good${each}.example`, 1);
  add('good1.example', ...numbers(1, 10));
  add('good2.example', ...numbers(11, 20));
  assert.ok(began.length < 5, 'one alone never takes all');
  for (const each of numbers(3, 20)) add(`good${each}.example`, each * 100);
  assert.equal(began.length, 5);
  // None of them ends. After a second others get their slots, as long as slots for slow ones last.
  await clock.turn(1_000);
  assert.ok(began.length > 5, `${began.length} began`);
});

test('a thousand destinations that were never heard of hold up none that answers', () => {
  const { began, add, warm } = around(10, 0, [], { fast: 5, slow: 3 });
  warm('good.example', 1);
  for (const each of numbers(1, 1_000)) add(`dead${each}.example`, each);
  assert.deepEqual(began, [1, 2, 3]);
  add('good.example', 5_000);
  assert.deepEqual(began, [1, 2, 3, 5_000]);
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
  // The first second's worth begins together, and one that opens a connection is overtaken by those that find one open.
  const order = taken('many.example').map((to) => Number(/\d+/.exec(to)?.[0]));
  order.forEach((number, place) => assert.ok(Math.abs(number - 1 - place) <= 10, `${number} came at ${place}`));
  await stage.stop();
});

test('waiting_count bounds what is read at once, and no number of waiting mails stops the reading', async (t) => {
  const here = await Acknowledging.open();
  const sink = await MailSink.open();
  t.after(async () => {
    await sink.close();
    await here.close();
  });
  let most = 0;
  for (let each = 0; each < 5_000; each++) here.log.add(request('Subject: x\r\n\r\nx'));
  const stage = await here.start(
    { relays: [sink.url], waiting_count: 50, domain_limits: ['registres.example=0/1'] },
    {
      durable: () => here.log.durable(),
      logId: () => here.log.logId(),
      close: () => here.log.close(),
      read: async (after, limit, signal) => {
        const batch = await here.log.read(after, limit, signal);
        most = Math.max(most, batch.length);
        return batch;
      },
    },
  );
  await here.pass(10_000);
  const sent = here.replay().counts.sent;
  assert.ok(sent >= 9 && sent <= 11, `${sent} in ten seconds`);
  assert.ok(most <= 50, `${most} in one read`);
  await stage.stop();
});
