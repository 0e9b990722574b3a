// Without a relay, acknowledgements become .eml files below the spool.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { plainTicket, ticketOf } from '../../src/model/ticket.ts';
import { emlFolder } from '../../src/acknowledge/transport/eml-folder.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { Acknowledging, sample } from '../support/acknowledging.ts';
import { request } from '../support/memory.ts';

test('an acknowledgement is a file named by its ticket, complete, and the same when it is written again', async (t) => {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  here.log.add(
    request(await sample('afnic-create')),
    request(await sample('auto-reply')),
    request(await sample('rri-create')),
  );
  const first = await here.start({});
  await here.turnUntil(() => here.replay().settledThrough === 3);
  await first.stop();
  const folder = join(here.spool, 'acknowledgements', '000000');
  const wanted = [1, 3].map((sequence) => `${plainTicket(ticketOf(sequence))}.eml`);
  assert.deepEqual((await readdir(folder)).toSorted(), wanted);
  const read = (): Promise<string[]> => Promise.all(wanted.map((name) => readFile(join(folder, name), 'latin1')));
  const before = await read();
  assert.match(before[0] ?? '', /^Date: [\s\S]*\r\nTo: <ops@registres\.example>\r\n[\s\S]*--\r\n$/);

  // As after a crash before the journal was written.
  here.store.events.length = 0;
  const second = await here.start({});
  await here.turnUntil(() => here.replay().settledThrough === 3);
  await second.stop();
  assert.deepEqual(await read(), before);
  assert.deepEqual((await readdir(folder)).toSorted(), wanted);
});

test('no folder holds more than a thousand', async (t) => {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  const files = emlFolder(nodeRuntime.disk, here.spool);
  for (const sequence of [999, 1_000, 1_234_567]) {
    const outcome = await files.send({ sequence, ticket: ticketOf(sequence), to: 'a@b', bytes: Buffer.from('x') });
    assert.equal(outcome.kind, 'sent');
  }
  assert.deepEqual((await readdir(join(here.spool, 'acknowledgements'))).toSorted(), ['000000', '000001', '001234']);
});

test('a disk in trouble stops nothing for good', async (t) => {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  let full = true;
  const disk = {
    ...nodeRuntime.disk,
    rename: (from: string, to: string) =>
      full
        ? Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }))
        : nodeRuntime.disk.rename(from, to),
  };
  here.disk = disk;
  here.log.add(request('Subject: x\r\n\r\nx'));
  const stage = await here.start({ retry_seconds: 10 });
  await here.turnUntil(() => here.linesOf('relay cannot be used; it is tried again after a pause').length >= 2, 1_000);
  assert.equal(here.replay().settledThrough, 0);
  full = false;
  await here.turnUntil(() => here.replay().settledThrough === 1, 1_000);
  await stage.stop();
});
