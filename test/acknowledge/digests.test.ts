// Addresses that nobody vouches for: how many acknowledgements they get, and how large. Each request is acknowledged all the same.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { NewRequest } from '../../src/model/request.ts';
import { openWithSink, type Acknowledging } from '../support/acknowledging.ts';
import type { MailSink } from '../support/mail-sink.ts';
import { composeDigest } from '../../src/acknowledge/compose/digest.ts';
import { request } from '../support/memory.ts';

const count = 60;
const limited = { unverified_per_minute: 10, unverified_short: true, retry_seconds: 1, connections: 1 };

/** As a registrar's program would send them; a few are automatic, and some are from somebody else. */
function fill(here: Acknowledging, fields: Partial<NewRequest> = {}): void {
  for (let each = 1; each <= count; each++) {
    const header = each % 20 === 0 ? 'Precedence: bulk\r\n' : '';
    const envelope = {
      from: each % 15 === 0 ? 'other@b.example' : 'victim@a.example',
      to: ['domain@registry.example'],
    };
    const text = `Subject: ${each}\r\n${header}\r\n1a..: C\r\n2a..: n${each}.example\r\n${'-'.repeat(900)}\r\n`;
    here.log.add(request(text, { envelope, ...fields }));
  }
}

function ticketsIn(text: string): string[] {
  const [, body = ''] = text.split(/\r\n\r\n(.*)/s);
  return [...body.matchAll(/^Seawall-Ticket: (\S+)/gm)].map(([, ticket = '']) => ticket);
}

/** What each request was acknowledged in: one text, however often it was sent. */
function textsOf(sink: MailSink): Map<string, Set<string>> {
  const texts = new Map<string, Set<string>>();
  for (const { text } of sink.taken)
    for (const ticket of ticketsIn(text)) texts.set(ticket, (texts.get(ticket) ?? new Set()).add(text));
  return texts;
}

test('ten acknowledgements a minute go to an address that no book vouches for, and one mail for all others', async (t) => {
  const { here, sink } = await openWithSink(t);
  fill(here);
  const stage = await here.start({ relays: [sink.url], ...limited });
  await here.turnUntil(() => here.replay().counts.sent === 13);
  await here.pass(30_000);
  assert.deepEqual(
    ['victim@a.example', 'other@b.example'].map((to) => sink.taken.filter((each) => each.to === to).length),
    [10, 3],
    'three of the other address are due, and are no digest',
  );
  await here.turnUntil(() => here.replay().settledThrough === count);
  await stage.stop();
  assert.equal(sink.taken.length, 10 + 3 + 1);
  const digest = sink.taken.at(-1)!;
  assert.match(digest.text, /^Seawall-Count: 44\r$/m);
  assert.match(digest.text, /^Auto-Submitted: auto-replied\r$/m);
  const texts = textsOf(sink);
  for (const { ticket, sequence } of here.log.stored)
    assert.equal(texts.get(ticket)?.size ?? 0, sequence % 20 === 0 ? 0 : 1, ticket);
  const came = here.log.stored.reduce((sum, { size }) => sum + size, 0);
  const went = sink.taken.reduce((sum, { text }) => sum + text.length, 0);
  assert.ok(went < came, `${went} bytes went, ${came} came`);
  assert.deepEqual(here.replay().counts, { sent: 57, skipped: 3, failed: 0 });
});

test('a registrar of the book is acknowledged in full, and at any rate', async (t) => {
  const { here, sink } = await openWithSink(t);
  const { client } = request('');
  fill(here, { client: { ...client, registrar: { id: 'a', by: 'auth' } } });
  const stage = await here.start({ relays: [sink.url], ...limited });
  await here.turnUntil(() => here.replay().settledThrough === count);
  await stage.stop();
  assert.equal(sink.taken.length, 57);
  for (const { text } of sink.taken) assert.match(text, /text\/html/);
});

test('a digest that is put off is tried again as it was, and one that is refused fails for each of its requests', async (t) => {
  for (const code of [451, 550]) {
    const { here, sink } = await openWithSink(t);
    let tries = 0;
    sink.answer = (_to, ticket) => {
      const digest = ticket === '' || here.log.stored.findIndex((each) => each.ticket === ticket) >= 10;
      return digest && here.clock.now() > began + 59_000 && ++tries <= 3 ? { code, text: 'no' } : undefined;
    };
    fill(here);
    const began = here.clock.now();
    const stage = await here.start({ relays: [sink.url], ...limited });
    await here.turnUntil(() => here.replay().settledThrough === count, 500);
    await stage.stop();
    const { counts, failures } = here.replay();
    assert.deepEqual(counts, { sent: code === 451 ? 57 : 13, skipped: 3, failed: code === 451 ? 0 : 44 });
    assert.equal(failures.length, counts.failed);
    assert.equal(tries, code === 451 ? 4 : 1);
  }
});

for (const verdict of ['fail', 'keep and fail'] as const) {
  test(`a crash at each append in turn (${verdict}) leaves each request acknowledged, and repeats the same digest`, async (t) => {
    for (let broken = 1; ; broken++) {
      const { here, sink } = await openWithSink(t);
      fill(here);
      here.beforeAppend = (append) => (append === broken ? verdict : undefined);
      let reason: Error | undefined;
      const first = await here.start({ relays: [sink.url], ...limited }).catch((error: unknown) => error as Error);
      if (first instanceof Error) reason = first;
      else {
        void first.failed.then((error) => (reason = error));
        await here.turnUntil(() => reason !== undefined || here.replay().settledThrough === count, 1_000);
        await first.stop();
      }
      if (!reason) {
        assert.ok(broken > 4, `only ${broken - 1} appends`);
        return;
      }
      const sent = sink.taken.length;
      const second = await here.start({ relays: [sink.url], ...limited });
      await here.turnUntil(() => here.replay().settledThrough === count, 1_000);
      await second.stop();
      const texts = textsOf(sink);
      for (const { ticket, sequence } of here.log.stored)
        assert.equal(texts.has(ticket), sequence % 20 !== 0, `request ${sequence} after a crash at append ${broken}`);
      const digests = sink.taken.filter(({ text }) => text.includes('Seawall-Count'));
      if (digests.length > 1 && sent > 13) assert.equal(new Set(digests.map(({ text }) => text)).size, 1);
      assert.deepEqual(here.replay().counts, { sent: 57, skipped: 3, failed: 0 });
    }
  });
}

test('a digest says in every language what it is, and that a rehearsal counts for nothing', () => {
  const digest = { head: 11, at: 0, to: 'a@b.example', ranges: [[11, 12] as const, [14, 14] as const] };
  const subjects = new Set<string>();
  for (const language of ['en', 'de', 'fr', 'es', 'it']) {
    const options = {
      from: '<us@r.example>',
      replyTo: '<ask@r.example>',
      name: 'r.example',
      language,
      rehearsal: language === 'it',
    };
    const { bytes, ticket, sequence } = composeDigest(digest, options);
    const text = bytes.toString();
    assert.deepEqual([sequence, ticket], [11, 'SW-000000011-W']);
    assert.deepEqual(ticketsIn(text), ['SW-000000011-W', 'SW-000000012-U', 'SW-000000014-Q']);
    assert.equal(
      /^Subject: \[REHEARSAL\] Rec/m.test(text) && text.includes('\r\nSeawall-Rehearsal: yes\r\n'),
      language === 'it',
    );
    assert.match(text, /^[\r\n -~]*$/);
    assert.match(text, /^Reply-To: <ask@r\.example>\r$/m);
    subjects.add(/^Subject: .*/m.exec(text)?.[0] ?? '');
  }
  assert.equal(subjects.size, 5);
});

test('an empty mail, and one in which nothing can be read, is answered in a few hundred bytes, as a file too', async (t) => {
  const { here, sink } = await openWithSink(t);
  for (const message of ['', '\r\n', 'Subject: hello\r\n\r\nhello\r\n']) here.log.add(request(message));
  for (const relays of [[], [sink.url]]) {
    const stage = await here.start({ relays, unverified_short: true });
    await here.turnUntil(() => here.replay().settledThrough === 3);
    await stage.stop();
    here.store.events.length = 0;
  }
  const folder = join(here.spool, 'acknowledgements', '000000');
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')));
  for (const text of [...files, ...sink.taken.map((each) => each.text)]) {
    assert.ok(text.length < 900, `${text.length} bytes: ${text}`);
    assert.equal(ticketsIn(text).length, 1);
  }
  assert.deepEqual([files.length, sink.taken.length], [3, 3]);
});
