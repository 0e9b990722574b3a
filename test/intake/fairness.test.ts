// Fairness between registrars on the real intake: real sockets, a real log, and more clients than there are places. Counts of
// messages decide, never a clock.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { deferred } from '../../src/lib/async.ts';
import { openReader } from '../../src/spool/mailbox/reader.ts';
import { intakeOn, type RunningIntake } from '../support/intake.ts';
import { sendingLoop, type Together } from '../support/sending-loop.ts';
import { temporaryFolder } from '../support/spool.ts';

const places = 12;

/** An intake with one registrar for each weight, at 127.0.0.2, 127.0.0.3 …, and few places. */
async function intakeFor(t: TestContext, spool: string, weights: readonly number[]): Promise<RunningIntake> {
  const tables = weights.map(
    (weight, i) =>
      `[[registrar]]\nid = "r${i}"\nname = "R"\nnetworks = ["127.0.0.${i + 2}"]\nweight = ${weight}\nconnections = 1500\nmessages = 1500\n`,
  );
  const file = join(await temporaryFolder(t), 'registrars.toml');
  await writeFile(file, tables.join('\n'));
  return intakeOn(t, spool, {
    SEAWALL_REGISTRARS_FILE: file,
    SEAWALL_REGISTRARS_PLACES: String(places),
    SEAWALL_SMTP_UNLIMITED_CLIENTS: '192.0.2.1',
    SEAWALL_SMTP_DUPLICATE_SECONDS: '0',
  });
}

/** Resolves when so many messages are kept. */
function until(together: Together, count: number): Promise<void> {
  const reached = deferred<void>();
  together.onKept = () => {
    if (together.kept >= count) reached.resolve();
  };
  return reached.promise;
}

test('a registrar with two connections never waits behind one with a thousand', { timeout: 120_000 }, async (t) => {
  const spool = await temporaryFolder(t);
  const intake = await intakeFor(t, spool, [1, 1]);
  const together: Together = { kept: 0, onKept: () => undefined };
  const crowd = sendingLoop(intake.port, together, { from: '127.0.0.2', connections: 1_000 });
  // Every one of the thousand has had a turn or waits for it.
  await until(together, 1_500);
  const few = sendingLoop(intake.port, together, { from: '127.0.0.3', connections: 2 });
  await until(together, 6_000);
  crowd.stop();
  few.stop();
  const worst = Math.max(...few.waits);
  const usual = crowd.waits.slice(-500).reduce((sum, each) => sum + each, 0) / 500;
  t.diagnostic(`2 connections: ${few.kept} kept, at most ${worst} others kept between DATA and 354`);
  t.diagnostic(
    `1,000 connections: ${crowd.kept} kept, ${Math.round(usual)} others kept between DATA and 354 on average`,
  );
  // What is on its way when it asks may end first: no more than all places.
  assert.ok(worst <= 3 * places, `waited for ${worst}`);
  assert.ok(usual > 500, 'the crowd was not saturating the intake');
  // Its two connections sent as fast as they could: one message for each round of the places.
  assert.ok(few.kept >= 4_500 / (3 * places), `${few.kept} kept`);
});

test(
  'twice the weight is twice the share, and the log has the order of the final dots',
  { timeout: 120_000 },
  async (t) => {
    const spool = await temporaryFolder(t);
    const intake = await intakeFor(t, spool, [1, 2]);
    const together: Together = { kept: 0, onKept: () => undefined };
    const single = sendingLoop(intake.port, together, { from: '127.0.0.2', connections: 200 });
    const double = sendingLoop(intake.port, together, { from: '127.0.0.3', connections: 200 });
    await until(together, 1_000);
    const before = [single.kept, double.kept] as const;
    await until(together, 5_000);
    const [ofSingle, ofDouble] = [single.kept - before[0], double.kept - before[1]];
    single.stop();
    double.stop();
    const ratio = ofDouble / ofSingle;
    t.diagnostic(`weights 1 and 2, 200 connections each: ${ofSingle} and ${ofDouble} kept, ratio ${ratio.toFixed(2)}`);
    assert.ok(ratio > 1.8 && ratio < 2.2, `ratio ${ratio}`);
    await intake.stop();
    const reader = openReader(nodeRuntime, spool);
    const received: number[] = [];
    const seen = new Map<string, number>();
    for (let after = 0; ;) {
      const requests = await reader.read(after, { count: 1_000, bytes: 1e8 });
      if (requests.length === 0) break;
      for (const { sequence, receivedAt, client, envelope } of requests) {
        assert.equal(client.registrar?.by, 'network');
        received.push(receivedAt);
        // What one connection sent first stands first.
        const key = client.session;
        const number = Number(/\.(\d+)@/.exec(envelope.from)?.[1]);
        assert.equal(number, seen.get(key) ?? 0);
        seen.set(key, number + 1);
        after = sequence;
      }
    }
    await reader.close();
    assert.ok(received.length >= 5_000);
    assert.deepEqual(
      received,
      received.toSorted((a, b) => a - b),
    );
  },
);

test('messages that never end hold no more than their share of the places', { timeout: 60_000 }, async (t) => {
  const spool = await temporaryFolder(t);
  const intake = await intakeFor(t, spool, [1, 1]);
  const together: Together = { kept: 0, onKept: () => undefined };
  const slow = sendingLoop(intake.port, together, { from: '127.0.0.2', connections: 1_000, trickles: true });
  const honest = sendingLoop(intake.port, together, { from: '127.0.0.3', connections: 4 });
  await until(together, 800);
  const held = slow.begun;
  slow.stop();
  honest.stop();
  t.diagnostic(`1,000 connections that trickle: ${held} hold a place; 4 others: ${honest.kept} kept meanwhile`);
  // Half of the places are its own, and the common ones are for whoever comes.
  assert.ok(held <= places / 2 + places);
  assert.equal(honest.kept, together.kept);
});
