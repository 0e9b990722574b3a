import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disturb } from '../../loadtest/crash-rounds.ts';
import { Rehearsal } from '../../loadtest/crash-rehearsal.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd } from '../support/spool.ts';

// The short form of `npm run crash`, with a seed of its own in every run: a failure names it.

test('killed and frozen at random under load, nothing acknowledged is lost, reordered, duplicated or changed', async (t) => {
  const seed = Number(process.env['CRASH_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}: CRASH_SEED=${seed} draws the same deeds again`);
  const rehearsal = await Rehearsal.start({ seed, sessions: 6, thinkMs: 60, settleSeconds: 30 });
  atEnd(t, () => rehearsal.end());
  const rounds = await disturb(rehearsal, { rounds: 7, seed, longFreezes: 0 });
  const { problems, ...audit } = await rehearsal.settle();
  assert.deepEqual(problems, [], `seed ${seed}: ${rounds.map(({ what }) => what).join(', ')}`);
  assert.deepEqual([audit.lost, audit.reordered, audit.duplicated], [0, 0, 0]);
  assert.ok(audit.kept >= audit.promised && audit.promised > 0);
});

test('a supervisor that is killed while a client is slow does not keep the next daemon from the spool', async (t) => {
  // As long as a stage may take to stop, the slow client would keep it: five minutes, which this test does not have.
  const settings = { SEAWALL_SERVE_STOP_SECONDS: '600' };
  const rehearsal = await Rehearsal.start({ seed: 1, sessions: 1, thinkMs: 10, settleSeconds: 60, settings });
  atEnd(t, () => rehearsal.end());
  const { daemon, clients } = rehearsal;
  const slow = new SmtpClient(daemon.smtpPort);
  atEnd(t, async () => slow.end());
  await slow.hello();
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await slow.say(line);
  slow.write('Subject: half of it\r\n');
  daemon.process.kill('SIGKILL');
  await daemon.again();
  await clients.nextKept(performance.now());
  assert.deepEqual((await rehearsal.settle()).problems, []);
});
