import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../src/lib/async.ts';
import { GroupCommit } from '../../src/lib/group-commit.ts';
import { settle } from '../support/memory.ts';

/** A commit whose writes the test ends one by one. */
function held(limits?: { count: number; bytes: number }) {
  const groups: { items: readonly string[]; end: (error?: Error) => void }[] = [];
  const write = async (items: readonly string[]): Promise<string[]> => {
    const { promise, resolve } = deferred<Error | undefined>();
    groups.push({ items, end: resolve });
    const error = await promise;
    if (error) throw error;
    return items.map((item) => `${item}!`);
  };
  const commit = new GroupCommit<string, string>(write, limits && { ...limits, sizeOf: (item) => item.length });
  return { commit, groups };
}

test('what comes while a write is under way goes together in the next, in order', async () => {
  const { commit, groups } = held();
  const results = ['a', 'b', 'c'].map((item) => commit.add(item));
  assert.deepEqual([groups.map(({ items }) => items), commit.waiting], [[['a']], 2]);
  groups[0]!.end();
  await settle();
  assert.deepEqual(groups[1]?.items, ['b', 'c']);
  groups[1].end();
  assert.deepEqual(await Promise.all(results), ['a!', 'b!', 'c!']);
  await commit.idle();
});

test('a group ends at its count or its bytes, and a single item always fits', async () => {
  const { commit, groups } = held({ count: 2, bytes: 4 });
  const results = ['a', 'b', 'c', 'd', 'eeeeeeee', 'f'].map((item) => commit.add(item));
  for (let at = 0; at < groups.length; at++) {
    groups[at]!.end();
    await settle();
  }
  await Promise.all(results);
  assert.deepEqual(
    groups.map(({ items }) => items.join('')),
    ['a', 'bc', 'd', 'eeeeeeee', 'f'],
  );
});

test('a failed write fails its own group, and the next is written', async () => {
  const { commit, groups } = held();
  const [first, second] = [commit.add('a'), commit.add('b')];
  groups[0]!.end(new Error('no'));
  await assert.rejects(first, /no/);
  groups[1]!.end();
  assert.equal(await second, 'b!');
});
