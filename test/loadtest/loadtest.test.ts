// The rehearsal kit: what it measures with must itself be right. Short floods against small servers of our own.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../loadtest/crash-rehearsal.ts';
import { test } from 'node:test';
import fc from 'fast-check';
import { balance } from '../../loadtest/parts/books.ts';
import { type FloodPlan, startFlood } from '../../loadtest/parts/flood-run.ts';
import { mailMaker, sizesFrom } from '../../loadtest/parts/forms.ts';
import { Histogram } from '../../loadtest/parts/histogram.ts';
import { mergeNotes } from '../../loadtest/parts/merge.ts';
import { wallMicros } from '../../loadtest/parts/notes.ts';
import {
  openingMinute,
  openingTenMinutes,
  type ProfileName,
  profileNames,
  schedule,
  shareOf,
} from '../../loadtest/parts/profiles.ts';
import { reportPage } from '../../loadtest/parts/page.ts';
import { makeReport } from '../../loadtest/parts/report-data.ts';
import { noFailures, Sink } from '../../loadtest/parts/sink-server.ts';
import type { Outcome } from '../../loadtest/parts/smtp-lane.ts';
import { isLoopback } from '../../loadtest/parts/target.ts';
import { ticketOf } from '../../src/model/ticket.ts';
import { goodBooks, sender, stallingServer, tool } from '../support/rehearsal.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';

const micros = fc.oneof(fc.nat(1000), fc.nat(5_000_000), fc.nat(2 ** 31 - 1));

test('quantiles are right to 1/128, however many histograms were merged', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(micros), { minLength: 1, maxLength: 5 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (parts, q) => {
        const merged = new Histogram();
        for (const part of parts) {
          const one = new Histogram();
          for (const value of part) one.record(value);
          merged.merge(one.toJSON());
        }
        const sorted = parts.flat().toSorted((a, b) => a - b);
        const right = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? 0;
        const found = merged.quantile(q);
        assert.equal(merged.count, sorted.length);
        assert.ok(found >= right && found <= right * (1 + 1 / 128) + 1, `${q}: ${found}, not ${right}`);
        assert.equal(merged.quantile(1), sorted.at(-1) ?? 0);
      },
    ),
  );
});

const within = (name: ProfileName, seconds: number): number =>
  schedule(name, { quiet: 0 }).filter(({ at }) => at < seconds * 1000).length;

test('each profile sums to what it promises, in the order of time, and its shares to the whole', () => {
  assert.ok(Math.abs(within('opening', 60) - openingMinute) <= 1, String(within('opening', 60)));
  assert.ok(Math.abs(within('opening', 600) - openingTenMinutes) <= 1);
  assert.ok(within('opening', 6) > openingMinute / 2, 'most of the first minute comes in the first seconds');
  assert.equal(schedule('opening', { quiet: 10, seconds: 60 }).length, openingMinute + 10);
  assert.equal(schedule('steady', { rate: 50, seconds: 3 }).length, 150);
  assert.equal(schedule('ramp', { rate: 100, seconds: 10 }).length, 500);
  assert.deepEqual([...new Set(schedule('storm', { count: 7 }).map(({ at }) => at))], [0]);
  assert.equal(schedule('spam', {}).length, 500_000);
  const mixed = schedule('mixed', { quiet: 0, seconds: 60, rate: 20 });
  assert.equal(mixed.filter(({ stranger }) => stranger).length, 1_200);
  assert.equal(mixed.filter(({ stranger }) => !stranger).length, openingMinute);
  for (const name of profileNames) {
    const all = schedule(name, { seconds: 20, count: 101, rate: 10 });
    assert.ok(
      all.every(({ at }, i) => i === 0 || at >= (all[i - 1]?.at ?? 0)),
      name,
    );
    const shares = [1, 2, 3].flatMap((node) => shareOf(all, node, 3).map(({ index }) => index));
    assert.deepEqual(
      shares.toSorted((a, b) => a - b),
      all.map((_, i) => i + 1),
      name,
    );
  }
});

test('mails are as large as was asked, in CRLF lines, and the same on every node', () => {
  const make = mailMaker(sizesFrom('1500,4096'), 10);
  for (let index = 1; index < 100; index++) {
    const mail = make(index, `R${index}`, sender);
    assert.ok(Math.min(Math.abs(mail.length - 1500), Math.abs(mail.length - 4096)) < 80, String(mail.length));
    assert.match(mail, new RegExp(`^1e\\.\\.: R${index}\r\n`, 'm'));
    assert.doesNotMatch(mail, /[^\r]\n|\r[^\n]|^\.|\{\{/m);
    assert.equal(mail, mailMaker(sizesFrom('1500,4096'), 10)(index, `R${index}`, sender));
  }
  assert.throws(() => sizesFrom('4096:none'), /wants bytes/);
});

/** Plants an error into good books and wants it found. */
const finds = (what: string, plant: (books: ReturnType<typeof goodBooks>) => void): void => {
  const books = goodBooks();
  plant(books);
  const { findings } = balance(books);
  assert.ok(
    findings.some((each) => each.what === what && each.first.length > 0),
    `${what}: ${JSON.stringify(findings)}`,
  );
};

test('reconcile finds each planted error, and names it', () => {
  assert.deepEqual(balance(goodBooks()).findings, []);
  const second = ticketOf(2);
  const without = <T extends { ticket?: string | undefined }>(all: readonly T[]): T[] =>
    all.filter(({ ticket }) => ticket !== second);
  finds('a ticket was given and is not in the spool', (books) => (books.spool = without(books.spool)));
  finds('the spool has a gap or a repeat', (books) => (books.spool = without(books.spool)));
  finds('kept, but given to no registrar (0 answers were lost)', (books) => (books.flood = without(books.flood)));
  finds('a ticket was given twice', (books) => (books.flood = [...books.flood, ...books.flood.slice(1, 2)]));
  finds('not acknowledged', (books) => (books.sink = without(books.sink)));
  finds('not pulled', (books) => (books.registry = without(books.registry)));
  finds('pulled out of order', (books) => (books.registry = without(books.registry)));
  finds('pulled and not confirmed', (books) => (books.registry = books.registry.slice(0, 5)));
  finds(
    'an acknowledgement went to somebody else',
    (books) => (books.sink = books.sink.map((each) => ({ ...each, to: 'x@y.example' }))),
  );
  finds('a ticket carries the wrong request', (books) => {
    books.registry = books.registry.map((each) => ({ ...each, reference: 'R1' }));
  });
  finds('out of order', (books) => {
    // The one that was answered first has the later place.
    books.flood = books.flood.map((each, i) => ({ ...each, ticket: ticketOf([2, 1, 3][i] ?? 0) }));
  });
  finds('a stranger was let in', (books) => (books.flood = books.flood.map((each) => ({ ...each, stranger: true }))));
});

test('a request whose answer was lost may be in the spool or not', () => {
  const books = goodBooks();
  books.flood = books.flood.map((each) => (each.reference === 'R3' ? { ...each, code: 0, ticket: undefined } : each));
  assert.deepEqual(balance(books).findings, []);
});

function planFor(port: number, count: number, seconds: number): FloodPlan {
  return {
    target: { host: '127.0.0.1', port },
    work: shareOf(schedule('steady', { rate: count / seconds, seconds }), 1, 1),
    sessions: 3,
    kept: true,
    tls: false,
    closed: false,
    start: wallMicros(),
    registrars: [sender],
    recipient: 'domain@registry.example',
    strangersTo: 'nobody@elsewhere.example',
    makeMail: mailMaker(sizesFrom('600'), 10),
    referenceOf: (index) => `R${index}`,
    patienceMs: 5_000,
  };
}

test('a server that stalls does not slow the schedule, and latencies count from when requests were due', async (t) => {
  const { port, goOn } = await stallingServer(t);
  const outcomes: Outcome[] = [];
  const plan = planFor(port, 50, 0.5);
  const running = startFlood(plan, (outcome) => outcomes.push(outcome));
  await eventually('all are due and have waited for a while', 10, () => {
    return running.due() === 50 && wallMicros() - plan.start > 650_000;
  });
  assert.equal(running.due(), 50, 'all were due although nothing was answered');
  assert.equal(outcomes.length, 0);
  const before = wallMicros();
  goOn();
  await running.done;
  assert.equal(outcomes.length, 50);
  for (const { code, job, replied } of outcomes) {
    assert.equal(code, 250);
    assert.ok(Math.abs(job.scheduled - (plan.start + (job.index - 0.5) * 10_000)) <= 1);
    assert.ok(replied >= before && replied - job.scheduled >= before - job.scheduled);
  }
  const slowest = Math.max(...outcomes.map(({ job, replied }) => replied - job.scheduled));
  assert.ok(slowest > 600_000, `the first one waited through the stall: ${slowest} µs`);
});

test('every request has one outcome, also when the server hangs up, and messages are sent once', async (t) => {
  const seen: string[] = [];
  const sink = new Sink({ ...noFailures, later: 20, never: 10, drop: 20 }, ({ to }) => seen.push(to));
  const port = await sink.listen(0);
  atEnd(t, () => sink.close());
  const outcomes: Outcome[] = [];
  const plan = { ...planFor(port, 100, 0.1), closed: true };
  await startFlood(plan, (outcome) => outcomes.push(outcome)).done;
  const count = (code: number): number => outcomes.filter((each) => each.code === code).length;
  assert.deepEqual([count(250), count(451), count(550), count(0)], [50, 20, 10, 20]);
  assert.equal(new Set(outcomes.map(({ job }) => job.index)).size, 100);
  assert.equal(seen.length, 100);
});

test('one connection a message works as well, and so does a server that is not there', async (t) => {
  const sink = new Sink(noFailures, () => undefined);
  const port = await sink.listen(0);
  const outcomes: Outcome[] = [];
  await startFlood({ ...planFor(port, 30, 0.1), kept: false }, (outcome) => outcomes.push(outcome)).done;
  assert.ok(outcomes.length === 30 && outcomes.every(({ code, sent }) => code === 250 && sent > 0));
  await sink.close();
  outcomes.length = 0;
  await startFlood({ ...planFor(port, 6, 0.1), patienceMs: 300 }, (outcome) => outcomes.push(outcome)).done;
  assert.ok(outcomes.length === 6 && outcomes.every(({ code, sent }) => code === 0 && sent === 0));
  t.diagnostic(outcomes[0]?.reply ?? '');
});

test('a target that is not loopback is refused, in words', async () => {
  const { code, said } = await tool('flood', '--target', '192.0.2.1:25', '--profile', 'storm', '--count', '1');
  assert.equal(code, 64);
  assert.match(said, /--i-own-this-target/);
  assert.match(said, /Nothing was sent/);
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(address), address);
  for (const address of ['128.0.0.1', '10.127.0.1', '::2', '::ffff:10.0.0.1']) assert.ok(!isLoopback(address), address);
});

test('notes of several processes merge into one result', async (t) => {
  const sink = new Sink(noFailures, () => undefined);
  const port = await sink.listen(0);
  atEnd(t, () => sink.close());
  const folder = await temporaryFolder(t);
  const files = [1, 2].map((node) => join(folder, `${node}.notes`));
  const common = [
    '--target',
    String(port),
    '--profile',
    'steady',
    '--rate',
    '100',
    '--seconds',
    '0.5',
    '--sessions',
    '4',
  ];
  const ends = await Promise.all(
    files.map((file, i) => tool('flood', ...common, '--node', `${i + 1}/2`, '--notes', file)),
  );
  assert.deepEqual(
    ends.map(({ code }) => code),
    [0, 0],
    ends.map(({ said }) => said).join('\n'),
  );
  assert.equal((await readFile(files[0] ?? '', 'latin1')).trim().split('\n').length, 26);
  const { tally } = await mergeNotes(files);
  assert.deepEqual([tally.accepted, tally.latency.count, tally.lost], [50, 50, 0]);
});

test('the report is one page that names no other address, and tells what happened', () => {
  const { flood, sink, registry } = goodBooks();
  const refused = flood.slice(0, 1).map((each) => ({ ...each, code: 550, ticket: undefined }));
  const samples = [1, 2, 3].map((n) => ({ at: n * 100, name: 'intake', cpuSeconds: n / 10, megabytes: 70 }));
  const report = makeReport({
    title: '<script>alert(1)</script>',
    about: ['flood: a & b'],
    flood: [...flood, ...refused],
    sink,
    registry,
    samples,
    books: { balances: false, words: 'PROBLEM: "x"' },
  });
  assert.deepEqual(report.codes, { 250: 3, 550: 1 });
  assert.equal(report.totals['confirmed'], 3);
  assert.ok(
    report.charts.every(({ series }) =>
      series.every(({ values }) => values.every((each) => each === null || each >= 0)),
    ),
  );
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report, 'the JSON report says the same');
  const page = reportPage(report);
  assert.doesNotMatch(page, /https?:|\/\/[a-z]|<script|<link|@import|url\(|\bsrc=|\bNaN\b|\bundefined\b|Infinity/i);
  assert.match(page, /The books do not balance/);
});
