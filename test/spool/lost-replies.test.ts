import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fingerprintOf } from '../../src/spool/dedup/fingerprint.ts';
import type { NewRequest } from '../../src/model/request.ts';
import { sequenceOf } from '../../src/model/ticket.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import { MailboxFingerprints, writeFingerprints } from '../../src/spool/dedup/fingerprint-file.ts';
import { lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { mailboxFolder } from '../../src/spool/mailbox/mailbox-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';
import { Deduplicator } from '../../src/spool/dedup/deduplication.ts';
import { intakeOn } from '../support/intake.ts';
import { request, runtimeOnTheDay, runtimeWith, TurnedClock } from '../support/memory.ts';
import { atEnd, largeMailboxes, readAll, temporaryFolder } from '../support/spool.ts';

const day = 86_400_000;

function mail(headers: readonly string[], body = '1a..: C\r\n2a..: a.example\r\n'): string {
  return `${headers.join('\r\n')}\r\n\r\n${body}`;
}

const original = mail(['Date: Sat, 21 Nov 2026 09:00:00 +0000', 'Message-ID: <1@r.example>', 'Subject: create [R1]']);

function marked(message: string, fields: Partial<NewRequest> = {}): NewRequest {
  const made = request(message, fields);
  return { ...made, fingerprint: fingerprintOf(made) };
}

async function reopen(t: TestContext, spool: string, count = 20_000, runtime: Runtime = runtimeOnTheDay) {
  const { writer } = await openMailboxWriter(runtime, lockFiles, spool, { ...largeMailboxes, count }, day);
  atEnd(t, () => writer.close());
  return writer;
}

/** What is told to a client that sends `first` and then `second`; the numbers of their tickets. */
async function sendBoth(t: TestContext, first: string, second: string, senders = ['a@r.example', 'a@r.example']) {
  const spool = await temporaryFolder(t);
  const { client } = await intakeOn(t, spool);
  const smtp = client();
  await smtp.hello();
  const replies = [await smtp.send(first, senders[0]), await smtp.send(second, senders[1])];
  const tickets = replies.map((reply) => sequenceOf(/queued as (\S+)/.exec(reply)?.[1] ?? ''));
  assert.equal((await readAll(spool)).length, new Set(tickets).size);
  return { replies, tickets };
}

const copies: [string, string][] = [
  ['the same bytes', original],
  ['the same with a Received line', `Received: from a by b;\r\n Sat, 21 Nov 2026 09:00:01 +0000\r\n${original}`],
  [
    'the same with all that relays add on the way',
    [
      'Return-Path: <a@r.example>',
      'Delivered-To: domain@registry.example',
      'ARC-Seal: i=1; a=rsa-sha256; t=1; cv=none;\r\n b=abc',
      'Authentication-Results: mx.example; spf=pass',
      'DKIM-Signature: v=1; a=rsa-sha256; t=2;\r\n\tb=def',
      'X-Original-To: domain@registry.example',
      'Received-SPF: pass',
      'X-Spam-Status: No, score=-1.2 required=5.0\r\n\ttests=ALL_TRUSTED',
      'X-Virus-Scanned: clamav at mx.example',
      original,
    ].join('\r\n'),
  ],
];

for (const [what, second] of copies) {
  test(`${what} gets the first ticket, and is not stored again`, async (t) => {
    const { replies, tickets } = await sendBoth(t, original, second);
    assert.match(replies[0]!, /^250 2\.0\.0 Ok: queued as SW-000000001-\S$/);
    assert.equal(replies[1], `${replies[0]} (already kept)`);
    assert.deepEqual(tickets, [1, 1]);
  });
}

const others: [string, string, string, string?][] = [
  ['a constant Message-ID with another body', original, original.replace('a.example', 'b.example')],
  ['a constant Message-ID with another Subject', original, original.replace('[R1]', '[R2]')],
  ['a constant Message-ID with another To', mail(['Message-ID: <1@r>', 'To: a']), mail(['Message-ID: <1@r>', 'To: b'])],
  ['a constant Message-ID with another field of its own', original, `X-Try: 2\r\n${original}`],
  ['another Message-ID with the same body', original, original.replace('<1@', '<2@')],
  [
    'a constant Message-ID with another field that only looks like a filter’s',
    `X-Spammer: 1\r\n${original}`,
    `X-Spammer: 2\r\n${original}`,
  ],
  ['the same bytes from another sender', original, original, 'b@r.example'],
  ['the same body without any Message-ID', mail(['Subject: x']), mail(['Subject: x', 'X: y'])],
  [
    'a constant Message-ID where all is headers',
    'Message-ID: <1@r>\r\nX-Create: a\r\n',
    'Message-ID: <1@r>\r\nX-Create: b\r\n',
  ],
  [
    'a constant Message-ID with an empty body',
    'Message-ID: <1@r>\r\nX-Create: a\r\n\r\n',
    'Message-ID: <1@r>\r\nX-Create: b\r\n\r\n',
  ],
];

for (const [what, first, second, sender = 'a@r.example'] of others) {
  test(`${what} is a request of its own`, async (t) => {
    assert.deepEqual((await sendBoth(t, first, second, ['a@r.example', sender])).tickets, [1, 2]);
  });
}

test('the same bytes to another recipient, or from the null sender at another address, are requests of their own', () => {
  const one = request(original);
  const exact = (fields: Partial<NewRequest>) => fingerprintOf({ ...one, ...fields });
  assert.notEqual(exact({ envelope: { ...one.envelope, to: ['delete@registry.example'] } }), exact({}));
  const bounce = { envelope: { from: '', to: ['domain@registry.example'] } };
  assert.equal(exact(bounce), exact(bounce));
  assert.notEqual(exact({ ...bounce, client: { ...one.client, address: '192.0.2.8' } }), exact(bounce));
});

test('two copies in one write get one place, and so do copies on many connections at once', async (t) => {
  const spool = await temporaryFolder(t);
  const { client } = await intakeOn(t, spool);
  const clients = Array.from({ length: 20 }, () => client());
  for (const smtp of clients) await smtp.hello();
  const replies = await Promise.all(clients.map((smtp) => smtp.send(original)));
  assert.ok(replies.every((reply) => reply.startsWith('250 2.0.0 Ok: queued as SW-000000001-')));
  assert.equal(replies.filter((reply) => reply.endsWith('(already kept)')).length, 19);
  assert.equal((await readAll(spool)).length, 1);
  const writer = await reopen(t, await temporaryFolder(t));
  const batch = [marked(original), marked(`Received: x\r\n${original}`), marked(mail(['Subject: other']))];
  assert.deepEqual(await writer.append(batch), [1, 1, 2]);
});

test('a copy is known after a restart and after a kill, across mailboxes', async (t) => {
  const spool = await temporaryFolder(t);
  const requests = Array.from({ length: 50 }, (_, i) => marked(original.replaceAll('R1', `R${i}`)));
  const again = requests.map((each) => ({ ...each, id: `${each.id}-again` }));
  const numbers = requests.map((_, i) => i + 1);
  const first = await reopen(t, spool, 7);
  assert.deepEqual(await first.append(requests), numbers);
  assert.deepEqual(await first.append(again), numbers);
  await first.close();
  const { writer: second } = await openMailboxWriter(
    runtimeOnTheDay,
    lockFiles,
    spool,
    { ...largeMailboxes, count: 7 },
    day,
  );
  // It finds its lock taken away, which is as it should be.
  atEnd(t, () => second.close().catch(() => undefined));
  assert.deepEqual(await second.append(again), numbers);
  // Not closed, as after a kill: the last mailbox has neither index nor fingerprints.
  assert.deepEqual(await second.append([marked(mail(['Subject: late']))]), [51]);
  const third = await openMailboxWriter(
    abandoned(runtimeOnTheDay),
    lockFiles,
    spool,
    { ...largeMailboxes, count: 7 },
    day,
  );
  atEnd(t, () => third.writer.close());
  assert.deepEqual(await third.writer.append([...again, marked(mail(['Subject: late']))]), [...numbers, 51]);
  assert.equal((await readAll(spool)).length, 51);
});

/** A runtime to which every other process looks dead, so that a lock can be taken from a writer of this very process. */
function abandoned(runtime: Runtime): Runtime {
  return { ...runtime, processes: { ...runtime.processes, state: () => 'dead' } };
}

test('once the window is over a copy is a request of its own, and the next copy is told the second ticket', async (t) => {
  const spool = await temporaryFolder(t);
  const clock = new TurnedClock();
  const { client } = await intakeOn(t, spool, { SEAWALL_SMTP_DUPLICATE_SECONDS: '600' }, clock);
  const say = async (): Promise<string> => {
    const smtp = client();
    await smtp.hello();
    return smtp.send(original);
  };
  assert.match(await say(), /SW-000000001-\S$/);
  await clock.turn(600_000);
  assert.match(await say(), /SW-000000001-\S \(already kept\)$/);
  await clock.turn(1_000);
  assert.match(await say(), /SW-000000002-\S$/);
  assert.match(await say(), /SW-000000002-\S \(already kept\)$/);
});

test('with a window of 0 every copy gets a place of its own', async (t) => {
  const spool = await temporaryFolder(t);
  const { client } = await intakeOn(t, spool, { SEAWALL_SMTP_DUPLICATE_SECONDS: '0' });
  const smtp = client();
  await smtp.hello();
  assert.match(await smtp.send(original), /SW-000000001-/);
  assert.match(await smtp.send(original), /SW-000000002-\S$/);
});

type Harm = (folder: string, names: readonly string[]) => Promise<void>;
const each =
  (suffix: string, change: (path: string) => Promise<void>): Harm =>
  async (folder, names) => {
    for (const name of names.filter((other) => other.endsWith(suffix))) await change(join(folder, name));
  };
const harms: [string, Harm][] = [
  ['the fingerprints are gone', each('.fpr', (path) => rm(path))],
  [
    'the fingerprints are cut off',
    each('.fpr', async (path) => writeFile(path, (await readFile(path)).subarray(0, 60))),
  ],
  [
    'a bit of the fingerprints is wrong',
    each('.fpr', async (path) => {
      const bytes = await readFile(path);
      bytes[50] = bytes[50]! ^ 1;
      await writeFile(path, bytes);
    }),
  ],
  [
    'the fingerprints are by an earlier definition',
    each('.fpr', async (path) => {
      const bytes = (await readFile(path)).fill(7, 40);
      bytes.write('SWMARKS2', 'latin1');
      createHash('sha256').update(bytes.subarray(0, 32)).update(bytes.subarray(40)).digest().copy(bytes, 32, 0, 8);
      await writeFile(path, bytes);
    }),
  ],
  [
    'the fingerprints are another mailbox’s',
    each('.fpr', async (path) => writeFile(path, await readFile(path.replace(/\d{12}/, '000000000001')))),
  ],
  ['the index is gone', each('.idx', (path) => rm(path))],
  ['the index is wrong', each('.idx', async (path) => writeFile(path, Buffer.alloc(160, 1)))],
  [
    'both are gone',
    async (folder, names) => {
      for (const harm of [each('.fpr', (path) => rm(path)), each('.idx', (path) => rm(path))])
        await harm(folder, names);
    },
  ],
];

for (const [what, harm] of harms) {
  test(`a copy is known although ${what}`, async (t) => {
    const spool = await temporaryFolder(t);
    const requests = Array.from({ length: 15 }, (_, i) => marked(original.replaceAll('R1', `R${i}`)));
    const first = await reopen(t, spool, 5);
    await first.append(requests);
    await first.close();
    const folder = mailboxFolder(spool);
    await harm(folder, await readdir(folder));
    const repeats = await Deduplicator.open(runtimeOnTheDay, folder, [1, 6, 11], 16, day);
    await repeats.complete;
    for (const [i, copy] of requests.entries()) {
      assert.equal(await repeats.prove(copy, repeats.candidates(copy), () => undefined), i + 1);
    }
    await repeats.close(true);
    assert.equal((await readdir(folder)).filter((name) => name.endsWith('.fpr')).length, 3, 'made anew');
  });
}

test('fingerprints that lie give a place of their own, never somebody else’s ticket', async (t) => {
  const spool = await temporaryFolder(t);
  const first = await reopen(t, spool);
  await first.append([marked(original)]);
  await first.close();
  // A file with a good digest that says of another message that it is kept.
  const stranger = marked(mail(['Subject: other', 'Message-ID: <9@r.example>'], 'x\r\n'));
  const marks = new MailboxFingerprints(1);
  marks.push(stranger.receivedAt, stranger.fingerprint);
  await writeFingerprints(nodeRuntime.disk, mailboxFolder(spool), marks);
  const second = await reopen(t, spool);
  assert.deepEqual(await second.append([stranger]), [2]);
});

test('what is older than the window is neither loaded nor read', async (t) => {
  const spool = await temporaryFolder(t);
  const clock = new TurnedClock();
  const first = await reopen(t, spool, 5, runtimeWith(clock));
  const old = Array.from({ length: 12 }, (_, i) => marked(`Subject: ${i}\r\n\r\nx\r\n`, { receivedAt: clock.now() }));
  await first.append(old);
  await first.close();
  await clock.turn(day + 1);
  const opened: string[] = [];
  const disk = {
    ...nodeRuntime.disk,
    readFile: (path: string) => {
      opened.push(path);
      return nodeRuntime.disk.readFile(path);
    },
  };
  const runtime = { ...runtimeWith(clock), disk };
  const repeats = await Deduplicator.open(runtime, mailboxFolder(spool), [1, 6, 11], 13, day);
  await repeats.complete;
  assert.deepEqual(opened, []);
  assert.deepEqual(repeats.candidates(old[0]!), []);
  await repeats.close(true);
});
