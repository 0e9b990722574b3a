import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Config, makeConfig } from '../../src/config/config.ts';
import { startIntake } from '../../src/intake/intake.ts';
import { silent } from '../../src/lib/logger.ts';
import type { NewRequest } from '../../src/model/request.ts';
import { ticketOf } from '../../src/model/ticket.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { RequestWriter } from '../../src/ports/request-log.ts';
import { runtimeWith, settle, TurnedClock } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, openWriter, readAll, temporaryFolder } from '../support/spool.ts';

/** A log in memory that can be told to fail, or to be slow. */
class FakeLog implements RequestWriter {
  readonly kept: NewRequest[] = [];
  readonly lost: Promise<Error>;
  fail: (error: Error) => void = () => undefined;
  hold: Promise<void> | undefined;
  /** Called when a write begins. */
  onAppend: () => void = () => undefined;

  constructor() {
    this.lost = new Promise((resolve) => (this.fail = resolve));
  }

  get lastSequence(): number {
    return this.kept.length;
  }

  async append(requests: readonly NewRequest[]): Promise<number[]> {
    this.onAppend();
    await this.hold;
    const first = this.kept.length + 1;
    this.kept.push(...requests);
    return requests.map((_, i) => first + i);
  }

  async close(): Promise<void> {}
}

interface Started {
  readonly port: number;
  readonly log: FakeLog;
  readonly stop: () => Promise<void>;
  readonly failed: Promise<Error>;
  readonly client: () => SmtpClient;
}

async function start(
  t: TestContext,
  settings: Record<string, string> = {},
  open?: () => Promise<RequestWriter>,
  clock = nodeRuntime.clock,
): Promise<Started> {
  const config: Config = makeConfig(undefined, {
    SEAWALL_SMTP_PORT: '0',
    SEAWALL_SERVE_STOP_SECONDS: '2',
    ...settings,
  });
  const log = new FakeLog();
  const stage = await startIntake({
    config,
    runtime: { ...nodeRuntime, clock },
    openLog: open ?? (async () => log),
    log: silent,
  });
  await settle();
  const clients: SmtpClient[] = [];
  atEnd(t, () => stage.stop());
  atEnd(t, async () => clients.forEach((each) => each.end()));
  const port = stage.address!.port;
  const client = (): SmtpClient => {
    const made = new SmtpClient(port);
    clients.push(made);
    return made;
  };
  return { port, log, stop: () => stage.stop(), failed: stage.failed, client };
}

const samples = join(import.meta.dirname, '../fixtures/requests');

test('every sample mail is kept byte for byte, and its 250 names the ticket of its place', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  const { client } = await start(t, {}, async () => writer);
  const smtp = client();
  await smtp.hello();
  const messages = readdirSync(samples).map((name) =>
    readFileSync(join(samples, name), 'latin1').replace(/\r?\n/g, '\r\n'),
  );
  for (const [i, message] of messages.entries()) {
    assert.equal(await smtp.send(message), `250 2.0.0 Ok: queued as ${ticketOf(i + 1)}`);
  }
  assert.match(await smtp.say('QUIT'), /^221 /);
  const kept = await readAll(spool);
  assert.deepEqual(
    kept.map((each) => each.message.toString('latin1')),
    messages,
  );
  const { envelope, client: who } = kept[0]!;
  assert.deepEqual(envelope, { from: 'ops@registres.example', to: ['domain@registry.example'] });
  assert.equal(who.address, '127.0.0.1');
  assert.equal(who.helo, 'client.example');
  assert.equal(who.protocol, 'ESMTP');
});

test('EHLO offers what is promised and no more', async (t) => {
  const { client } = await start(t, { SEAWALL_SMTP_MESSAGE_BYTES: '5000' });
  const offer = (await client().hello())
    .split('\r\n')
    .slice(1)
    .map((line) => line.slice(4));
  assert.deepEqual(offer.toSorted(), ['8BITMIME', 'ENHANCEDSTATUSCODES', 'PIPELINING', 'SIZE 5000', 'SMTPUTF8']);
});

const badEnds: [string, string, RegExp][] = [
  ['a bare LF', 'a\nb\r\n', /^554 5\.6\.0 .*bare LF/],
  ['a bare CR', 'a\rb\r\n', /^554 5\.6\.0 .*bare CR/],
  ['a bare LF first', '\na\r\n', /^554 5\.6\.0 .*bare LF/],
  ['CR CR LF', 'a\r\r\nb\r\n', /^554 5\.6\.0 .*bare CR/],
  ['LF dot LF', 'a\n.\nMAIL FROM:<x@y>\r\n', /^554 5\.6\.0 .*bare LF/],
  ['LF dot CRLF', 'a\n.\r\nb\r\n', /^554 5\.6\.0 .*bare LF/],
  ['CR dot CR', 'a\r.\rb\r\n', /^554 5\.6\.0 .*bare CR/],
];

for (const [what, message, pattern] of badEnds) {
  test(`a message with ${what} is refused however it is split, and the session goes on`, async (t) => {
    const { client, log } = await start(t);
    for (let split = 1; split < message.length; split++) {
      const smtp = client();
      await smtp.hello();
      for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
      smtp.write(message.slice(0, split));
      await settle();
      smtp.write(`${message.slice(split)}.\r\n`);
      assert.match(await smtp.reply(), pattern);
      assert.match(await smtp.send('good\r\n'), /^250 /);
      smtp.end();
    }
    assert.ok(log.kept.every((each) => each.message.toString() === 'good\r\n'));
    assert.equal(log.kept.length, message.length - 1);
  });
}

test('dots, NULs and eight bits come through however the message is split', async (t) => {
  const { client, log } = await start(t);
  const message = '.\r\n..\r\n.a\r\n\0\xff\r\nFrom x\r\n\r\n..\r\n';
  const wire = `${message.replace(/(^|\r\n)\./g, '$1..')}.\r\n`;
  const smtp = client();
  await smtp.hello();
  for (let split = 1; split < wire.length; split++) {
    for (const line of ['MAIL FROM:<a@b.example> BODY=8BITMIME', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
    smtp.write(wire.slice(0, split));
    await settle();
    smtp.write(wire.slice(split));
    assert.match(await smtp.reply(), /^250 /, `split at ${split}`);
  }
  for (const { message: kept } of log.kept) assert.equal(kept.toString('latin1'), message);
});

test('when recipients are set, others get 550 5.1.1', async (t) => {
  const { client, log } = await start(t, {
    SEAWALL_SMTP_RECIPIENTS: 'domain@registry.example,Second@registry.example',
  });
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.send('x\r\n', 'a@b.example', ['nobody@registry.example']), /^550 5\.1\.1 /);
  await smtp.say('RSET');
  assert.match(
    await smtp.send('x\r\n', 'a@b.example', ['DOMAIN@registry.example', 'second@registry.example']),
    /^250 /,
  );
  assert.equal(log.kept.length, 1);
});

test('the null sender may send', async (t) => {
  const { client, log } = await start(t);
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.send('x\r\n', ''), /^250 /);
  assert.equal(log.kept[0]?.envelope.from, '');
});

test('a message over the size is refused: at MAIL when it says so, after DATA when it does not, by hanging up when it goes on', async (t) => {
  const { client, log } = await start(t, { SEAWALL_SMTP_MESSAGE_BYTES: '2000' });
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.say('MAIL FROM:<a@b.example> SIZE=2001'), /^552 /);
  assert.match(await smtp.send(`${'x'.repeat(1997)}\r\n`), /^250 /);
  assert.match(await smtp.send(`${'x'.repeat(1999)}\r\n`), /^552 5\.3\.4 /);
  assert.match(await smtp.send('still here\r\n'), /^250 /);
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
  smtp.write(`${'x'.repeat(60)}\r\n`.repeat(200));
  assert.match(await smtp.reply(), /^552 5\.3\.4 /);
  smtp.socket.end();
  await smtp.closed;
  assert.equal(log.kept.length, 2);
});

test('a message with too many lines is refused', async (t) => {
  const { client } = await start(t, { SEAWALL_SMTP_MESSAGE_LINES: '100' });
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.send('\r\n'.repeat(100)), /^250 /);
  assert.match(await smtp.send('\r\n'.repeat(101)), /^552 5\.3\.4 .*lines/);
});

test('too many recipients, connections and bytes in memory get 452, 421 and 452', async (t) => {
  const { client, log } = await start(t, {
    SEAWALL_SMTP_MESSAGE_RECIPIENTS: '2',
    SEAWALL_SMTP_CONNECTIONS: '2',
    SEAWALL_SMTP_MESSAGE_BYTES: '1000000',
    SEAWALL_SMTP_BUFFERED_BYTES: '1048576',
  });
  const [one, two] = [client(), client()];
  await one.hello();
  await two.hello();
  assert.match(await client().reply(), /^421 4\.7\.0 /);
  assert.match(await one.send('x\r\n', 'a@b.example', ['1@d.example', '2@d.example', '3@d.example']), /^452 4\.5\.3 /);
  await one.say('RSET');
  for (const smtp of [one, two])
    for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
  let release: (() => void) | undefined;
  log.hold = new Promise((resolve) => (release = resolve));
  const arrived = new Promise<void>((resolve) => (log.onAppend = resolve));
  const large = `${'y'.repeat(900_000)}\r\n.\r\n`;
  one.write(large);
  await arrived;
  two.write(large);
  assert.match(await two.reply(), /^452 4\.3\.1 /);
  release!();
  assert.match(await one.reply(), /^250 /);
  assert.match(await two.send('room again\r\n'), /^250 /);
});

test('until the log is open, and once it is lost, the answer is 4xx at once', async (t) => {
  let open: ((log: RequestWriter) => void) | undefined;
  const fake = new FakeLog();
  const { client, failed } = await start(t, {}, () => new Promise((resolve) => (open = resolve)));
  assert.match(await client().reply(), /^421 4\.3\.2 /);
  open!(fake);
  await settle();
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.send('x\r\n'), /^250 /);
  fake.append = async () => Promise.reject(new Error('EIO'));
  assert.match(await smtp.send('y\r\n'), /^451 4\.3\.0 /);
  fake.fail(new Error('EIO'));
  assert.equal((await failed).message, 'EIO');
  assert.match(await smtp.say('MAIL FROM:<a@b.example>'), /^451 4\.3\.2 /);
  assert.match(await client().reply(), /^421 4\.3\.2 /);
});

test('a disk that does not let the log open is tried again', async (t) => {
  const clock = new TurnedClock();
  let attempts = 0;
  const fake = new FakeLog();
  const openLog = async (): Promise<RequestWriter> => {
    if (++attempts < 3) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    return fake;
  };
  const { client } = await start(t, {}, openLog, clock);
  assert.match(await client().reply(), /^421 4\.3\.2 Not ready \(storage trouble\)/);
  await clock.turn(4_000);
  assert.equal(attempts, 3);
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.send('x\r\n'), /^250 /);
});

test('no banner pause unless one is configured; who talks before the banner is then sent away', async (t) => {
  // With the library's own pause of 100 ms this clock, which never turns, would not matter; with ours the banner waits for it.
  const clock = new TurnedClock();
  const paused = await start(t, { SEAWALL_SMTP_GREET_PAUSE_MS: '5000' }, undefined, clock);
  const patient = paused.client();
  await new Promise((resolve) => patient.socket.once('connect', resolve));
  const early = paused.client();
  early.write('EHLO early.example\r\n');
  assert.match(await early.reply(), /^421 .*too soon/);
  await clock.turn(5_000);
  assert.match(await patient.reply(), /^220 /);
  // Without a pause nothing is left to a timer: the banner comes although all timers of the process are mocked away.
  const { client } = await start(t);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  assert.match(await client().reply(), /^220 /);
});

test('a message that takes too long to arrive ends in 421', async (t) => {
  const clock = new TurnedClock();
  const { client, log } = await start(t, { SEAWALL_SMTP_DATA_SECONDS: '30' }, undefined, clock);
  const smtp = client();
  await smtp.hello();
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
  smtp.write('a little\r\n');
  await settle();
  await clock.turn(30_000);
  assert.match(await smtp.reply(), /^421 4\.4\.2 /);
  smtp.socket.end();
  await smtp.closed;
  assert.equal(log.kept.length, 0);
});

test('the joke verbs, VRFY, AUTH and STARTTLS without a certificate are not known', async (t) => {
  const { client } = await start(t);
  const smtp = client();
  await smtp.hello();
  for (const verb of ['WIZ', 'SHELL', 'KILL', 'VRFY root', 'AUTH PLAIN', 'STARTTLS'])
    assert.match(await smtp.say(verb), /^50[02] /, verb);
});

test('stopping lets a message in progress end, and sends the idle away at once', async (t) => {
  const { client, stop, log } = await start(t);
  const [idle, busy] = [client(), client()];
  await idle.hello();
  await busy.hello();
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await busy.say(line);
  busy.write('half a');
  await settle();
  const stopped = stop();
  assert.match(await idle.reply(), /^421 4\.3\.2 /);
  busy.write(' message\r\n.\r\n');
  assert.match(await busy.reply(), /^250 /);
  assert.equal(log.kept[0]?.message.toString(), 'half a message\r\n');
  busy.socket.end();
  idle.socket.end();
  await stopped;
});

test('LMTP answers once for every recipient', async (t) => {
  const { client } = await start(t, { SEAWALL_SMTP_LMTP: 'true' });
  const smtp = client();
  await smtp.hello('LHLO');
  assert.match(
    await smtp.send('x\r\n', 'a@b.example', ['1@d.example', '2@d.example']),
    /^250 2\.0\.0 Ok: queued as SW-000000001-/,
  );
  assert.match(await smtp.reply(), /^250 2\.0\.0 Ok: queued as SW-000000001-/);
});

test('pipelined sessions and connections that vanish anywhere leave the others alone', async (t) => {
  const { client, log } = await start(t);
  const script = 'EHLO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n';
  const body = 'Subject: x\r\n\r\nbody\r\n.\r\n';
  for (let cut = 0; cut < (script + body).length; cut += 3) {
    const vanishing = client();
    await vanishing.reply();
    vanishing.write((script + body).slice(0, cut));
    vanishing.socket.resetAndDestroy();
  }
  const smtp = client();
  await smtp.reply();
  smtp.write(script);
  for (let i = 0; i < 4; i++) await smtp.reply();
  smtp.write(`${body}MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n`);
  assert.match(await smtp.reply(), /^250 2\.0\.0 Ok: queued/);
  assert.equal(log.kept.at(-1)!.message.toString(), 'Subject: x\r\n\r\nbody\r\n');
});

test('once stopped, a log that could not be opened is not tried again', async (t) => {
  const clock = new TurnedClock();
  const config = makeConfig(undefined, { SEAWALL_SPOOL_DIR: await temporaryFolder(t), SEAWALL_SMTP_PORT: '0' });
  let attempts = 0;
  const openLog = (): Promise<never> => {
    attempts++;
    return Promise.reject(new Error('the disk fails'));
  };
  const stage = await startIntake({ config, runtime: runtimeWith(clock), openLog, log: silent });
  await settle();
  await clock.turn(2_000);
  assert.equal(attempts, 2);
  await stage.stop();
  await clock.turn(60_000);
  assert.equal(attempts, 2);
});
