// Relays as they are: down, slow, full, picky. Real SMTP over loopback, and a clock that the test turns.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Stage } from '../../src/ports/stage.ts';
import { Acknowledging, sample } from '../support/acknowledging.ts';
import { MailSink } from '../support/mail-sink.ts';
import { request } from '../support/memory.ts';

async function around(t: TestContext): Promise<Acknowledging> {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  return here;
}

async function sinkFor(t: TestContext, options: Parameters<typeof MailSink.open>[0] = {}): Promise<MailSink> {
  const sink = await MailSink.open(options);
  t.after(() => sink.close());
  return sink;
}

/** Stops a stage when the test ends; time runs meanwhile, for a stage that waits. */
function stopAfter(t: TestContext, { clock }: Acknowledging, stage: Stage): void {
  t.after(async () => {
    let stopped = false;
    const stopping = stage.stop().finally(() => (stopped = true));
    while (!stopped) await clock.turn(1_000);
    await stopping;
  });
}

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const sink = await MailSink.open();
  const { port } = sink;
  await sink.close();
  return port;
}

const requests = (count: number): ReturnType<typeof request>[] =>
  Array.from({ length: count }, (_, each) =>
    request(`Subject: ${each + 1}\r\n\r\n2a..: n${each + 1}.example\r\n`, {
      envelope: { from: `r${each + 1}@registres.example`, to: ['x@y'] },
    }),
  );

test('every sample is acknowledged from the null sender, except the automatic one', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  const names = ['afnic-create', 'internic-new', 'automaton-three-requests', 'rri-create', 'rpsl-object', 'free-text'];
  names.push('multipart-html', 'auto-reply', 'no-headers-but-a-body', 'hostile-subject');
  for (const name of names) here.log.add(request(await sample(name)));
  here.log.add(request('Subject: bounce\r\n\r\nx', { envelope: { from: '', to: ['x@y'] } }));
  stopAfter(t, here, await here.start({ relays: [sink.url] }));
  await here.turnUntil(() => here.replay().settledThrough === 11);

  assert.equal(sink.taken.length, 9);
  for (const mail of sink.taken) assert.deepEqual([mail.from, mail.to], ['', 'ops@registres.example']);
  const state = here.replay();
  assert.deepEqual(state.counts, { sent: 9, skipped: 2, failed: 0 });
  assert.equal(state.stateOf(8), 'none due');
  assert.equal(state.stateOf(11), 'none due');
  assert.equal(here.linesOf('acknowledged').length, 9);
  const everything = JSON.stringify([here.lines, here.store.events, sink.taken]);
  assert.doesNotMatch(everything, /not-for-logs/);
});

test('whom the registrar book did not know is never answered by mail', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  const { client } = request('');
  here.log.add(request('Subject: a\r\n\r\n2a..: a.example\r\n', { client: { ...client, unverified: true } }));
  here.log.add(request('Subject: b\r\n\r\n2a..: b.example\r\n'));
  stopAfter(t, here, await here.start({ relays: [sink.url] }));
  await here.turnUntil(() => here.replay().settledThrough === 2);
  assert.deepEqual([sink.taken.length, here.replay().counts], [1, { sent: 1, skipped: 1, failed: 0 }]);
  assert.equal(here.linesOf('not acknowledged by mail')[0]?.['reason'], 'unverified');
});

test('a mail put off with 4xx comes again on its own schedule, and holds up nobody', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  let refusals = 0;
  sink.answer = (to) => (to.startsWith('r2@') && ++refusals <= 2 ? { code: 451, text: '4.7.1 greylisted' } : undefined);
  here.log.add(...requests(4));
  stopAfter(t, here, await here.start({ relays: [sink.url], retry_seconds: 10, connections: 2 }));
  await here.turnUntil(() => here.replay().stateOf(2) === 'retrying' && here.replay().counts.sent === 3);
  assert.deepEqual(sink.taken.map((mail) => mail.to).toSorted(), [
    'r1@registres.example',
    'r3@registres.example',
    'r4@registres.example',
  ]);
  const [first] = here.replay().pending;
  assert.equal(first?.attempts, 1);
  assert.equal(first.code, 451);
  assert.match(first.text, /greylisted/);

  // Not before its time; then the pause doubles.
  await here.pass(first.nextAt - here.clock.now() - 1_000);
  assert.equal(sink.offered, 4);
  await here.turnUntil(() => here.replay().pending[0]?.attempts === 2);
  const second = here.replay().pending[0]!;
  assert.ok(second.nextAt - here.clock.now() > 19_000);
  await here.turnUntil(() => here.replay().counts.sent === 4, 1_000);
  assert.equal(here.replay().settledThrough, 4);
  assert.equal(here.linesOf('acknowledgement put off').length, 2);
});

test('a mail refused with 5xx has failed for good, with the words of the relay', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  sink.answer = (to) => (to.startsWith('r1@') ? { code: 550, text: '5.1.1 no such\u0007 user' } : undefined);
  here.log.add(...requests(2));
  stopAfter(t, here, await here.start({ relays: [sink.url] }));
  await here.turnUntil(() => here.replay().settledThrough === 2);
  const [failure] = here.replay().failures;
  assert.equal(here.replay().stateOf(1), 'failed');
  assert.equal(failure?.code, 550);
  assert.equal(failure.text, '550 5.1.1 no such user');
  await here.pass(86_400_000);
  assert.equal(sink.offered, 2);
  const [line] = here.linesOf('acknowledgement failed for good');
  assert.deepEqual([line?.level, line?.sequence, line?.code], [40, 1, 550]);
});

test('a mail older than give_up_seconds is not tried for ever', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  sink.answer = () => ({ code: 450, text: 'full' });
  here.log.add(...requests(1));
  stopAfter(t, here, await here.start({ relays: [sink.url], retry_seconds: 100, give_up_seconds: 1_000 }));
  await here.turnUntil(() => here.replay().settledThrough === 1, 1_000);
  assert.equal(here.replay().failures[0]?.code, 450);
  // After 0, 100, 300, 700 and 1,500 seconds.
  assert.equal(sink.offered, 5);
});

test('a clock that jumps makes nothing fail for good, and no pause longer: neither within a process nor over a restart', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  sink.answer = () => (sink.offered < 5 ? { code: 450, text: 'full' } : undefined);
  here.log.add(...requests(1));
  const ack = { relays: [sink.url], retry_seconds: 10, retry_seconds_max: 20 };
  const year = 365 * 86_400_000;
  let stage = await here.start(ack);
  for (const [tries, jump] of [
    [1, year],
    [2, -2 * year],
    [3, year],
    [4, year],
  ] as const) {
    await here.turnUntil(() => here.replay().retryOf(1)?.attempts === tries);
    if (tries > 2) await stage.stop();
    here.clock.jump(jump);
    if (tries > 2) stage = await here.start(ack);
  }
  const began = here.clock.elapsed();
  await here.turnUntil(() => here.replay().settledThrough === 1);
  await stage.stop();
  assert.equal(here.replay().stateOf(1), 'acknowledged');
  assert.ok(here.clock.elapsed() - began <= 21_000, 'the pause was the usual one');
});

test('the second relay is used while the first is down, without asking the first for every mail', async (t) => {
  const here = await around(t);
  const first = await sinkFor(t, { greeting: { code: 421, text: 'busy' } });
  const second = await sinkFor(t);
  here.log.add(...requests(50));
  stopAfter(t, here, await here.start({ relays: [first.url, second.url], connections: 2 }));
  await here.turnUntil(() => here.replay().settledThrough === 50);
  assert.equal(second.taken.length, 50);
  assert.ok(first.connections <= 4, `${first.connections} connections to a relay that is down`);
});

test('while all relays are down the stage waits with growing pauses, and keeps its place', async (t) => {
  const here = await around(t);
  const port = await deadPort();
  here.log.add(...requests(500));
  const ack = { relays: [`smtp://127.0.0.1:${port}`], waiting_count: 20, connections: 3, retry_seconds: 10 };
  stopAfter(t, here, await here.start({ ...ack, retry_seconds_max: 80 }));
  const down = (): readonly unknown[] =>
    here.linesOf('relay cannot be used; it is tried again after a pause').map((line) => line.pauseSeconds);
  await here.turnUntil(() => down().length >= 6, 500);
  assert.deepEqual(down().slice(0, 6), [10, 20, 40, 80, 80, 80]);
  assert.equal(here.replay().settledThrough, 0);
  assert.deepEqual(here.replay().counts, { sent: 0, skipped: 0, failed: 0 });

  const sink = await sinkFor(t, { port });
  await here.turnUntil(() => here.replay().settledThrough === 500, 500);
  assert.deepEqual(here.replay().counts, { sent: 500, skipped: 0, failed: 0 });
  assert.equal(new Set(sink.taken.map((mail) => mail.ticket)).size, 500);
});

test('a relay in trouble is asked by one mail a pause, however many wait for it', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t, { greeting: { code: 421, text: 'busy' } });
  here.log.add(...requests(100));
  const ack = { relays: [sink.url], connections: 5, retry_seconds: 100, retry_seconds_max: 100 };
  stopAfter(t, here, await here.start(ack));
  await here.pass(2_050_000);
  // One at first, then one a pause; a little is lost where one mail makes way for the next.
  assert.ok(sink.connections >= 15 && sink.connections <= 21, `${sink.connections} connections`);
});

test('a mail at which a relay keeps silent is cut off after send_seconds, and goes to the next relay', async (t) => {
  const here = await around(t);
  const slow = await sinkFor(t);
  const quick = await sinkFor(t);
  slow.answer = () => 'never';
  here.log.add(...requests(1));
  stopAfter(t, here, await here.start({ relays: [slow.url, quick.url], send_seconds: 3_000 }));
  await slow.until(() => slow.offered === 1);
  await here.clock.turn(2_999_000);
  assert.equal(quick.offered, 0);
  await here.clock.turn(1_000);
  await quick.until(() => quick.taken.length === 1);
  // One mail is no proof against the relay: the next one is offered to it again.
  assert.deepEqual(here.linesOf('relay cannot be used; it is tried again after a pause'), []);
  here.log.add(...requests(1));
  await slow.until(() => slow.offered === 2);
});

test('a relay logs in with user and password, and neither a password nor its echo is ever shown', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t, { user: 'sea', pass: 'p@ss:w/rd' });
  const login = (pass: string): string => `smtp://sea:${encodeURIComponent(pass)}@127.0.0.1:${sink.port}`;
  here.log.add(...requests(3));
  const wrong = await here.start({ relays: [login('wr0ng-secret')] });
  await here.turnUntil(() => here.linesOf('relay cannot be used; it is tried again after a pause').length > 0);
  await wrong.stop();
  assert.equal(sink.taken.length, 0);
  assert.equal(here.replay().counts.failed, 0);

  stopAfter(t, here, await here.start({ relays: [login('p@ss:w/rd')] }));
  await here.turnUntil(() => here.replay().settledThrough === 3);
  assert.equal(sink.taken.length, 3);
  assert.doesNotMatch(JSON.stringify([here.lines, here.store.events]), /wr0ng-secret|p@ss|p%40ss|AHNlYQ/);
  await assert.rejects(here.start({ relays: ['smtp://sea:secret@127.0.0.1:25/?debug=true'] }), (error: Error) => {
    return error.name === 'ConfigError' && !error.message.includes('secret@');
  });
});

test('stopping lets what is under way finish, begins nothing new, and does not wait for ever', async (t) => {
  const here = await around(t);
  const sink = await sinkFor(t);
  sink.answer = () => 'never';
  for (const [index, each] of requests(20).entries())
    here.log.add({ ...each, envelope: { from: `x@${index % 2 ? 'a' : 'b'}.example`, to: ['x@y'] } });
  const stage = await here.start({ relays: [sink.url], connections: 2 });
  await sink.until(() => sink.offered === 2);
  const stopping = stage.stop();
  await here.clock.turn(60_000);
  await stopping;
  assert.equal(sink.offered, 2);
  assert.equal(here.replay().settledThrough, 0);
  assert.equal(here.replay().pending.length, 0);
});
