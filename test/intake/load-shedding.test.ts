import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeConfig } from '../../src/config/config.ts';
import { ConnectionLimits } from '../../src/intake/policy/connection-limits.ts';
import { clientOf } from '../../src/lib/address-list.ts';
import { readIntakeStatus } from '../../src/intake/intake-status.ts';
import { LoadShedder } from '../../src/intake/policy/load-shedding.ts';
import { openViews } from '../../src/operate/spool-views.ts';
import { collectStatus, formatStatus } from '../../src/operate/status.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { intakeOn } from '../support/intake.ts';
import { runtimeWith, settle, TurnedClock } from '../support/memory.ts';
import type { SmtpClient } from '../support/smtp-client.ts';
import { temporaryFolder } from '../support/spool.ts';

const gauge = (used: number, most = 100, name = 'line') => ({ name, used, most });

test('the ladder goes up as work gathers, and comes down a fifth below, by itself', async () => {
  const clock = new TurnedClock();
  const ladder = new LoadShedder(clock);
  const idle = gauge(0, 100, 'connections');
  const at = (used: number): string => ladder.stand([gauge(used), gauge(1)], idle).level;
  assert.deepEqual([0, 49, 50, 41, 40.1].map(at), ['normal', 'normal', 'slow', 'slow', 'slow']);
  assert.deepEqual([39, 49, 90, 73, 71].map(at), ['normal', 'normal', 'defer', 'defer', 'slow']);
  assert.equal(at(95), 'defer');
  await clock.turn(9_999);
  assert.equal(at(91), 'defer');
  await clock.turn(1);
  assert.equal(at(91), 'refuse');
  assert.equal(at(73), 'refuse');
  assert.equal(at(60), 'slow');
  assert.equal(at(91), 'defer', 'the ten seconds begin anew');
  assert.equal(at(0), 'normal');
});

test('where connections are short those who are in go on, and the silent are hurried', () => {
  const ladder = new LoadShedder(new TurnedClock());
  const busy = (used: number) => ladder.stand([gauge(10)], gauge(used, 100, 'connections'));
  assert.deepEqual(busy(79), { level: 'normal', work: 'normal', why: '' });
  assert.deepEqual(busy(80), { level: 'slow', work: 'normal', why: 'connections: 80 of 100' });
  assert.deepEqual(busy(100), { level: 'refuse', work: 'normal', why: 'connections: 100 of 100' });
});

test('a client is an address, in IPv6 a /64; its connections are counted at once and by the minute', async () => {
  assert.equal(clientOf('192.0.2.1'), '192.0.2.1');
  assert.equal(clientOf('2001:DB8::1'), clientOf('2001:db8:0:0:ffff::'));
  assert.notEqual(clientOf('2001:db8::1'), clientOf('2001:db8:0:1::1'));
  assert.equal(clientOf('::1'), '0:0:0:0');
  const clock = new TurnedClock();
  const unlimited = ['192.0.2.0/24', '::1'];
  const clients = new ConnectionLimits({ connections: 2, connectionsPerMinute: 3, unlimited }, clock);
  for (let i = 0; i < 10; i++) assert.equal(clients.arrive('192.0.2.9'), undefined);
  for (let i = 0; i < 10; i++) assert.equal(clients.arrive('::1'), undefined);
  assert.equal(clients.arrive('198.51.100.1'), undefined);
  assert.equal(clients.arrive('198.51.100.1'), undefined);
  assert.match(clients.arrive('198.51.100.1') ?? '', /2 at once/);
  clients.leave('198.51.100.1');
  assert.equal(clients.arrive('198.51.100.1'), undefined);
  clients.leave('198.51.100.1');
  assert.match(clients.arrive('198.51.100.1') ?? '', /3 a minute/);
  assert.equal(clients.arrive('198.51.100.2'), undefined);
  await clock.turn(60_000);
  assert.equal(clients.arrive('198.51.100.1'), undefined);
});

test('connections of one address are limited unless it is on the list; one that leaves makes room', async (t) => {
  const spool = await temporaryFolder(t);
  const { client } = await intakeOn(t, spool, {
    SEAWALL_SMTP_UNLIMITED_CLIENTS: '192.0.2.0/24',
    SEAWALL_SMTP_CLIENT_CONNECTIONS: '2',
  });
  const [one, two] = [client(), client()];
  await one.hello();
  await two.hello();
  const third = client();
  assert.match(await third.reply(), /^421 4\.7\.0 Too many connections from your address \(2 at once\)/);
  await third.closed;
  assert.match(await one.say('QUIT'), /^221 /);
  one.socket.end();
  await one.closed;
  await settle();
  assert.match(await client().reply(), /^220 /);
  assert.match(await two.send('still served\r\n'), /^250 /);
});

test('a session has its budgets: commands, errors and messages; a kept message fills the first two again', async (t) => {
  const spool = await temporaryFolder(t);
  const { client } = await intakeOn(t, spool, {
    SEAWALL_SMTP_SESSION_COMMANDS: '20',
    SEAWALL_SMTP_SESSION_ERRORS: '5',
    SEAWALL_SMTP_SESSION_MESSAGES: '4',
    SEAWALL_SMTP_MESSAGE_RECIPIENTS: '2',
  });
  const chatty = client();
  await chatty.hello();
  for (let i = 0; i < 15; i++) assert.match(await chatty.say('NOOP'), /^250 /);
  assert.match(await chatty.send('one\r\n'), /^250 /);
  for (let i = 0; i < 20; i++) assert.match(await chatty.say('RSET'), /^250 /);
  assert.match(await chatty.say('NOOP'), /^421 4\.7\.0 Too many commands/);
  await chatty.closed;

  const clumsy = client();
  await clumsy.hello();
  for (let i = 0; i < 5; i++) assert.match(await clumsy.say('RCPT TO:<a@b.example>'), /^503 /);
  assert.match(await clumsy.say('NOOP'), /^421 4\.7\.0 Too many errors/);

  const greedy = client();
  await greedy.hello();
  assert.match(await greedy.say('MAIL FROM:<a@b.example>'), /^250 /);
  const replies = [];
  for (let i = 0; i < 30; i++) replies.push(await greedy.say(`RCPT TO:<r${i}@b.example>`).catch(() => 'closed'));
  assert.equal(replies.filter((each) => each.startsWith('250')).length, 2);
  assert.ok(replies.some((each) => each.startsWith('452 4.5.3 ')));
  assert.ok(replies.some((each) => each.startsWith('421 4.7.0 ')));

  const diligent = client();
  await diligent.hello();
  for (let i = 0; i < 4; i++) assert.match(await diligent.send(`message ${i}\r\n`), /^250 /);
  assert.match(await diligent.say('MAIL FROM:<a@b.example>'), /^421 4\.7\.0 4 messages on one connection/);
});

test('every state has its deadline, and bytes do not put it off: before HELO, between commands, in a command, in DATA', async (t) => {
  const spool = await temporaryFolder(t);
  const clock = new TurnedClock();
  const { client } = await intakeOn(t, spool, {}, clock);
  const waits = async (smtp: SmtpClient, seconds: number, meanwhile: () => void): Promise<string> => {
    let answered = false;
    const reply = smtp.reply().finally(() => (answered = true));
    for (let i = 0; i < seconds; i++) {
      assert.equal(answered, false, `answered after ${i} of ${seconds} seconds`);
      meanwhile();
      await settle();
      await clock.turn(1_000);
    }
    return reply;
  };
  const mute = client();
  assert.match(await mute.reply(), /^220 /);
  assert.match(await waits(mute, 30, () => undefined), /^421 4\.4\.2 /);
  const slow = client();
  await slow.hello();
  assert.match(await waits(slow, 60, () => slow.write('N')), /^421 4\.4\.2 /);
  const drip = client();
  await drip.hello();
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await drip.say(line);
  assert.match(await waits(drip, 10, () => drip.write('x')), /^421 4\.4\.2 The message came slower than 500 bytes/);
  const long = client();
  await long.hello();
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await long.say(line);
  const arrived = 'y'.repeat(700);
  assert.match(await waits(long, 300, () => long.write(`${arrived}\r\n`)), /^421 4\.4\.2 The message took longer than/);
});

async function fill(smtp: SmtpClient, bytes: number): Promise<void> {
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
  smtp.write(`${'x'.repeat(bytes - 2)}\r\n`);
}

test('up the ladder and down again on real sockets: slow, 451, 421, and all is well; status says so', async (t) => {
  const spool = await temporaryFolder(t);
  const clock = new TurnedClock();
  const { client } = await intakeOn(
    t,
    spool,
    { SEAWALL_SMTP_MESSAGE_BYTES: '1000000', SEAWALL_SMTP_BUFFERED_BYTES: '1048576' },
    clock,
  );
  const [one, two, other] = [client(), client(), client()];
  for (const smtp of [one, two, other]) await smtp.hello();
  // The intake writes its state when its clock says so, and a disk takes as long as it takes: the clock is turned as
  // little as possible, because whoever is silent meanwhile is sent away.
  const until = async (level: RegExp): Promise<void> => {
    let told = '';
    for (let second = 0; second < 8; second++) {
      await clock.turn(1_000);
      const patience = performance.now() + 2_000;
      while (performance.now() < patience) {
        await settle();
        const state = await readIntakeStatus(runtimeWith(clock), spool);
        told = `${state?.level} ${state?.why}`;
        if (level.test(told)) return;
      }
    }
    assert.match(told, level);
  };
  await until(/^normal $/);
  await fill(two, 50_000);
  await fill(one, 600_000);
  await until(/^slow message bytes in memory: \d+ of 1048576$/);
  const pausing = other.say('MAIL FROM:<a@b.example>');
  await settle();
  await clock.turn(250);
  assert.match(await pausing, /^250 /);
  assert.match(await other.say('RSET'), /^250 /);
  two.write(`${'x'.repeat(340_000)}\r\n`);
  await until(/^(defer|refuse) /);
  assert.match(await other.say('MAIL FROM:<a@b.example>'), /^451 4\.3\.1 Overloaded/);
  // A little of each message now and then, so that neither is called too slow meanwhile.
  one.write('x\r\n');
  await clock.turn(10_000);
  await until(/^refuse /);
  assert.match(await client().reply(), /^421 4\.3\.2 Overloaded/);
  const report = await collectStatus(await openViews(makeConfig(undefined, { SEAWALL_SPOOL_DIR: spool })), clock.now());
  assert.equal(report.intake?.level, 'refuse');
  assert.match(formatStatus(report), /^Intake {11}REFUSES with 421 \(message bytes in memory: /m);
  for (const smtp of [one, two]) {
    smtp.write('.\r\n');
    assert.match(await smtp.reply(), /^250 /);
  }
  await until(/^normal $/);
  const again = client();
  await again.hello();
  assert.match(await again.send('well again\r\n'), /^250 /);
});

test('what the intake said is not trusted when it is dead, nor when it cannot be read', async (t) => {
  const spool = await temporaryFolder(t);
  const intake = await intakeOn(t, spool);
  const path = join(spool, 'intake.state');
  const said = async () => readIntakeStatus(nodeRuntime, spool);
  await intake.stop();
  assert.equal((await said())?.level, 'refuse', 'the process, which is ours, lives');
  const dead = { ...nodeRuntime, processes: { ...nodeRuntime.processes, state: () => 'dead' as const } };
  assert.equal(await readIntakeStatus(dead, spool), undefined);
  await writeFile(path, (await readFile(path)).subarray(0, 40));
  assert.equal(await said(), undefined);
  const report = await collectStatus(await openViews(makeConfig(undefined, { SEAWALL_SPOOL_DIR: spool })), Date.now());
  assert.match(formatStatus(report), /^Intake {11}does not run$/m);
});
