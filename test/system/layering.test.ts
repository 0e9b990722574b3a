import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../src', import.meta.url));

interface Source {
  readonly path: string;
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
    return { path, imports, text };
  });

/** The rooms from the ground up. Each imports only itself and what stands on a lower floor; rooms of one floor never each other. */
const floors = [
  ['model'],
  ['ports'],
  ['lib'],
  ['config'],
  ['mail', 'spool'],
  ['intake', 'acknowledge', 'deliver'],
  ['operate'],
  ['cli'],
  ['main.ts'],
];
const roomOf = (path: string): string => path.split('/')[0]!;
const floorOf = (path: string): number => floors.findIndex((rooms) => rooms.includes(roomOf(path)));

test('every source file stands in a room, and every room has some', () => {
  assert.deepEqual([...new Set(sources.map(({ path }) => roomOf(path)))].toSorted(), floors.flat().toSorted());
});

test('a room imports only itself and lower floors: the stages never import one another', () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports
      .filter((each) => each.endsWith('.ts') && roomOf(each) !== roomOf(path) && floorOf(each) >= floorOf(path))
      .map((each) => `${path} imports ${each}`),
  );
  assert.deepEqual(wrong, []);
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

/** A source without its comments. */
const codeOf = (text: string): string => text.replace(/\/\/.*$/gm, '').replace(/\/\*[\s\S]*?\*\//g, '');

test('time, timers, randomness, the disk, DNS and network interfaces are named in lib/node/runtime.ts only', () => {
  const real =
    /node:fs|node:timers|node:dns|networkInterfaces|\bset(?:Timeout|Interval|Immediate)\(|Date\.now\(|Math\.random\(|randomBytes }|randomUUID|performance\.now|new Date\(\)/;
  for (const { path, text } of sources) {
    if (path === 'lib/node/runtime.ts') continue;
    // A response or socket has a method setTimeout of its own, which is no timer of ours.
    assert.doesNotMatch(codeOf(text).replace(/\.setTimeout\(/g, ''), real, path);
  }
});

test('nobody but cli/run.ts reads the environment', () => {
  for (const { path, text } of sources) if (path !== 'cli/run.ts') assert.doesNotMatch(text, /process\.env/, path);
});

/** Whether a source opens with a sentence at least about itself: eight plain words. */
function saysWhatItIs(text: string): boolean {
  const [, opening = ''] = /^(?:#!.*\n)?((?:\/\/.*\n)+)/.exec(text) ?? [];
  return (opening.match(/[A-Za-z]{2,}/g) ?? []).length >= 8;
}

test('every source file opens by saying what it is', () => {
  assert.ok(
    saysWhatItIs('#!/usr/bin/env node\n// Takes one thing, gives another.\n// Fails as the disk does.\n\ncode();\n'),
  );
  const late = 'code();\n// Says here what it takes and gives, which is too late for that.\n';
  for (const mute of ['', 'code();\n', '// ----------\ncode();\n', '// A file.\n', late])
    assert.ok(!saysWhatItIs(mute), JSON.stringify(mute));
  const mute = sources.filter(({ text }) => !saysWhatItIs(text)).map(({ path }) => path);
  assert.deepEqual(mute, []);
});

test('a folder has at most 12 files, a file at most 300 lines: what is more is two things', () => {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const counts = new Map<string, number>();
  for (const { parentPath } of files) counts.set(parentPath, (counts.get(parentPath) ?? 0) + 1);
  assert.deepEqual(
    [...counts].filter(([, count]) => count > 12),
    [],
  );
  const long = sources.map(({ path, text }) => `${path}: ${text.split('\n').length - 1}`);
  assert.deepEqual(
    long.filter((each) => Number(each.split(': ')[1]) > 300),
    [],
  );
});
