// One registrar in trouble holds up nobody else: dead, slow and unwilling servers, by real SMTP and DNS on loopback.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test, type TestContext } from 'node:test';
import type { Stage } from '../../src/ports/stage.ts';
import { Acknowledging } from '../support/acknowledging.ts';
import { DnsServer } from '../support/dns-server.ts';
import { MailSink } from '../support/mail-sink.ts';
import { request } from '../support/memory.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

interface World {
  readonly here: Acknowledging;
  readonly sink: MailSink;
  readonly dns: DnsServer;
  readonly start: (ack: Record<string, unknown>, book?: string) => Promise<Stage>;
}

async function around(t: TestContext): Promise<World> {
  const here = await Acknowledging.open();
  const sink = await MailSink.open();
  const dns = await DnsServer.open();
  t.after(async () => {
    await sink.close();
    await dns.close();
    await here.close();
  });
  const start: World['start'] = async (ack, book) => {
    const stage = await here.start(ack, here.log, book);
    t.after(async () => {
      let stopped = false;
      const stopping = stage.stop().finally(() => (stopped = true));
      while (!stopped) await here.clock.turn(1_000);
      await stopping;
    });
    return stage;
  };
  return { here, sink, dns, start };
}

/** Acknowledgements straight to the recipients' servers, all of them on this machine. */
const direct = ({ sink, dns }: World): Record<string, unknown> => ({
  direct: true,
  direct_inside: true,
  direct_port: sink.port,
  dns_servers: [dns.address],
  dns_timeout_ms: 200,
});

/** How long a server may keep silent before a mail is taken back from it. */
const giveUpMs = 3_000_000;

const from = (address: string) =>
  request('Subject: x\r\n\r\ny\r\n', { envelope: { from: address, to: ['d@y.example'] } });

const many = (count: number, address: string): ReturnType<typeof request>[] =>
  Array.from({ length: count }, () => from(address));

const sentTo = ({ sink }: World, domain: string): number =>
  sink.taken.filter(({ to }) => to.endsWith(`@${domain}`)).length;

test('50,000 requests of a registrar whose server is dead: another one is answered at once, and memory stays flat', async (t) => {
  const world = await around(t);
  const { here, dns } = world;
  dns.zones['well.example'] = { A: ['127.0.0.1'] };
  // Nobody listens there: the sink is bound to 127.0.0.1 only.
  dns.zones['dead.example'] = { A: ['127.0.0.8'] };
  here.log.add(...many(50_000, 'x@dead.example'), from('y@well.example'));
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const began = here.clock.now();
  await world.start(direct(world));
  await here.turnUntil(() => sentTo(world, 'well.example') === 1, 100);
  assert.ok(here.clock.now() - began < 20_000, `${here.clock.now() - began} ms`);
  // Whatever waits for another try, the next one is answered too.
  await here.turnUntil(() => here.replay().pendingCount === 50_000, 100);
  here.log.add(from('y@well.example'));
  const later = here.clock.now();
  await here.turnUntil(() => sentTo(world, 'well.example') === 2, 20);
  assert.ok(here.clock.now() - later < 2_000, `${here.clock.now() - later} ms`);
  collectGarbage();
  const grown = (process.memoryUsage().heapUsed - before) / 1e6;
  // The test's own journal keeps each event: that is most of it.
  assert.ok(grown < 80, `${grown.toFixed()} MB more`);
  assert.equal(here.replay().counts.failed, 0);
});

test('while a relay is busy the log is read once, not once more for each mail', async (t) => {
  const world = await around(t);
  const { here, sink } = world;
  const count = 3_000;
  here.log.add(...many(count, 'x@well.example'));
  let read = 0;
  const give = here.log.read.bind(here.log);
  here.log.read = async (...how) => {
    const requests = await give(...how);
    read += requests.length;
    return requests;
  };
  await world.start({ relays: [sink.url], waiting_count: 800 });
  await here.turnUntil(() => sink.taken.length === count);
  assert.ok(read < count * 1.2, `${read} read`);
});

test('a relay that puts off one registrar’s mails for days delivers the others’', async (t) => {
  const world = await around(t);
  const { here, sink } = world;
  sink.answer = (to) => (to.endsWith('@full.example') ? { code: 452, text: 'mailbox full' } : undefined);
  here.log.add(...many(2_000, 'x@full.example'));
  await world.start({ relays: [sink.url], waiting_count: 20 });
  await here.turnUntil(() => here.replay().pendingCount === 2_000);
  here.log.add(...many(100, 'y@well.example'));
  const began = here.clock.now();
  await here.turnUntil(() => sentTo(world, 'well.example') === 100);
  assert.ok(here.clock.now() - began < 10_000, `${here.clock.now() - began} ms`);
  sink.answer = () => undefined;
  await here.turnUntil(() => here.replay().settledThrough === 2_100, 1_000);
  assert.equal(sink.taken.length, 2_100);
});

for (const way of ['relay', 'direct'] as const) {
  test(`a server that never answers (${way}), with 50,000 waiting for it, keeps few slots and delays nobody`, async (t) => {
    const world = await around(t);
    const { here, sink, dns } = world;
    for (const name of ['well.example', 'slow.example']) dns.zones[name] = { A: ['127.0.0.1'] };
    sink.answer = (to) => (to.endsWith('@slow.example') ? 'never' : undefined);
    here.log.add(...many(50_000, 'x@slow.example'), ...many(200, 'y@well.example'));
    const ack = way === 'relay' ? { relays: [sink.url] } : direct(world);
    await world.start({ ...ack, send_seconds: giveUpMs / 1_000 });
    const began = here.clock.now();
    await here.turnUntil(() => sentTo(world, 'well.example') === 200, 2);
    assert.ok(here.clock.now() - began < giveUpMs, 'before the silent one was given up');
    assert.ok(sink.offered - 200 <= 2, `${sink.offered - 200} slots for the silent one`);
  });
}

test('a thousand domains whose servers never answer delay nobody', async (t) => {
  const world = await around(t);
  const { here, sink, dns } = world;
  dns.zones['well.example'] = { A: ['127.0.0.1'] };
  sink.answer = (to) => (to.endsWith('@well.example') ? undefined : 'never');
  for (let each = 1; each <= 1_000; each++) {
    dns.zones[`silent${each}.example`] = { A: ['127.0.0.1'] };
    here.log.add(...many(3, `x@silent${each}.example`));
  }
  here.log.add(...many(50, 'y@well.example'));
  await world.start({
    ...direct(world),
    send_seconds: giveUpMs / 1_000,
    connect_seconds: 3_000,
    dns_timeout_ms: 20_000,
  });
  const began = here.clock.now();
  await here.turnUntil(() => sentTo(world, 'well.example') === 50, 2);
  assert.ok(here.clock.now() - began < giveUpMs, 'before any of them was given up');
});

const book = (contact: string): string =>
  `[[registrar]]\nid = "regsarl"\nname = "Registres SARL"\nnetworks = ["192.0.2.0/24"]\ncontact = "${contact}"\n`;

/** A request of the registrar in the book. */
const of = () => {
  const each = from('ops@registres.example');
  return { ...each, client: { ...each.client, registrar: { id: 'regsarl', by: 'network' as const } } };
};

test('a contact that changes while mails wait takes no room at the old domain for ever', async (t) => {
  const world = await around(t);
  const { here, sink } = world;
  const file = join(here.spool, 'registrars.toml');
  await writeFile(file, book('a@old.example'));
  sink.answer = () => ({ code: 450, text: 'not now' });
  const stage = await world.start({ relays: [sink.url], domain_connections: 1, retry_seconds: 10 }, file);
  // While one is being answered the others wait for it; meanwhile the contact moves.
  here.log.add(of(), of(), of(), of(), of());
  sink.answer = (to) => (to === 'a@old.example' && sink.offered < 3 ? { code: 450, text: 'not now' } : undefined);
  await here.turnUntil(() => here.replay().pendingCount > 0);
  await writeFile(file, book('b@new.example'));
  await stage.reload?.();
  await here.turnUntil(() => here.replay().settledThrough === 5, 1_000);
  assert.ok(sentTo(world, 'new.example') > 0);
  // And back again: the old domain still takes one after the other.
  await writeFile(file, book('a@old.example'));
  await stage.reload?.();
  const before = sentTo(world, 'old.example');
  here.log.add(of(), of(), of());
  await here.turnUntil(() => sentTo(world, 'old.example') === before + 3, 1_000);
});

test('mails that fail or need no answer give their permits back', async (t) => {
  const world = await around(t);
  const { here, sink } = world;
  await world.start({ relays: [sink.url], domain_connections: 1 });
  sink.answer = () => (sink.offered <= 5 ? { code: 550, text: 'no such user' } : undefined);
  here.log.add(...many(10, 'x@a.example'));
  here.log.add(
    request('Auto-Submitted: auto-replied\r\n\r\ny\r\n', { envelope: { from: 'x@a.example', to: ['d@y'] } }),
  );
  here.log.add(...many(5, 'x@a.example'));
  await here.turnUntil(() => here.replay().settledThrough === 16);
  assert.deepEqual(here.replay().counts, { sent: 10, skipped: 1, failed: 5 });
});
