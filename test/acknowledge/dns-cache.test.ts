// What the DNS cache promises to whoever sends: never to wait when an answer is known. A clock that the test turns.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DnsCache } from '../../src/acknowledge/transport/dns-cache.ts';
import { deferred } from '../../src/lib/async.ts';
import { settle, TurnedClock } from '../support/memory.ts';

interface ParsedRequest {
  readonly name: string;
  answer(value: string, freshMs?: number, staleMs?: number): void;
  fail(): void;
}

/** A cache whose lookups the test answers when it likes. */
function cacheWith(most = 100): { cache: DnsCache<string>; clock: TurnedClock; asked: ParsedRequest[] } {
  const clock = new TurnedClock();
  const asked: ParsedRequest[] = [];
  const cache = new DnsCache<string>({
    clock,
    most,
    lookup: async (name) => {
      const { promise, resolve } = deferred<{ value: string; freshMs: number; staleMs: number } | undefined>();
      const answer = (value: string, freshMs = 60_000, staleMs = 600_000): void => resolve({ value, freshMs, staleMs });
      asked.push({ name, answer, fail: () => resolve(undefined) });
      const found = await promise;
      if (!found) throw new Error('no answer');
      return found;
    },
  });
  return { cache, clock, asked };
}

/** The value, if it is there without waiting for any lookup. */
async function atOnce(promise: Promise<string>): Promise<string | undefined> {
  let got: string | undefined;
  promise.then(
    (value) => (got = value),
    () => undefined,
  );
  await settle();
  return got;
}

test('several who ask for one name share one lookup', async () => {
  const { cache, asked } = cacheWith();
  const all = [cache.get('a'), cache.get('a'), cache.get('a')];
  assert.equal(asked.length, 1);
  asked[0]!.answer('1');
  assert.deepEqual(await Promise.all(all), ['1', '1', '1']);
  assert.equal(await cache.get('a'), '1');
  assert.equal(asked.length, 1);
});

test('an answer is renewed in the background before it expires, and given meanwhile', async () => {
  const { cache, clock, asked } = cacheWith();
  cache.expect('a');
  asked[0]!.answer('1', 60_000);
  await settle();
  await clock.turn(44_000);
  assert.equal(await atOnce(cache.get('a')), '1');
  assert.equal(asked.length, 1);
  await clock.turn(2_000);
  assert.equal(await atOnce(cache.get('a')), '1');
  assert.equal(asked.length, 2);
  asked[1]!.answer('2', 60_000);
  await settle();
  assert.equal(await atOnce(cache.get('a')), '2');
});

test('an old answer is given while a lookup is slow or fails, and no longer than it may', async () => {
  const { cache, clock, asked } = cacheWith();
  cache.expect('a');
  asked[0]!.answer('1', 60_000, 100_000);
  await settle();
  await clock.turn(90_000);
  assert.equal(await atOnce(cache.get('a')), '1');
  asked[1]!.fail();
  await settle();
  assert.equal(await atOnce(cache.get('a')), '1');
  assert.equal(asked.length, 2, 'not asked again at once after a failure');
  await clock.turn(5_000);
  assert.equal(await atOnce(cache.get('a')), '1');
  assert.equal(asked.length, 3);
  await clock.turn(65_001);
  const late = cache.get('a');
  assert.equal(await atOnce(late), undefined);
  asked[2]!.answer('3');
  assert.equal(await late, '3');
});

test('without any answer a failure is told at once for a few seconds, and then asked about again', async () => {
  const { cache, clock, asked } = cacheWith();
  const first = cache.get('a');
  asked[0]!.fail();
  await assert.rejects(first, /no answer/);
  await assert.rejects(cache.get('a'), /no answer/);
  assert.equal(asked.length, 1);
  await clock.turn(5_000);
  const second = cache.get('a');
  asked[1]!.answer('1');
  assert.equal(await second, '1');
});

test('that there is nothing is remembered for its time and never stale', async () => {
  const { cache, clock, asked } = cacheWith();
  cache.expect('a');
  asked[0]!.answer('none', 60_000, 0);
  await settle();
  await clock.turn(40_000);
  assert.equal(await atOnce(cache.get('a')), 'none');
  assert.equal(asked.length, 1);
  await clock.turn(20_000);
  assert.equal(await atOnce(cache.get('a')), undefined);
});

test('the names used longest ago are forgotten first', async () => {
  const { cache, asked } = cacheWith(3);
  for (const name of ['a', 'b', 'c']) {
    const got = cache.get(name);
    asked.at(-1)!.answer(name);
    await got;
  }
  await cache.get('a');
  void cache.get('d').catch(() => undefined);
  assert.equal(await atOnce(cache.get('a')), 'a');
  assert.equal(asked.length, 4);
  assert.equal(await atOnce(cache.get('b')), undefined);
  assert.equal(asked.length, 5);
});

test('lookups ahead of need are bounded; one that is needed is made all the same', async () => {
  const { cache, asked } = cacheWith();
  for (let each = 0; each < 100; each++) cache.expect(`n${each}`);
  assert.equal(asked.length, 32);
  void cache.get('needed').catch(() => undefined);
  assert.equal(asked.at(-1)?.name, 'needed');
  assert.equal(asked.length, 33);
});
