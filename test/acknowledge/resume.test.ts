// A crash at any moment: nothing is skipped, and what is sent twice is the same message, byte for byte.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ackJournalName } from '../../src/acknowledge/acknowledge.ts';
import { DamagedLogError } from '../../src/model/errors.ts';
import type { RequestReader } from '../../src/ports/request-log.ts';
import { openWithSink } from '../support/acknowledging.ts';
import type { MailSink } from '../support/mail-sink.ts';
import { MemoryLog, request } from '../support/memory.ts';

const count = 30;

function fill(log: MemoryLog): void {
  for (let each = 1; each <= count; each++) {
    const header = each % 7 === 0 ? 'Precedence: bulk\r\n' : '';
    log.add(request(`Subject: ${each}\r\n${header}Message-ID: <${each}@a>\r\n\r\n2a..: n${each}.example\r\n`));
  }
}

/** One mail is put off twice, one is refused for good. */
function moody(sink: MailSink): void {
  const refusals = new Map<string, number>();
  sink.answer = (_to, ticket) => {
    const before = refusals.get(ticket) ?? 0;
    refusals.set(ticket, before + 1);
    if (ticket.startsWith('SW-000000004') && before < 2) return { code: 450, text: 'later' };
    return ticket.startsWith('SW-000000011') ? { code: 550, text: 'never' } : undefined;
  };
}

for (const verdict of ['fail', 'keep and fail'] as const) {
  test(`a journal that breaks at each append in turn (${verdict}) skips no acknowledgement`, async (t) => {
    for (let broken = 1; ; broken++) {
      const { here, sink } = await openWithSink(t);
      moody(sink);
      fill(here.log);
      here.beforeAppend = (append) => (append === broken ? verdict : undefined);
      const ack = { relays: [sink.url], connections: 2, retry_seconds: 1, waiting_count: 5 };
      let reason: Error | undefined;
      const first = await here.start(ack).catch((error: unknown) => error as Error);
      if (first instanceof Error) reason = first;
      else {
        void first.failed.then((error) => (reason = error));
        await here.turnUntil(() => reason !== undefined || here.replay().settledThrough === count);
        await first.stop();
      }
      if (!reason) {
        // The journal was written fewer times than that: every append has had its turn.
        assert.ok(broken > 3, `only ${broken - 1} appends`);
        return;
      }
      assert.match(reason.message, /could not be written/);

      const second = await here.start(ack);
      await here.turnUntil(() => here.replay().settledThrough === count);
      await second.stop();

      const state = here.replay();
      const copies = group(sink);
      for (const { sequence, ticket } of here.log.stored) {
        const expected = sequence === 11 ? 'failed' : sequence % 7 === 0 ? 'none due' : 'acknowledged';
        assert.equal(state.stateOf(sequence), expected, `request ${sequence} after a crash at append ${broken}`);
        const texts = copies.get(ticket) ?? [];
        if (expected === 'acknowledged') assert.ok(texts.length > 0, `request ${sequence} was skipped`);
        else assert.equal(texts.length, 0);
        assert.equal(new Set(texts).size <= 1, true, `request ${sequence} was acknowledged with different bytes`);
      }
      assert.deepEqual(state.counts, { sent: 25, skipped: 4, failed: 1 });
    }
  });
}

function group(sink: MailSink): Map<string, string[]> {
  const copies = new Map<string, string[]>();
  for (const { ticket, text } of sink.taken) copies.set(ticket, [...(copies.get(ticket) ?? []), text]);
  return copies;
}

test('after a stop the stage goes on where it was, and sends nothing twice', async (t) => {
  const { here, sink } = await openWithSink(t);
  fill(here.log);
  const first = await here.start({ relays: [sink.url], connections: 3 });
  await sink.until(() => sink.taken.length >= 5);
  await first.stop();
  const early = sink.taken.length;
  assert.ok(early < 26, 'the stage was stopped on its way');
  const second = await here.start({ relays: [sink.url], connections: 3 });
  await here.turnUntil(() => here.replay().settledThrough === count);
  fill(here.log);
  await here.turnUntil(() => here.replay().settledThrough === 2 * count);
  await second.stop();
  assert.equal(sink.taken.length, new Set(sink.taken.map((mail) => mail.ticket)).size);
});

test('a mail that was under way in a crash is acknowledged, though later ones were settled before', async (t) => {
  const { here, sink } = await openWithSink(t);
  sink.answer = (_to, ticket) => (ticket.startsWith('SW-000000003') ? 'never' : undefined);
  fill(here.log);
  const first = await here.start({ relays: [sink.url], connections: 2 });
  await sink.until(() => sink.taken.length === 25);
  while (here.replay().counts.sent < 25) await here.clock.turn(50);
  const crash = first.stop();
  await here.clock.turn(60_000);
  await crash;
  assert.equal(here.replay().settledThrough, 2);
  sink.answer = () => undefined;
  const second = await here.start({ relays: [sink.url] });
  await here.turnUntil(() => here.replay().settledThrough === count);
  await second.stop();
  assert.deepEqual(
    sink.taken.slice(25).map((mail) => mail.ticket.slice(0, 12)),
    ['SW-000000003'],
  );
});

test('a mail that was put off before a restart is tried after it, in its own time', async (t) => {
  const { here, sink } = await openWithSink(t);
  moody(sink);
  fill(here.log);
  const ack = { relays: [sink.url], retry_seconds: 3_000, retry_seconds_max: 10_000 };
  const first = await here.start(ack);
  await here.turnUntil(() => here.replay().counts.sent === 24);
  await first.stop();
  const second = await here.start(ack);
  await here.pass(2_000_000);
  assert.equal(here.replay().pending[0]?.attempts, 1);
  await here.turnUntil(() => here.replay().settledThrough === count, 10_000);
  await second.stop();
  assert.equal(sink.taken.length, 25);
});

test('a damaged log ends the stage, and only what was sent counts as sent', async (t) => {
  const { here, sink } = await openWithSink(t);
  fill(here.log);
  const damaged: RequestReader = {
    durable: () => here.log.durable(),
    logId: () => here.log.logId(),
    close: () => here.log.close(),
    async read(after, limit, signal) {
      if (after >= 12) throw new DamagedLogError('record 13 is not what its digest says');
      return (await here.log.read(after, limit, signal)).filter(({ sequence }) => sequence <= 12);
    },
  };
  const stage = await here.start({ relays: [sink.url] }, damaged);
  const reason = await stage.failed;
  await stage.stop();
  assert.equal(reason.name, 'DamagedLogError');
  assert.equal(here.linesOf('acknowledging has to end').length, 1);
  assert.ok(here.replay().counts.sent <= sink.taken.length);
});

test('a journal that is lost ends the stage, and nothing more is written to it', async (t) => {
  const { here, sink } = await openWithSink(t);
  fill(here.log);
  const lose: { now?: (reason: Error) => void } = {};
  here.lost = new Promise((resolve) => (lose.now = resolve));
  sink.answer = () => 'never';
  const stage = await here.start({ relays: [sink.url] });
  await sink.until(() => sink.offered > 0);
  const written = here.store.events.length;
  lose.now?.(new Error('another holder has taken over'));
  assert.match((await stage.failed).message, /another holder/);
  await stage.stop();
  assert.equal(here.store.events.length, written);
});

test('a journal of another log is refused at start', async (t) => {
  const { here, sink } = await openWithSink(t);
  here.store.events.push({ type: 'log', id: 'another' }, { type: 'sent', ranges: [[1, 10]] });
  fill(here.log);
  await assert.rejects(here.start({ relays: [sink.url] }), {
    name: 'DamagedLogError',
    message: /belongs to the log another/,
  });
  assert.equal(ackJournalName, 'acknowledge');
});
