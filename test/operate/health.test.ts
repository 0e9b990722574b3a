// Health says of each thing that can go wrong whether it has, and why; over HTTP, and for monitoring by exit code.

import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { get as askHttp } from 'node:http';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, startDaemon } from '../../loadtest/daemon.ts';
import { freePort } from '../../loadtest/postfix.ts';
import { type Check, checksOf, nagiosReport, type Observed, worstOf } from '../../src/operate/health.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { until, verb } from '../support/verbs.ts';

const bounds = { relaySeconds: 120, ackSeconds: 300, pullSeconds: 3_600 };
const alive = (stage: string) => ({ stage, pid: 1, host: 'h', since: '', epoch: '1', state: 'alive' as const });
const gauge = { used: 0, most: 1 };
const intake = {
  level: 'normal',
  why: '',
  connections: gauge,
  memory: gauge,
  line: gauge,
  day: '',
  counts: { kept: 0, repeated: 0, deferred: 0, refused: 0 },
  saidSecondsAgo: 1,
};
const away = (name: string, forSeconds: number) => ({ name, text: 'ECONNREFUSED', forSeconds, nextTry: '' });
const old = (ageSeconds: number) => ({ ticket: 'SW-000000001-G', receivedAt: '', ageSeconds });

const well: Observed = {
  spool: '/spool',
  logId: 'log',
  rehearsal: false,
  copied: null,
  at: '',
  problems: [],
  opening: { state: 'always', phases: 0, phase: null, next: null, closes: null },
  clock: { synchronised: null, offsetMs: null, source: null, trouble: null },
  kept: 0,
  lastReceivedAt: null,
  acknowledgements: {
    settledThrough: 0,
    waiting: 0,
    retrying: 0,
    sent: 0,
    skipped: 0,
    failed: 0,
    poisoned: 0,
    oldestUntried: null,
  },
  sends: true,
  registry: { confirmedThrough: 0, ready: 0, leased: 0, parked: 0, confirmed: 0, oldestWaiting: null },
  stages: [alive('intake'), alive('acknowledge'), alive('deliver')],
  intake,
  sending: { carriers: ['a:25', 'b:25'], troubles: [], troubled: 0 },
  certificates: [],
  disk: { freeBytes: 2 ** 34, freeInodes: 10_000, belowFloor: false },
};

const withRelays = (...troubles: ReturnType<typeof away>[]): Partial<Observed> => ({
  sending: { carriers: ['a:25', 'b:25'], troubles, troubled: troubles.length },
});

test('each check says whether it is well, and why not', () => {
  assert.deepEqual([worstOf(checksOf(well, bounds)), nagiosReport(checksOf(well, bounds)).code], ['ok', 0]);
  const cases: [Partial<Observed>, Check['name'], Check['level'], RegExp][] = [
    [{ stages: [alive('intake'), alive('deliver')] }, 'stages', 'critical', /^acknowledge does not run$/],
    [{ stages: [] }, 'stages', 'critical', /^intake and acknowledge and deliver do not run$/],
    [{ intake: null }, 'mail', 'critical', /no intake/],
    [{ intake: { ...intake, saidSecondsAgo: 60 } }, 'mail', 'critical', /said nothing for 60 s/],
    [{ intake: { ...intake, level: 'refuse', why: 'connections: 5 of 5' } }, 'mail', 'critical', /421: connections/],
    [{ intake: { ...intake, level: 'slow', why: 'half full' } }, 'mail', 'warning', /slowly: half full/],
    [
      { intake: { ...intake, answer: { code: 452, text: 'Too little room', due: false } } },
      'mail',
      'critical',
      /^MAIL gets 452: Too little room$/,
    ],
    [{ intake: { ...intake, answer: { code: 450, text: 'Not open', due: true } } }, 'mail', 'ok', /by the opening/],
    [{ clock: { ...well.clock, trouble: 'the clock is off' } }, 'opening', 'critical', /waits: the clock is off/],
    [{ disk: null }, 'disk', 'critical', /not known/],
    [{ disk: { freeBytes: 2 ** 30, freeInodes: null, belowFloor: true } }, 'disk', 'critical', /below the floor/],
    [{ disk: { freeBytes: 0, freeInodes: null, belowFloor: false } }, 'disk', 'critical', /is full/],
    [{ disk: { freeBytes: 2 ** 30, freeInodes: 0, belowFloor: false } }, 'disk', 'critical', /is full/],
    [{ sending: null }, 'acknowledgements', 'critical', /says nothing/],
    [withRelays(away('a:25', 500)), 'acknowledgements', 'warning', /a:25 out of reach for 8 min/],
    [withRelays(away('a:25', 500), away('b:25', 60)), 'acknowledgements', 'warning', /b:25 out of reach/],
    [withRelays(away('a:25', 500), away('b:25', 130)), 'acknowledgements', 'critical', /a:25 .*; b:25/],
    [
      { acknowledgements: { ...well.acknowledgements, oldestUntried: old(400) } },
      'acknowledgements',
      'critical',
      /SW-000000001-G has waited 7 min to be acknowledged/,
    ],
    [{ registry: { ...well.registry, oldestWaiting: old(4_000) } }, 'registry', 'warning', /waited 67 min/],
    [{ registry: { ...well.registry, oldestWaiting: old(3_000) } }, 'registry', 'ok', /waited 50 min/],
    [
      { certificates: [{ setting: 'smtp', ended: true, text: 'has ended' }] },
      'certificates',
      'critical',
      /^smtp has ended$/,
    ],
    [{ certificates: [{ setting: 'soap', ended: false, text: 'ends' }] }, 'certificates', 'warning', /^soap ends$/],
    [{ problems: ['deliver.journal is damaged'] }, 'journals', 'critical', /deliver\.journal is damaged/],
  ];
  for (const [change, name, level, reason] of cases) {
    const checks = checksOf({ ...well, ...change }, bounds);
    const found = checks.find((each) => each.name === name);
    assert.equal(found?.level, level, JSON.stringify(found));
    assert.match(found.reason, reason);
    assert.equal(worstOf(checks), level);
    assert.equal(nagiosReport(checks).code, { ok: 0, warning: 1, critical: 2 }[level]);
  }
});

test('what is off is not ill: no acknowledgements, no bounds', () => {
  const off = { ...well, sends: false, sending: null, stages: [alive('intake'), alive('deliver')] };
  assert.equal(worstOf(checksOf(off, bounds)), 'ok');
  const late = {
    ...well,
    ...withRelays(away('a:25', 9_000), away('b:25', 9_000)),
    acknowledgements: { ...well.acknowledgements, oldestUntried: old(9_000) },
    registry: { ...well.registry, oldestWaiting: old(90_000) },
  };
  assert.equal(worstOf(checksOf(late, { relaySeconds: 0, ackSeconds: 0, pullSeconds: 0 })), 'warning');
});

async function daemon(t: TestContext, settings: Record<string, string>): Promise<Daemon> {
  const started = await startDaemon(undefined, settings);
  atEnd(t, () => started.stop());
  return started;
}

interface Health {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

async function get(on: Daemon, path: string): Promise<{ code: number; checks: readonly Check[] }> {
  const response = await fetch(`http://127.0.0.1:${on.adminPort}${path}`);
  const { ok, checks } = (await response.json()) as Health;
  assert.equal(ok, response.status === 200);
  return { code: response.status, checks };
}

/** Sends one mail, whatever is answered to MAIL. */
async function mail(on: Daemon): Promise<string> {
  const smtp = new SmtpClient(on.smtpPort);
  await smtp.hello();
  const answer = await smtp.say('MAIL FROM:<a@b.example>');
  await smtp.say('QUIT');
  return answer;
}

/** All that says how it is, once it is not well: it must say the same. */
async function unwell(on: Daemon, name: Check['name'], reason: RegExp, ready: 200 | 503): Promise<void> {
  const reasonOf = (checks: readonly Check[]): string =>
    checks.find((each) => each.name === name && each.level === 'critical')?.reason ?? '';
  const { code: health } = await until(
    () => get(on, '/health'),
    ({ checks }) => reason.test(reasonOf(checks)),
  );
  assert.equal(health, 503);
  assert.equal((await get(on, '/readyz')).code, ready);
  assert.equal((await fetch(`http://127.0.0.1:${on.adminPort}/livez`)).status, 200);
  const { stdout, code } = await verb(on, 'status', '--check');
  assert.equal(code, 2);
  assert.match(stdout, new RegExp(`^SEAWALL CRITICAL - .*CRITICAL ${name}: `));
}

test('below the floor nothing says that mail is taken', async (t) => {
  const on = await daemon(t, { SEAWALL_SPOOL_FLOOR_BYTES: String(2 ** 50) });
  await unwell(on, 'mail', /^MAIL gets 452: /, 503);
  assert.match(await mail(on), /^452 /);
  const { stdout } = await verb(on, 'status');
  assert.match(stdout, /^Health {11}CRITICAL mail: MAIL gets 452/m);
  assert.match(stdout, /^Intake {11}DEFERS with 452 /m);
  assert.match(stdout, /^Opening .*NO MAIL IS TAKEN/m);
  assert.doesNotMatch(stdout, /takes all/);
});

test('with a wrong clock nothing says that the opening is open', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of ['chronyc', 'ntpq']) {
    await writeFile(join(folder, name), '#!/bin/sh\nexit 1\n');
    await chmod(join(folder, name), 0o755);
  }
  await writeFile(join(folder, 'timedatectl'), '#!/bin/sh\necho no\n');
  await chmod(join(folder, 'timedatectl'), 0o755);
  const on = await daemon(t, {
    PATH: `${folder}:${process.env['PATH']}`,
    SEAWALL_OPENING_PHASES: '2020-12-01T09:00Z first',
  });
  await unwell(on, 'mail', /^MAIL gets 450: .*not synchronised/, 503);
  assert.match(await mail(on), /^450 /);
  const { stdout } = await verb(on, 'status');
  assert.match(stdout, /^Intake {11}DEFERS with 450 /m);
  assert.match(stdout, /^Opening {10}Open since .*; BUT NO MAIL IS TAKEN/m);
  assert.match(stdout, /^Clock .*THE OPENING WAITS/m);
});

test('a relay that stays away is an error, and no reason to send mail elsewhere', async (t) => {
  const relay = `smtp://127.0.0.1:${await freePort()}`;
  const on = await daemon(t, { SEAWALL_ACK_RELAYS: relay, SEAWALL_HEALTH_RELAY_SECONDS: '1' });
  const smtp = new SmtpClient(on.smtpPort);
  await smtp.hello();
  assert.match(await smtp.send('Subject: one\r\n\r\n'), /^250 /);
  await smtp.say('QUIT');
  await unwell(on, 'acknowledgements', /out of reach/, 200);
});

test('before the hour all is well, and status says what mail gets', async (t) => {
  const on = await daemon(t, { SEAWALL_OPENING_PHASES: '2099-12-01T09:00Z first', SEAWALL_OPENING_CLOCK: 'ignore' });
  await until(
    () => get(on, '/health'),
    ({ code }) => code === 200,
  );
  assert.equal((await get(on, '/readyz')).code, 200);
  const { stdout } = await verb(on, 'status');
  assert.match(stdout, /^Intake {11}answers with 450 /m);
  assert.match(stdout, /^Health {11}all is well$/m);
  const { stdout: checked, code } = await verb(on, 'status', '--check');
  assert.deepEqual([code, checked.split('\n')[0]], [0, 'SEAWALL OK - all is well']);
});

test('a check that cannot be made is unknown', async () => {
  const environment = { ...process.env, SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: '/nowhere/spool' };
  const { stdout, code } = await verb({ environment }, 'status', '--check');
  assert.equal(code, 3);
  assert.match(stdout, /^SEAWALL UNKNOWN - There is no spool/);
  const wrong = await verb({ environment: { ...environment, SEAWALL_NONSENSE: '1' } }, 'status', '--check');
  assert.equal(wrong.code, 3);
});

test('a page whose name was made to lead here is told nothing, and no page of another origin is', async (t) => {
  const on = await daemon(t, { SEAWALL_ADMIN_NAMES: 'ops.registry.example' });
  const ask = (path: string, headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const asked = askHttp({ host: '127.0.0.1', port: on.adminPort, path, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on('error', reject);
    });
  for (const host of ['127.0.0.1', 'localhost:8026', '[::1]:8026', 'OPS.registry.example.', '192.0.2.1'])
    assert.equal(await ask('/status', { host }), 200, host);
  for (const path of ['/status', '/health', '/readyz']) {
    assert.equal(await ask(path, { host: 'evil.example:8026' }), 403, path);
    assert.equal(await ask(path, { host: 'localhost', origin: 'http://evil.example' }), 403, path);
  }
  assert.equal(await ask('/livez', { host: 'evil.example' }), 200);
});
