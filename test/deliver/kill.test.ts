import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { pullThroughKills, wrongWith } from '../support/deliver-process.ts';
import { request } from '../support/memory.ts';
import { openWriter, temporaryFolder } from '../support/spool.ts';

const seen = (...sequences: number[]) => sequences.map((sequence) => ({ sequence, deliveryCount: 1 }));

// Every step of the journal and of the protocol: loadtest/crash-deliver.ts.
test('kill -9 of the stage in the middle of calls loses, skips and reorders nothing', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  const total = 40;
  await writer.append(Array.from({ length: total }, (_, each) => request(`Subject: ${each}\r\n\r\nx\r\n`)));
  const { deliveries, deaths } = await pullThroughKills(spool, total, [1, 2, 3, 4]);
  ok(deaths >= 3, `${deaths} deaths`);
  equal(wrongWith(deliveries, total), undefined);
});

test('the check of a client sees a gap, a return after confirmation, and an early end', () => {
  equal(wrongWith(seen(1, 2, 3, 2, 3), 3), undefined);
  equal(wrongWith(seen(1, 3), 3), '3 came before 2');
  equal(wrongWith(seen(1, 2, 3, 4, 5, 6, 7, 1), 7), '1 came again after its confirmation');
  equal(wrongWith(seen(1, 2), 3), 'the last one was 2');
});
