// What `list` and the words of the command line say to people.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWriter, temporaryFolder } from '../support/spool.ts';
import { request } from '../support/memory.ts';
import { verb } from '../support/verbs.ts';

test('list shows when a request came and whose it is; a state that there is not is wrong use', async (t) => {
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  const known = request('Subject: one\r\n\r\n');
  const stranger = request('Subject: two\r\n\r\n');
  await writer.append([
    { ...known, client: { ...known.client, registrar: { id: 'tag', by: 'network' } } },
    { ...stranger, client: { ...stranger.client, unverified: true } },
    request('Subject: three\r\n\r\n'),
  ]);
  const environment = { ...process.env, SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: spool };
  const { stdout } = await verb({ environment }, 'list', '--brief');
  const time = new Date(known.receivedAt).toISOString().slice(0, 19).replace('T', ' ');
  const lines = stdout.split('\n');
  assert.match(lines[0]!, /RECEIVED \(UTC\) .*REGISTRAR/);
  for (const [line, who] of [
    [lines[1], ' tag '],
    [lines[2], ' (stranger) '],
    [lines[3], ' - '],
  ] as const)
    assert.ok(line!.includes(time) && line!.includes(who), line);
  const rows = (await verb({ environment }, 'list', '--brief', '--json')).stdout.trim().split('\n');
  assert.match(rows[0]!, /"registrar":\{"id":"tag","by":"network"\}/);
  assert.match(rows[1]!, /"unverified":true/);
  const wrong = await verb({ environment }, 'list', '--state', 'nosuch');
  assert.deepEqual([wrong.code, wrong.stdout], [64, '']);
  assert.match(wrong.stderr, /--state wants one of waiting, .*none due.*confirmed, but got "nosuch"/);
  assert.match((await verb({ environment }, 'list', '--state', 'leased')).stdout, /No requests/);
});

test('a ticket that was misread is called that, and either spelling of `*` is taken', async (t) => {
  const spool = await temporaryFolder(t);
  await (await openWriter(t, spool)).append([request('Subject: one\r\n\r\n')]);
  const environment = { ...process.env, SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: spool };
  const wrong = await verb({ environment }, 'cat', 'SW-000000001-X');
  assert.equal(wrong.code, 64);
  assert.match(wrong.stderr, /the check character of SW-000000001-X is wrong/);
  for (const ticket of ['SW-000000001-*', 'SW-000000001-_', 'sw-000000001-_'])
    assert.equal((await verb({ environment }, 'cat', ticket)).stdout, 'Subject: one\r\n\r\n');
});
