import assert from 'node:assert/strict';
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { replaceFile } from '../../src/lib/replace-file.ts';
import { temporaryFolder } from '../support/spool.ts';

const { disk } = nodeRuntime;

function check(): void {
  throw new Error('not ours any more');
}

test('a file is replaced as a whole, whatever a dead process left beside it', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'state');
  await writeFile(`${path}.new`, 'half a fi');
  await replaceFile(disk, path, Buffer.from('one'));
  await replaceFile(disk, path, Buffer.from('two'));
  assert.equal(await readFile(path, 'utf8'), 'two');
  assert.deepEqual(await readdir(folder), ['state']);
});

test('a symbolic link in the place of the temporary file is removed and not followed', async (t) => {
  const folder = await temporaryFolder(t);
  const victim = join(folder, 'victim');
  await writeFile(victim, 'precious');
  await symlink(victim, join(folder, 'state.new'));
  await replaceFile(disk, join(folder, 'state'), Buffer.from('one'));
  assert.equal(await readFile(victim, 'utf8'), 'precious');
  assert.deepEqual((await readdir(folder)).toSorted(), ['state', 'victim']);
});

test('when the check throws nothing is replaced and nothing is left behind', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'state');
  await replaceFile(disk, path, Buffer.from('one'));
  await assert.rejects(replaceFile(disk, path, Buffer.from('two'), { check }), /not ours/);
  assert.equal(await readFile(path, 'utf8'), 'one');
  assert.deepEqual(await readdir(folder), ['state']);
});
