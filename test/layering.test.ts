import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../src', import.meta.url));

interface Source {
  readonly path: string;
  readonly layer: string;
  readonly imports: readonly string[];
  readonly text: string;
}

/** Every source file with what it imports: packages by name, our own files by their path below src. */
const sources: Source[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    const named = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
    const imports = named.map((name) =>
      name.startsWith('.') ? relative(root, join(root, dirname(path), name)) : name,
    );
    return { path, layer: path.includes('/') ? path.slice(0, path.indexOf('/')) : '.', imports, text };
  });

const shared = ['config.ts', 'config-keys.ts', 'errors.ts', 'logger.ts', 'registrar-book.ts'];
const stages = ['spool', 'intake', 'acknowledge', 'deliver', 'operate'];

test('the sources were found', () => {
  for (const layer of ['model', 'ports', ...stages])
    assert.ok(
      sources.some((each) => each.layer === layer),
      layer,
    );
});

test('model imports nothing of ours, ports only the model', () => {
  for (const { path, layer, imports } of sources) {
    const ours = imports.filter((each) => each.endsWith('.ts'));
    if (layer === 'model')
      assert.deepEqual(
        ours.filter((each) => !each.startsWith('model/')),
        [],
        path,
      );
    if (layer === 'ports')
      assert.deepEqual(
        ours.filter((each) => !/^(model|ports)\//.test(each)),
        [],
        path,
      );
  }
});

test('a stage imports only itself, the ports and the model: the stages never import one another', () => {
  for (const { path, layer, imports } of sources) {
    if (!stages.includes(layer)) continue;
    const foreign = imports.filter(
      (each) =>
        each.endsWith('.ts') &&
        !shared.includes(each) &&
        !/^(model|ports)\//.test(each) &&
        !each.startsWith(`${layer}/`),
    );
    assert.deepEqual(foreign, [], path);
  }
});

test('each third-party package has one importer', () => {
  const importers = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    for (const each of imports) {
      if (each.endsWith('.ts') || each.startsWith('node:') || builtinModules.includes(each)) continue;
      const name = each
        .split('/')
        .slice(0, each.startsWith('@') ? 2 : 1)
        .join('/');
      importers.set(name, (importers.get(name) ?? new Set()).add(path));
    }
  }
  assert.ok(importers.has('smtp-server') && importers.has('proper-lockfile'));
  for (const [name, paths] of importers) assert.equal(paths.size, 1, `${name} is imported by ${[...paths].join(', ')}`);
});

test('time, randomness and the disk are named in ports/node-runtime.ts only', () => {
  const real = /node:fs|Date\.now\(|Math\.random\(|randomBytes }|randomUUID|performance\.now|new Date\(\)/;
  for (const { path, text } of sources) {
    if (path === 'ports/node-runtime.ts') continue;
    const code = text.replace(/\/\/.*$/gm, '').replace(/\/\*[\s\S]*?\*\//g, '');
    assert.doesNotMatch(code, real, path);
  }
});

test('nobody but cli.ts reads the environment', () => {
  for (const { path, text } of sources) if (path !== 'cli.ts') assert.doesNotMatch(text, /process\.env/, path);
});

test('every source file opens by saying what it is', () => {
  for (const { path, text } of sources) assert.match(text, /^(#!.*\n)?\/\/ \S/, path);
});
