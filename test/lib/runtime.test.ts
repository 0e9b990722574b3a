import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { atEnd } from '../support/spool.ts';

test('a machine without inotify watches left is said once, and is no error', async (t) => {
  const used = t.mock.method(fs, 'watch', () => {
    throw Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' });
  });
  syncBuiltinESMExports();
  atEnd(t, async () => {
    used.mock.restore();
    syncBuiltinESMExports();
  });
  const warned = once(process, 'warning');
  nodeRuntime.disk.watch('.', () => undefined).close();
  const [warning] = (await warned) as [Error];
  assert.match(warning.message, /no inotify watches are left.*fs\.inotify\.max_user_watches/);
  let more = 0;
  process.on('warning', () => more++);
  nodeRuntime.disk.watch('.', () => undefined).close();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(more, 0);
});

test('a folder that is not there cannot be watched', () => {
  assert.throws(() => nodeRuntime.disk.watch('/nowhere/at/all', () => undefined), { code: 'ENOENT' });
});
