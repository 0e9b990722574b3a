// What users install: the package, and a production install of the sources.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/spool.ts';
import { run } from '../support/tools.ts';

const root = join(import.meta.dirname, '../..');

test('the package holds the program, the templates and the papers, and nothing else', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[];
  const paths = packed!.files.map(({ path }) => path);
  for (const wanted of ['dist/main.js', 'dist/mail/mime-worker.js', 'README.md', 'LICENSE', 'CHANGELOG.md'])
    assert.ok(paths.includes(wanted), wanted);
  assert.ok(paths.some((path) => path.startsWith('templates/en/')));
  const other = paths.filter(
    (path) => !/^(dist\/.*\.js|templates\/.*|README\.md|LICENSE|CHANGELOG\.md|package\.json)$/.test(path),
  );
  assert.deepEqual(other, []);
});

test('without a compiler, npm start runs what is built, and says so when nothing is', async (t) => {
  const folder = await temporaryFolder(t);
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  const start = () =>
    run('npm', ['run', '--silent', 'prestart'], { cwd: folder }).then(
      () => '',
      (error: unknown) => (error as { stderr: string }).stderr,
    );
  assert.match(await start(), /Seawall is not built, and there is no compiler/);
  await mkdir(join(folder, 'dist'));
  await writeFile(join(folder, 'dist/main.js'), '');
  assert.equal(await start(), '');
});

test('what no source makes any more leaves dist', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of ['src', 'dist', '.ci']) await mkdir(join(folder, name));
  await cp(join(root, '.ci/prune-dist.mjs'), join(folder, '.ci/prune-dist.mjs'));
  for (const name of ['src/stays.ts', 'dist/stays.js', 'dist/stays.js.map', 'dist/gone.js', 'dist/gone.js.map'])
    await writeFile(join(folder, name), '');
  await run(process.execPath, ['.ci/prune-dist.mjs'], { cwd: folder });
  const there = ['stays.js', 'stays.js.map', 'gone.js', 'gone.js.map'].filter((name) =>
    existsSync(join(folder, 'dist', name)),
  );
  assert.deepEqual(there, ['stays.js', 'stays.js.map']);
});
