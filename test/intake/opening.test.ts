// The hour: what a time in the configuration means, who comes in before, at and after it, and what is written down.

import assert from 'node:assert/strict';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { seawall, startDaemon } from '../../loadtest/daemon.ts';
import { makeConfig } from '../../src/config/config.ts';
import { askClock, type ClockReport } from '../../src/intake/clock/clock-sync.ts';
import { countdown, readOpening, standingAt } from '../../src/model/opening.ts';
import { formatClock, formatOpening, openingReport } from '../../src/operate/opening-status.ts';
import { intakeOn } from '../support/intake.ts';
import { settle, TurnedClock } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, largeMailboxes, readAll, temporaryFolder } from '../support/spool.ts';
import { run } from '../support/tools.ts';

const hour = Date.UTC(2026, 11, 1, 8, 0, 0);
const phases = ['2026-12-01T09:00 Europe/Paris a-f', '2026-12-02T09:00:00+01:00 g-m'];
const settings = { SEAWALL_OPENING_PHASES: phases.join(',') };
const message = 'Subject: create\r\n\r\n2a..: a.example\r\n';

for (const [text, at, words] of [
  ['2026-12-01T09:00:00+01:00', hour, '2026-12-01T09:00:00+01:00'],
  ['2026-12-01T08:00Z', hour, '2026-12-01T08:00:00Z'],
  ['2026-12-01T09:00 Europe/Paris', hour, '2026-12-01T09:00:00+01:00'],
  ['2026-07-01T09:00 Europe/Paris', Date.UTC(2026, 6, 1, 7), '2026-07-01T09:00:00+02:00'],
  ['2026-12-01T13:45 Asia/Kathmandu', hour, '2026-12-01T13:45:00+05:45'],
  ['2026-12-01T03:00 America/New_York', hour, '2026-12-01T03:00:00-05:00'],
  // The last moment before and the first one after the clocks are put forward, and around the hour that comes twice.
  ['2026-03-29T01:59:59 Europe/Paris', Date.UTC(2026, 2, 29, 0, 59, 59), '2026-03-29T01:59:59+01:00'],
  ['2026-03-29T03:00 Europe/Paris', Date.UTC(2026, 2, 29, 1), '2026-03-29T03:00:00+02:00'],
  ['2026-10-25T01:59:59 Europe/Paris', Date.UTC(2026, 9, 24, 23, 59, 59), '2026-10-25T01:59:59+02:00'],
  ['2026-10-25T03:00 Europe/Paris', Date.UTC(2026, 9, 25, 2), '2026-10-25T03:00:00+01:00'],
] as const) {
  test(`${text} is ${new Date(at).toISOString()}`, () => {
    const [phase] = readOpening({ phases: [`${text}  a to f`], closes: '' }).phases;
    assert.deepEqual(phase, { at, words, name: 'a to f', number: 1 });
  });
}

for (const [given, pattern] of [
  [['2026-12-01T09:00'], /entry 1, has no offset and no zone: it wants a time.*"2026-12-01T09:00"/],
  [['2026-12-01T09:00Z', '2026-12-02T09:00 a-f'], /entry 2, "a-f" is no time zone \(such as Europe\/Paris\)/],
  [['2026-02-30T09:00Z'], /wants a time.*"2026-02-30T09:00Z"/],
  [['2026-12-01T24:00Z'], /wants a time/],
  [['2026-12-01 09:00Z'], /wants a time/],
  [['2026-12-01T09:00+25:00'], /has the offset \+25:00, which is none/],
  [['2026-12-01T09:00Z é'], /wants a name of at most 60 ASCII characters, but got "é"/],
  [['2026-03-29T02:30 Europe/Paris'], /does not exist in Europe\/Paris: the clocks are put forward/],
  [['2026-10-25T02:30 Europe/Paris'], /comes twice.*2026-10-25T02:30:00\+02:00 or 2026-10-25T02:30:00\+01:00/],
  [
    ['2026-12-01T09:00+01:00', '2026-12-01T08:00Z'],
    /wants later and later times, but 2026-12-01T08:00:00Z comes behind/,
  ],
] as const) {
  test(`the opening ${JSON.stringify(given)} is refused, in words`, () => {
    const file = { name: 'seawall.toml', text: `[opening]\nphases = ${JSON.stringify(given)}` };
    assert.throws(() => makeConfig(file, {}), { name: 'ConfigError', message: pattern });
  });
}

const closes = (text: string) => () => makeConfig(undefined, { ...settings, SEAWALL_OPENING_CLOSES: text });

test('the end comes after the last phase, and is a time and nothing else', () => {
  assert.throws(closes('2026-12-02T09:00+01:00'), /opening\.closes wants a time after the last phase \(2026-12-02T09:/);
  assert.throws(closes('2026-12-09T09:00+01:00 z'), /opening\.closes wants a time.* and nothing behind it/);
  assert.throws(closes('soon'), { name: 'ConfigError', message: /opening\.closes wants a time/ });
  assert.equal(closes('2026-12-09T09:00+01:00')().opening.closes, '2026-12-09T09:00+01:00');
});

test('the hour itself is open, the closing time itself is closed, and one phase follows on the other', () => {
  const opening = readOpening({ phases, closes: '2026-12-03T09:00+01:00' });
  const at = (ms: number): string => {
    const { state, phase, next } = standingAt(opening, hour + ms);
    return `${state} ${phase?.name ?? '-'} ${next?.name ?? '-'}`;
  };
  const day = 86_400_000;
  assert.deepEqual([-1, 0, day - 1, day, 2 * day - 1, 2 * day].map(at), [
    'before - a-f',
    'open a-f g-m',
    'open a-f g-m',
    'open g-m -',
    'open g-m -',
    'closed - -',
  ]);
  assert.equal(standingAt(readOpening({ phases: [], closes: '' }), 0).state, 'always');
});

test('status counts down, says which phase it is, and when it was over', () => {
  const opening = readOpening({ phases, closes: '2026-12-03T09:00+01:00' });
  const says = (ms: number): string => formatOpening(openingReport(opening, hour + ms));
  assert.equal(says(-751_000), 'Opens in 00:12:31 at 2026-12-01 09:00:00 +01:00 (phase 1 of 2: a-f)');
  assert.equal(says(-750_001), 'Opens in 00:12:31 at 2026-12-01 09:00:00 +01:00 (phase 1 of 2: a-f)');
  assert.equal(
    says(3_600_000),
    'Open since 2026-12-01 09:00:00 +01:00, phase 1 of 2: a-f; in 23:00:00 at 2026-12-02 09:00:00 +01:00 phase 2 of 2: g-m; closes in 1 d 23:00:00 at 2026-12-03 09:00:00 +01:00',
  );
  assert.equal(says(4 * 86_400_000), 'Closed since 2026-12-03 09:00:00 +01:00');
  assert.equal(openingReport(opening, hour - 750_001).next?.inSeconds, 751);
  const one = readOpening({ phases: ['2026-12-01T08:00Z'], closes: '' });
  assert.equal(formatOpening(openingReport(one, hour)), 'Open since 2026-12-01 08:00:00 Z, phase 1 of 1');
  assert.deepEqual([0, 1, 86_400_000].map(countdown), ['00:00:00', '00:00:01', '1 d 00:00:00']);
});

async function opened(
  t: TestContext,
  from: number,
  more: Record<string, string> = {},
  ask?: () => Promise<ClockReport>,
) {
  const clock = new TurnedClock(hour + from);
  const spool = await temporaryFolder(t);
  const intake = await intakeOn(t, spool, { ...settings, ...more }, clock, largeMailboxes, ask);
  await settle();
  const smtp = intake.client();
  await smtp.hello();
  const stamps = async () =>
    (await readAll(spool)).map(({ client: { phase, early, late, clockOffsetMs } }) => ({
      ...(phase !== undefined && { phase }),
      ...(early && { early }),
      ...(late && { late }),
      ...(clockOffsetMs !== undefined && { clockOffsetMs }),
    }));
  return { clock, smtp, stamps, client: intake.client };
}

test('a second before the hour MAIL gets 450 with the hour; at the hour to the millisecond it comes in', async (t) => {
  const { clock, smtp, stamps } = await opened(t, -1_000);
  const refused = '450 4.7.1 Not open before 2026-12-01T09:00:00+01:00 (in 00:00:01)';
  assert.equal(await smtp.say('MAIL FROM:<ops@registres.example>'), refused);
  await clock.turn(999);
  assert.equal(await smtp.say('MAIL FROM:<ops@registres.example>'), refused);
  await clock.turn(1);
  // What was refused is not let in by waiting: it takes another MAIL.
  assert.match(await smtp.say('RCPT TO:<domain@registry.example>'), /^503 /);
  assert.match(await smtp.send(message), /^250 2\.0\.0 Ok: queued as SW-000000001-\S$/);
  await clock.turn(86_400_000);
  assert.deepEqual(await stamps(), [{ phase: 'a-f' }]);
});

test('who says MAIL before the edge of a phase belongs to the phase before, wherever the final dot falls', async (t) => {
  const { clock, smtp, stamps } = await opened(t, 86_400_000 - 1);
  await smtp.say('MAIL FROM:<ops@registres.example>');
  await smtp.say('RCPT TO:<domain@registry.example>');
  await smtp.say('DATA');
  await clock.turn(1);
  smtp.write(`${message}.\r\n`);
  assert.match(await smtp.reply(), /^250 /);
  assert.deepEqual(await stamps(), [{ phase: 'a-f' }]);
});

test('keep and mark: what comes early is kept and marked, and sent again at the hour it gets a place of its own', async (t) => {
  const { clock, smtp, stamps } = await opened(t, -1, { SEAWALL_OPENING_BEFORE: 'keep' });
  assert.match(await smtp.send(message), /queued as SW-000000001-\S$/);
  assert.match(await smtp.send(message), /queued as SW-000000001-\S \(already kept\)$/);
  await clock.turn(1);
  assert.match(await smtp.send(message), /queued as SW-000000002-\S$/);
  assert.match(await smtp.send(message), /queued as SW-000000002-\S \(already kept\)$/);
  assert.deepEqual(await stamps(), [{ early: true }, { phase: 'a-f' }]);
});

test('after the closing time MAIL gets 550; who was let in before it may end, and is marked', async (t) => {
  const { clock, smtp, stamps } = await opened(t, 86_400_000 + 1_000, {
    SEAWALL_OPENING_CLOSES: '2026-12-02T08:00:02Z',
  });
  for (const line of ['MAIL FROM:<ops@registres.example>', 'RCPT TO:<domain@registry.example>', 'DATA']) {
    assert.match(await smtp.say(line), /^[23]5[04] /);
  }
  await clock.turn(1_000);
  smtp.write(`${message}.\r\n`);
  assert.match(await smtp.reply(), /^250 /);
  assert.equal(await smtp.say('MAIL FROM:<ops@registres.example>'), '550 5.7.1 Closed since 2026-12-02T08:00:02Z');
  assert.deepEqual(await stamps(), [{ late: true }]);
});

test('a clock that is not synchronised does not open; one that gets right does; and in the rush it no longer matters', async (t) => {
  let report: ClockReport = { synchronised: false, source: 'chronyc' };
  const { clock, smtp, stamps } = await opened(t, 0, {}, async () => report);
  assert.equal(
    await smtp.say('MAIL FROM:<ops@registres.example>'),
    '450 4.3.2 Not open: the clock here is not synchronised, try again later',
  );
  report = { synchronised: true, offsetMs: -2_500, source: 'chronyc' };
  await clock.turn(30_000);
  assert.match(
    await smtp.say('MAIL FROM:<ops@registres.example>'),
    /^450 4\.3\.2 Not open: the clock here is 2500 ms off/,
  );
  report = { synchronised: true, offsetMs: 0.25, source: 'chronyc' };
  await clock.turn(30_000);
  assert.match(await smtp.send(message), /^250 /);
  report = { synchronised: false, source: 'chronyc' };
  await clock.turn(30_000);
  assert.match(await smtp.send(`${message}again\r\n`), /^250 /);
  assert.deepEqual(await stamps(), [{ phase: 'a-f', clockOffsetMs: 0.25 }, { phase: 'a-f' }]);
});

const unknown = async (): Promise<ClockReport> => ({ synchronised: undefined, source: '' });
const wrong = async (): Promise<ClockReport> => ({ synchronised: false, source: 'ntpq' });

test('who may not know whether the clock is right opens all the same, unless it is required', async (t) => {
  const answer = async (more: Record<string, string>, ask: () => Promise<ClockReport>): Promise<string> =>
    (await opened(t, 0, more, ask)).smtp.say('MAIL FROM:<ops@registres.example>');
  assert.match(await answer({}, unknown), /^250 /);
  assert.match(await answer({ SEAWALL_OPENING_CLOCK: 'require' }, unknown), /^450 4\.3\.2 Not open: nobody knows/);
  assert.match(await answer({ SEAWALL_OPENING_CLOCK: 'ignore' }, wrong), /^250 /);
  // Without an opening there is nothing to be on time for.
  assert.match(await answer({ SEAWALL_OPENING_PHASES: '', SEAWALL_OPENING_CLOCK: 'require' }, wrong), /^250 /);
  // Nor is anybody let in before the first answer has come.
  assert.match(await answer({}, () => new Promise(() => undefined)), /^450 4\.3\.2 Not open: nobody has said yet/);
});

// As the programs print it: chrony 4, ntpd 4.2.8 and 4.2.6, systemd.
const chrony = (way: string, leap: string): string => `Reference ID    : CB00710F (203.0.113.15)
Stratum         : 3
Ref time (UTC)  : Tue Dec 01 07:58:14 2026
System time     : 0.000006523 seconds ${way} of NTP time
Last offset     : -0.000006747 seconds
RMS offset      : 0.000035822 seconds
Frequency       : 3.225 ppm slow
Residual freq   : -0.000 ppm
Skew            : 0.129 ppm
Root delay      : 0.013639022 seconds
Root dispersion : 0.001100737 seconds
Update interval : 64.2 seconds
Leap status     : ${leap}
`;
const ntpd = `associd=0 status=0615 leap_none, sync_ntp, 1 event, clock_sync,
version="ntpd 4.2.8p15@1.3728-o Wed Sep 23 11:46:38 UTC 2020 (1)",
processor="x86_64", system="Linux/5.10.0-8-amd64", leap=00, stratum=3,
precision=-23, rootdelay=12.345, rootdisp=23.456, refid=203.0.113.15,
mintc=3, offset=+0.512000, frequency=-12.345, sys_jitter=0.234567,
clk_jitter=0.045, clk_wander=0.012
`;
const ntpdAlone = `associd=0 status=c012 leap_alarm, sync_unspec, 1 event, freq_set,
version="ntpd 4.2.6p5@1.2349-o Wed Jul 12 12:22:58 UTC 2017 (1)",
processor="x86_64", system="Linux/3.13.0-116-generic", leap=11,
stratum=16, precision=-23, rootdelay=0.000, rootdisp=0.915, refid=INIT,
mintc=3, offset=0.000, frequency=-371.340, sys_jitter=0.000,
clk_jitter=0.000, clk_wander=0.000
`;
for (const [what, printed, report, words] of [
  ['nobody', {}, { synchronised: undefined, source: '' }, 'not known to be synchronised'],
  [
    'chrony, behind',
    { chronyc: chrony('slow', 'Normal') },
    { synchronised: true, offsetMs: -0.007, source: 'chronyc' },
    'synchronised, 0.007 ms behind (chronyc)',
  ],
  [
    'chrony, ahead, with a leap second to come',
    { chronyc: chrony('fast', 'Insert second') },
    { synchronised: true, offsetMs: 0.007, source: 'chronyc' },
    'synchronised, 0.007 ms ahead (chronyc)',
  ],
  [
    'chrony without a source, before all others',
    { chronyc: chrony('fast', 'Not synchronised'), timedatectl: 'yes\n' },
    { synchronised: false, source: 'chronyc' },
    'NOT SYNCHRONISED (chronyc)',
  ],
  [
    'ntpd, behind',
    { chronyc: '506 Cannot talk to daemon\n', ntpq: ntpd },
    { synchronised: true, offsetMs: -0.512, source: 'ntpq' },
    'synchronised, 0.512 ms behind (ntpq)',
  ],
  ['ntpd alone', { ntpq: ntpdAlone }, { synchronised: false, source: 'ntpq' }, 'NOT SYNCHRONISED (ntpq)'],
  [
    'the kernel',
    { ntpq: 'ntpq: read: Connection refused\n', timedatectl: 'yes\n' },
    { synchronised: true, source: 'timedatectl' },
    'synchronised (timedatectl)',
  ],
  [
    'the kernel, not',
    { timedatectl: 'no\n' },
    { synchronised: false, source: 'timedatectl' },
    'NOT SYNCHRONISED (timedatectl)',
  ],
] as const) {
  test(`the clock according to ${what}`, async () => {
    const found = await askClock(async (file) => (printed as Record<string, string>)[file]);
    assert.deepEqual(found, report);
    const { synchronised, source } = found;
    const shown = { synchronised: synchronised ?? null, offsetMs: found.offsetMs ?? null, source: source || null };
    assert.equal(formatClock({ ...shown, trouble: null }), words);
  });
}

test('a daemon asks the chrony of its machine, and waits for it, and status says so', async (t) => {
  const folder = await temporaryFolder(t);
  const program = join(folder, 'chronyc');
  await writeFile(program, `#!/bin/sh\ncat <<END\n${chrony('fast', 'Not synchronised')}END\n`);
  await chmod(program, 0o755);
  const on = await startDaemon('intake', {
    PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}`,
    SEAWALL_OPENING_PHASES: '2020-12-01T09:00 Europe/Paris',
  });
  atEnd(t, () => on.stop());
  const smtp = new SmtpClient(on.smtpPort);
  await smtp.hello();
  const reply = await smtp.say('MAIL FROM:<ops@registres.example>');
  // The daemon may be asked before chrony has answered.
  assert.match(reply, /^450 4\.3\.2 Not open: (the clock here is not synchronised|nobody has said yet)/);
  const [file, args] = seawall('status');
  assert.match(
    (await run(file, args, { env: on.environment })).stdout,
    /^Clock            NOT SYNCHRONISED \(chronyc\)/m,
  );
  assert.equal(await on.stop({ keepSpool: true }), 0);
  atEnd(t, () => rm(on.spool, { recursive: true, force: true }));
  // Nobody runs: status asks by itself.
  await writeFile(program, `#!/bin/sh\ncat <<END\n${chrony('fast', 'Normal')}END\n`);
  const { stdout } = await run(file, args, { env: on.environment });
  assert.match(stdout, /^Clock            synchronised, 0\.007 ms ahead \(chronyc\)$/m);
});
