// Who guesses passwords delays guessers only: the order in which passwords that wait are checked, and how many may wait.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyError, PasswordCheck } from '../../src/lib/auth/password-check.ts';
import { hashPassword } from '../../src/lib/auth/password-hash.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import { realIds } from '../support/memory.ts';

const hash = await hashPassword('correct horse', Buffer.alloc(16, 7));

/** Time stands still, and what waits for it goes on at once. */
const clock: Clock = {
  now: () => 0,
  elapsed: () => 0,
  after(_, then) {
    setImmediate(then);
    return { cancel: () => undefined };
  },
};

/** What becomes of attempts, in the order in which it is known. */
function attempts() {
  const passwords = new PasswordCheck({ clock, ids: realIds });
  const log: string[] = [];
  const asked: Promise<unknown>[] = [];
  const ask = (address: string, password: string, label = address): void => {
    const said = (word: string) => log.push(`${label} ${word}`);
    const result = passwords.isRight(address, 'anna', password, hash);
    asked.push(
      result.then(
        (right) => said(right ? 'right' : 'wrong'),
        (error: unknown) => said(error instanceof BusyError ? 'busy' : String(error)),
      ),
    );
  };
  const settled = async (): Promise<string[]> => {
    await Promise.all(asked);
    return log;
  };
  return { ask, settled };
}

test('a client whose guesses wait gets "busy" itself, and nobody else does', async () => {
  const { ask, settled } = attempts();
  for (let i = 0; i < 14; i++) ask('192.0.2.1', `guess ${i}`, 'guesser');
  ask('198.51.100.1', 'correct horse', 'honest');
  const log = await settled();
  assert.equal(log.filter((each) => each === 'guesser busy').length, 3);
  assert.equal(log.filter((each) => each === 'guesser wrong').length, 11);
  assert.ok(log.indexOf('honest right') < log.indexOf('guesser wrong') + 3, log.join(', '));
});

test('an IPv6 /64 is one client', async () => {
  const { ask, settled } = attempts();
  for (let i = 0; i < 14; i++) ask(`2001:db8::${i + 1}`, `guess ${i}`, 'guesser');
  ask('2001:db8:0:1::1', 'correct horse', 'honest');
  const log = await settled();
  assert.equal(log.filter((each) => each === 'guesser busy').length, 3);
  assert.ok(log.includes('honest right'));
});

test('who has not failed lately comes before those who have, however many those are', async () => {
  const { ask, settled } = attempts();
  const guessers = Array.from({ length: 20 }, (_, i) => `192.0.2.${i + 1}`);
  for (const each of guessers) ask(each, 'first guess');
  await settled();
  for (const each of guessers) ask(each, 'second guess', 'guesser');
  ask('198.51.100.1', 'correct horse', 'honest');
  const log = (await settled()).slice(guessers.length);
  // One guess was being checked already.
  assert.ok(log.indexOf('honest right') <= 1, log.join(', '));
});

test('many connections with the same right password wait for one hash', async () => {
  const { ask, settled } = attempts();
  for (let i = 0; i < 300; i++) ask(`192.0.2.${1 + (i % 5)}`, 'correct horse');
  const began = process.cpuUsage();
  const log = await settled();
  assert.ok(log.every((each) => each.endsWith('right')));
  assert.ok(process.cpuUsage(began).user < 2e6, '300 hashes would take 15 s of processor time');
});
