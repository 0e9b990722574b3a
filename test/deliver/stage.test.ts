import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { deferred } from '../../src/lib/async.ts';
import { Rates } from '../../src/deliver/status-service.ts';
import { call, envelope, openStage, operation, post, valueOf } from '../support/deliver.ts';
import { MemoryLog, request, runtimeWith, TurnedClock } from '../support/memory.ts';

const fetchArgs = { clientId: 'r', attemptId: 'a', max: 3 };

test('a request goes out whole, its fields in the order of the contract', async (t) => {
  const log = new MemoryLog();
  log.add(request('Subject: <x>\r\n\r\nhé', { envelope: { from: 'a<b\u0007@x', to: ['y'] } }));
  const { url } = await openStage(t, { log });
  const answer = await call(url, 'Fetch', fetchArgs);
  const [stored] = log.stored;
  const inner = /<request>(.*)<\/request>/.exec(answer.text)?.[1] ?? '';
  deepEqual(
    [...inner.matchAll(/<(\w+)>([^<]*)</g)].map(([, name, value]) => [name, value]),
    [
      ['sequence', '1'],
      ['ticket', stored?.ticket],
      ['receivedAt', '2026-11-21T09:00:00.123Z'],
      ['envelopeFrom', 'a&lt;b\uFFFD@x'],
      ['clientAddress', '192.0.2.7'],
      ['deliveryCount', '1'],
      ['size', String(stored?.size)],
      ['sha256', stored?.sha256],
      ['chain', stored?.chain],
      ['message', stored?.message.toString('base64')],
    ],
  );
  const order = [...answer.text.matchAll(/<(batchId|leaseToken|leaseExpires|request|ready|oldestReceivedAt)>/g)];
  deepEqual(
    order.map(([, name]) => name),
    ['batchId', 'leaseToken', 'leaseExpires', 'request', 'ready', 'oldestReceivedAt'],
  );
});

test('an empty batch has no batchId, no token and no time', async (t) => {
  const { url } = await openStage(t, { log: new MemoryLog() });
  match(
    (await call(url, 'Fetch', fetchArgs)).text,
    /<FetchResponse xmlns="urn:seawall:registry:1"><ready>0<\/ready><\/F/,
  );
});

test('Hello tells the limits, Status the counts', async (t) => {
  const { url } = await openStage(t, { toml: '[soap]\nbatch_count = 50\nlease_seconds_max = 600\n' });
  const hello = (await call(url, 'Hello', { clientId: 'r' })).text;
  equal(valueOf(hello, 'logId'), 'memory');
  equal(valueOf(hello, 'maxBatch'), '50');
  equal(valueOf(hello, 'maxLeaseMs'), '600000');
  match(valueOf(hello, 'serverTime') ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const batch = (await call(url, 'Fetch', fetchArgs)).text;
  await call(url, 'Confirm', { leaseToken: valueOf(batch, 'leaseToken') ?? '', throughSequence: 2 });
  const status = (await call(url, 'Status')).text;
  const counts = ['ready', 'leased', 'parked', 'confirmed', 'acksPending'].map((name) => valueOf(status, name));
  deepEqual(counts, ['7', '1', '0', '2', '7']);
  ok(valueOf(status, 'oldestAge') !== undefined);
  ok(valueOf(status, 'receivedPerSecond') !== undefined);
});

test('a fetch whose client hangs up leaves no lease; the next client is served', async (t) => {
  const log = new MemoryLog();
  const { url, store } = await openStage(t, { log });
  const impatient = new AbortController();
  const hungUp = deferred<void>();
  const read = log.read.bind(log);
  const waiting = new Promise<void>((resolve) => {
    log.read = (after, limit, signal) => {
      signal?.addEventListener('abort', () => hungUp.resolve());
      if (signal) resolve();
      return read(after, limit, signal);
    };
  });
  const inner = '<clientId>r</clientId><attemptId>a</attemptId><max>1</max><waitMs>60000</waitMs>';
  const headers = { 'content-type': 'text/xml' };
  const body = envelope(operation('Fetch', inner));
  const gone = fetch(url, { method: 'POST', headers, body, signal: impatient.signal });
  await waiting;
  impatient.abort();
  await gone.catch(() => undefined);
  await hungUp.promise;
  const next = call(url, 'Fetch', { ...fetchArgs, attemptId: 'b', waitMs: 60_000 });
  log.add(request('one'));
  equal(valueOf((await next).text, 'sequence'), '1');
  equal(store.events.filter(({ type }) => type === 'leased').length, 1);
});

test('stopping answers who waits, and then nobody', async (t) => {
  const log = new MemoryLog();
  const { stage, url } = await openStage(t, { log });
  const read = log.read.bind(log);
  const began = new Promise<void>((resolve) => {
    log.read = (after, limit, signal) => {
      if (signal) resolve();
      return read(after, limit, signal);
    };
  });
  const waiting = call(url, 'Fetch', { ...fetchArgs, waitMs: 60_000 });
  await began;
  await stage.stop();
  equal(valueOf((await waiting).text, 'ready'), '0');
  await post(url, '').then(
    () => ok(false, 'still answers'),
    () => undefined,
  );
});

test('stopping does not wait for a client that does not read', async (t) => {
  const log = new MemoryLog();
  for (let each = 0; each < 16; each++) log.add(request(Buffer.alloc(1_048_576, 'x')));
  const clock = new TurnedClock();
  const { stage, port } = await openStage(t, { log, runtime: runtimeWith(clock) });
  const body = envelope(operation('Fetch', '<clientId>s</clientId><attemptId>s</attemptId><max>16</max>'));
  const head = `POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: ${body.length}\r\n\r\n`;
  const socket = connect(port, '127.0.0.1', () => socket.write(head + body));
  await once(socket, 'readable');
  let stopped = false;
  const stopping = stage.stop().then(() => (stopped = true));
  await clock.turn(4_999);
  equal(stopped, false);
  await clock.turn(1);
  await stopping;
  socket.destroy();
});

test('rates are those of the last minute', () => {
  const rates = new Rates();
  deepEqual(rates.perSecond(), { receivedPerSecond: 0, confirmedPerSecond: 0 });
  for (let second = 0; second <= 300; second += 5) rates.add(second * 1_000, second * 10, Math.min(second, 270) * 4);
  deepEqual(rates.perSecond(), { receivedPerSecond: 10, confirmedPerSecond: 2 });
});

test('an answer cut at any point is given again, whole and the same, for the same attempt', async (t) => {
  const log = new MemoryLog();
  for (let each = 1; each <= 3; each++) log.add(request(`Subject: ${each}\r\n\r\n${'x'.repeat(20_000)}\r\n`));
  const { url, port } = await openStage(t, { log });
  const inner = '<clientId>r</clientId><attemptId>a</attemptId><max>3</max>';
  const body = envelope(operation('Fetch', inner));
  const head = `POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: ${body.length}\r\n\r\n`;
  const seen = new Set<string>();
  for (const cut of [0, 1, 100, 1_000, 30_000, 80_000]) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(head + body);
    let got = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      got += chunk.length;
      if (got >= cut) break;
    }
    ok(got >= cut);
    socket.resetAndDestroy();
    const again = await call(url, 'Fetch', { ...fetchArgs });
    equal([...again.text.matchAll(/<sequence>/g)].length, 3);
    match(again.text, /<deliveryCount>1</);
    seen.add(`${valueOf(again.text, 'batchId')} ${valueOf(again.text, 'leaseToken')}`);
  }
  equal(seen.size, 1);
});
