// What a connection that breaks costs, and what it does not: real SMTP over loopback, servers that are killed and come back.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Trouble } from '../../src/acknowledge/transport/transport.ts';
import { readTransportStatus } from '../../src/acknowledge/transport/transport-status.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Stage } from '../../src/ports/stage.ts';
import { Acknowledging } from '../support/acknowledging.ts';
import { MailSink, type SinkOptions } from '../support/mail-sink.ts';
import { request, settle } from '../support/memory.ts';

const down = 'relay cannot be used; it is tried again after a pause';

async function around(t: TestContext): Promise<Acknowledging> {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  return here;
}

async function sinkFor(t: TestContext, options: SinkOptions = {}): Promise<MailSink> {
  const sink = await MailSink.open(options);
  t.after(() => sink.close());
  return sink;
}

function stopAfter(t: TestContext, { clock }: Acknowledging, stage: Stage): void {
  t.after(async () => {
    let stopped = false;
    const stopping = stage.stop().finally(() => (stopped = true));
    while (!stopped) await clock.turn(1_000);
    await stopping;
  });
}

/** What `seawall status` would be told of the relays, once it is this many that are in trouble. */
async function troubles(here: Acknowledging, count: number): Promise<readonly Trouble[]> {
  for (;;) {
    const said = await readTransportStatus(nodeRuntime, here.spool);
    if (said?.troubled === count) return said.troubles;
    await settle();
  }
}

const requests = (count: number): ReturnType<typeof request>[] =>
  Array.from({ length: count }, (_, each) =>
    request(`Subject: ${each}\r\n\r\n2a..: n${each}.example\r\n`, {
      envelope: { from: `r${each + 1}@registres.example`, to: ['x@y'] },
    }),
  );

test('a connection dropped under a mail costs that mail a second try at once, and nobody else anything', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  const dropped = new Set<string>();
  sink.answer = (_to, ticket) => {
    if (dropped.has(ticket) || Number(ticket.slice(3, 12)) % 5 !== 0) return undefined;
    dropped.add(ticket);
    return 'drop';
  };
  here.log.add(...requests(100));
  const began = here.clock.now();
  stopAfter(t, here, await here.start({ relays: [sink.url], connections: 4, retry_seconds: 1_000 }));
  await here.turnUntil(() => here.replay().settledThrough === 100);
  assert.equal(dropped.size, 20);
  assert.deepEqual(here.replay().counts, { sent: 100, skipped: 0, failed: 0 });
  assert.deepEqual(here.linesOf(down), []);
  assert.equal(here.linesOf('acknowledgement put off').length, 0);
  assert.ok(here.clock.now() - began < 100_000, 'nobody waited for retry_seconds');
});

test('a mail that is dropped twice waits for its own next try while the others go on', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  sink.answer = (to) => (to.startsWith('r3@') ? 'drop' : undefined);
  here.log.add(...requests(50));
  stopAfter(t, here, await here.start({ relays: [sink.url], connections: 4, retry_seconds: 1_000 }));
  await here.turnUntil(() => here.replay().counts.sent === 49 && here.replay().pending.length === 1);
  assert.equal(sink.offered, 51);
  assert.deepEqual(here.linesOf(down), []);
  sink.answer = () => undefined;
  await here.turnUntil(() => here.replay().counts.sent === 50, 1_000);
});

test('a relay that drops one mail after the other is in trouble, and is asked once a pause', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  sink.answer = () => 'drop';
  here.log.add(...requests(200));
  const ack = { relays: [sink.url], connections: 4, retry_seconds: 100, retry_seconds_max: 100 };
  stopAfter(t, here, await here.start(ack));
  await here.turnUntil(() => here.linesOf(down).length === 1);
  const atFirst = sink.offered;
  assert.ok(atFirst >= 6 && atFirst <= 2 * (3 + 4), `${atFirst} mails offered before it was left alone`);
  await here.pass(1_000_000);
  // Each probe is one mail with its second try.
  assert.ok(sink.offered <= atFirst + 2 * 11, `${sink.offered - atFirst} mails offered in ten pauses`);
});

test('kept connections that the relay closed meanwhile cost nothing', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  here.log.add(...requests(20));
  stopAfter(t, here, await here.start({ relays: [sink.url], connections: 4 }));
  await here.turnUntil(() => here.replay().settledThrough === 20);
  for (const socket of sink.sockets.values()) socket.destroy();
  here.log.add(...requests(20));
  await here.turnUntil(() => here.replay().settledThrough === 40);
  assert.deepEqual(here.linesOf(down), []);
  assert.equal(here.linesOf('acknowledgement put off').length, 0);
});

test('connections without a mail are closed after idle_seconds', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  here.log.add(...requests(20));
  stopAfter(t, here, await here.start({ relays: [sink.url], connections: 4, idle_seconds: 40 }));
  await here.turnUntil(() => here.replay().settledThrough === 20);
  assert.ok(sink.sockets.size > 0);
  await here.pass(81_000);
  await sink.until(() => sink.sockets.size === 0);
});

test('a killed relay is replaced by the next one, and used again when it is back', async (t) => {
  const here = await around(t);
  const first = await MailSink.open();
  const { port, url } = first;
  const second = await sinkFor(t);
  stopAfter(t, here, await here.start({ relays: [url, second.url], connections: 3, retry_seconds: 10 }));
  here.log.add(...requests(30));
  await here.turnUntil(() => here.replay().settledThrough === 30);
  assert.equal(first.taken.length, 30);
  for (const socket of first.sockets.values()) socket.destroy();
  await first.close();

  here.log.add(...requests(30));
  await here.turnUntil(() => here.replay().settledThrough === 60);
  assert.equal(second.taken.length, 30);
  assert.equal(here.linesOf(down).length, 1);
  assert.equal(here.linesOf(down)[0]?.relay, `127.0.0.1:${port}`);
  const [trouble] = await troubles(here, 1);
  assert.equal(trouble?.name, `127.0.0.1:${port}`);
  assert.match(trouble.text, /ECONNREFUSED/);
  assert.equal(trouble.nextTry - trouble.since, 10_000);

  const back = await sinkFor(t, { port });
  await here.pass(10_000);
  // One mail finds out; those that follow go there all together.
  here.log.add(...requests(1));
  await here.turnUntil(() => here.linesOf('relay is back').length === 1 && here.replay().settledThrough === 61);
  here.log.add(...requests(29));
  await here.turnUntil(() => here.replay().settledThrough === 90);
  assert.equal(back.taken.length, 30);
  assert.deepEqual(await troubles(here, 0), []);
  assert.deepEqual(here.replay().counts, { sent: 90, skipped: 0, failed: 0 });
});

test('a relay that refuses at its greeting is down at once', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t, { greeting: { code: 554, text: 'go away' } });
  here.log.add(...requests(5));
  stopAfter(t, here, await here.start({ relays: [sink.url], connections: 1 }));
  await here.turnUntil(() => here.linesOf(down).length === 1);
  assert.equal(here.linesOf(down)[0]?.code, 554);
  assert.equal(sink.connections, 1);
});
