// What `list` and the words of the command line say to people.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seawall } from '../../loadtest/daemon.ts';
import { visible } from '../../src/lib/visible.ts';
import { openWriter, temporaryFolder } from '../support/spool.ts';
import { request } from '../support/memory.ts';
import { has, run } from '../support/tools.ts';
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

const evil = 'Subject: \u202egnp.exe\u001b[2J\r\n\r\nMühle \u001b]0;title\u0007\r\n';

test('what a mail brought in speaks to no terminal; a pipe gets the exact bytes', async (t) => {
  const spool = await temporaryFolder(t);
  const sent = request(Buffer.from(evil).toString('latin1'));
  const from = 'a\u202eb\u2066@c.example';
  await (await openWriter(t, spool)).append([{ ...sent, envelope: { ...sent.envelope, from } }]);
  const environment = { ...process.env, SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: spool };
  const piped = Buffer.from((await verb({ environment }, 'cat', '1')).stdout, 'latin1').toString('utf8');
  assert.equal(piped, evil);
  for (const words of ['list --brief', 'list --brief --json', 'cat 1 --envelope', 'acks list', 'acks show 1']) {
    const { stdout, code } = await verb({ environment }, ...words.split(' '));
    const text = Buffer.from(stdout, 'latin1').toString('utf8');
    assert.equal(code, 0, words);
    assert.match(text, /a\\u202eb\\u2066@c\.example|ab@c\.example/, words);
    assert.equal(visible(text), text, words);
  }
  if (!(await has(t, ['script', '--version']))) return;
  const command = [...seawall('cat', '1')].flat().join(' ');
  const { stdout } = await run('script', ['-qec', command, '/dev/null'], { env: environment });
  assert.match(stdout, /Subject: \\u202egnp\.exe\\u001b\[2J\r\n\r\nMühle \\u001b\]0;title\\u0007/);
  const shown = stdout.replaceAll('\r', '');
  assert.equal(visible(shown), shown);
});
