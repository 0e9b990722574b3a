// Without a relay: straight to the recipients' servers, by real DNS over UDP and real SMTP, both on loopback.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { inOrder, isInside } from '../../src/acknowledge/transport/mx-lookup.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Stage } from '../../src/ports/stage.ts';
import { Acknowledging } from '../support/acknowledging.ts';
import { DnsServer } from '../support/dns-server.ts';
import { MailSink } from '../support/mail-sink.ts';
import { request } from '../support/memory.ts';

const down = 'relay cannot be used; it is tried again after a pause';

/** A stage's surroundings, a name server, and a mail server on 127.0.0.1. */
class World {
  readonly here: Acknowledging;
  readonly dns: DnsServer;
  readonly sink: MailSink;

  private constructor(here: Acknowledging, dns: DnsServer, sink: MailSink) {
    this.here = here;
    this.dns = dns;
    this.sink = sink;
  }

  static async open(t: TestContext): Promise<World> {
    const world = new World(await Acknowledging.open(), await DnsServer.open(), await MailSink.open());
    t.after(async () => {
      await world.sink.close();
      await world.dns.close();
      await world.here.close();
    });
    return world;
  }

  async start(t: TestContext, ack: Record<string, unknown> = {}): Promise<Stage> {
    const dns = { dns_servers: [this.dns.address], dns_timeout_ms: 200 };
    const stage = await this.here.start({
      direct: true,
      direct_inside: true,
      direct_port: this.sink.port,
      ...dns,
      ...ack,
    });
    t.after(async () => {
      let stopped = false;
      const stopping = stage.stop().finally(() => (stopped = true));
      while (!stopped) await this.here.clock.turn(1_000);
      await stopping;
    });
    return stage;
  }

  /** Adds a request from each address. */
  from(...senders: string[]): void {
    this.here.log.add(
      ...senders.map((from) => request('Subject: x\r\n\r\n2a..: a.example\r\n', { envelope: { from, to: ['x@y'] } })),
    );
  }

  settled(through: number): Promise<void> {
    return this.here.turnUntil(() => this.here.replay().settledThrough === through);
  }

  get failures(): string[] {
    return this.here.replay().failures.map(({ text }) => text);
  }
}

test('the best mail exchange takes the mail; the next one when that is not there', async (t) => {
  const world = await World.open(t);
  const { zones } = world.dns;
  zones['a.example'] = {
    MX: [
      [20, 'second.a.example'],
      [10, 'first.a.example'],
    ],
  };
  zones['first.a.example'] = { A: ['127.0.0.1'] };
  zones['second.a.example'] = { A: ['127.0.0.9'] };
  zones['b.example'] = {
    MX: [
      [5, 'dead.b.example'],
      [10, 'alive.b.example'],
    ],
  };
  // Nobody listens there: the sink is bound to 127.0.0.1 only.
  zones['dead.b.example'] = { A: ['127.0.0.8'] };
  zones['alive.b.example'] = { A: ['127.0.0.1'] };
  world.from('x@a.example', 'y@b.example', 'z@A.Example');
  await world.start(t);
  await world.settled(3);
  assert.deepEqual(world.sink.taken.map(({ to }) => to).toSorted(), ['x@a.example', 'y@b.example', 'z@A.Example']);
  assert.equal(world.dns.count('MX a.example'), 1, 'one lookup for one domain, however it is written');
});

test('without MX the domain itself is the server, by A and by AAAA (RFC 5321 section 5.1)', async (t) => {
  const world = await World.open(t);
  world.dns.zones['plain.example'] = { A: ['127.0.0.1'] };
  world.dns.zones['six.example'] = { AAAA: ['::ffff:7f00:1'] };
  world.from('x@plain.example', 'x@six.example');
  await world.start(t);
  await world.settled(2);
  assert.equal(world.sink.taken.length, 2, String(world.failures));
});

test('a null MX, a domain that does not exist and one without any server are refused for good', async (t) => {
  const world = await World.open(t);
  world.dns.zones['null.example'] = { MX: [[0, '.']], A: ['127.0.0.1'] };
  world.dns.zones['empty.example'] = {};
  world.from('x@null.example', 'x@no-such.example', 'x@empty.example', 'x@[127.0.0.1]');
  await world.start(t);
  await world.settled(4);
  assert.deepEqual(world.here.replay().counts, { sent: 0, skipped: 0, failed: 4 });
  const said = [/null MX/, /does not exist/, /no mail server/, /no domain that DNS could know/];
  for (const words of said)
    assert.ok(
      world.failures.some((text) => words.test(text)),
      `${words}: ${world.failures.join()}`,
    );
});

const exchange = (name: string, preference: number) => ({ name, preference, addresses: ['192.0.2.1'] });

test('exchanges of one preference share the mail; ourselves and what is worse is left out', () => {
  const all = [exchange('c', 20), exchange('a', 10), exchange('b', 10), exchange('d', 30)];
  const order = (self: string, ...lots: number[]) =>
    inOrder(all, self, () => lots.shift() ?? 0.5).map(({ name }) => name);
  assert.deepEqual(order('us', 0.5, 0.1, 0.9), ['a', 'b', 'c', 'd']);
  assert.deepEqual(order('us', 0.5, 0.9, 0.1), ['b', 'a', 'c', 'd']);
  assert.deepEqual(order('c', 0.1, 0.9), ['a', 'b']);
  assert.deepEqual(order('a'), []);
});

test('an exchange that is this machine or on a private network gets nothing, unless that is configured', async (t) => {
  const world = await World.open(t);
  world.dns.zones['evil.example'] = { MX: [[1, 'mx.evil.example']] };
  world.dns.zones['mx.evil.example'] = { A: ['127.0.0.1', '10.0.0.1', '0.0.0.0'], AAAA: ['::1', '::ffff:7f00:1'] };
  world.from('x@evil.example');
  await world.start(t, { direct_inside: false });
  await world.here.turnUntil(() => world.here.replay().pending.length === 1);
  assert.match(world.here.replay().pending[0]!.text, /this machine, or on a private network/);
  assert.equal(world.sink.connections, 0);
  for (const address of ['192.168.7.7', '172.31.0.1', '169.254.1.1', 'fe80::1', 'fd00::1', '::', '255.255.255.255'])
    assert.ok(isInside(address, nodeRuntime.network), address);
  for (const address of ['192.0.2.1', '172.32.0.1', '2001:db8::1', '::ffff:c000:201'])
    assert.ok(!isInside(address, nodeRuntime.network), address);
});

test('a domain whose server is dead holds up nobody, and is asked once a pause', async (t) => {
  const world = await World.open(t);
  world.dns.zones['dead.example'] = { A: ['127.0.0.8'] };
  world.dns.zones['good.example'] = { A: ['127.0.0.1'] };
  world.from(...Array.from({ length: 60 }, (_, each) => `r${each}@${each % 2 === 0 ? 'dead' : 'good'}.example`));
  await world.start(t, { retry_seconds: 100, retry_seconds_max: 100, domain_connections: 2 });
  await world.here.turnUntil(() => world.here.replay().counts.sent === 30 && world.here.replay().pending.length === 30);
  assert.ok(world.here.linesOf(down).length <= 2);
  await world.here.pass(1_000_000);
  const downs = world.here.linesOf(down);
  assert.ok(downs.length >= 5 && downs.length <= 12, `${downs.length} attempts in ten pauses`);
  assert.ok(downs.every(({ relay }) => relay === 'dead.example'));
  assert.deepEqual(world.here.replay().counts, { sent: 30, skipped: 0, failed: 0 });
  // Its server comes up elsewhere, and DNS says so.
  world.dns.zones['dead.example'] = { A: ['127.0.0.1'] };
  await world.here.clock.turn(90_000_000);
  await world.here.turnUntil(() => world.here.replay().counts.sent === 60, 10_000);
});

test('a slow or broken DNS puts off whom it concerns, and nobody else', async (t) => {
  const world = await World.open(t);
  world.dns.zones['a.example'] = { A: ['127.0.0.1'] };
  world.from('x@a.example');
  await world.start(t, { retry_seconds: 10 });
  await world.settled(1);
  world.dns.mode = 'fail';
  world.from('x@b.example', 'y@a.example');
  await world.here.turnUntil(() => world.here.replay().counts.sent === 2);
  await world.here.turnUntil(() => world.here.replay().pending.length === 1);
  assert.match(world.here.replay().pending[0]!.text, /^DNS: /);
  world.dns.mode = 'answer';
  world.dns.zones['b.example'] = { A: ['127.0.0.1'] };
  await world.here.turnUntil(() => world.here.replay().counts.sent === 3, 1_000);
});

test('a domain is looked up as soon as a request is read, before its turn', async (t) => {
  const world = await World.open(t);
  world.sink.answer = () => 'never';
  world.dns.zones['slow.example'] = { A: ['127.0.0.1'] };
  world.from('x@slow.example', 'x@later.example');
  await world.start(t, { direct_connections: 1 });
  await world.sink.until(() => world.sink.offered === 1);
  // The only sender is held up by the first mail.
  await world.dns.until(() => world.dns.count('MX later.example') === 1);
});

test('never more connections to a domain than it may have, while another domain goes on', async (t) => {
  const world = await World.open(t);
  for (const name of ['a.example', 'b.example']) world.dns.zones[name] = { A: ['127.0.0.1'] };
  let answers = 10;
  world.sink.answer = (to) => (to.endsWith('@a.example') && answers-- <= 0 ? 'never' : undefined);
  world.from(...Array.from({ length: 50 }, (_, each) => `r${each}@a.example`));
  world.from(...Array.from({ length: 20 }, (_, each) => `r${each}@b.example`));
  await world.start(t, {
    domain_connections: 8,
    domain_limits: ['a.example=3/0'],
    direct_connections: 12,
    send_seconds: 3_000,
  });
  await world.here.turnUntil(() => world.here.replay().counts.sent === 30);
  assert.equal(world.sink.offered, 33);
  assert.ok(world.sink.most <= 3 + 8, `${world.sink.most} connections`);
});

test('ack.direct with a relay is an error', async (t) => {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  assert.throws(() => here.start({ direct: true, relays: ['smtp://127.0.0.1'] }), /exclude one another/);
});
