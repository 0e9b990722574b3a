// The seeded simulation in short; `npm run simulate` is the long form, `npm run simulate -- --mistakes` plants them all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mistakes, notice } from '../support/sim/mistakes.ts';
import { Simulation, simulate } from '../support/sim/simulation.ts';
import { loadSubject } from '../support/sim/subject.ts';

test('whatever the disk, the clock and other writers do, every promise is kept', async () => {
  const subject = await loadSubject();
  let crashStates = 0;
  for (let seed = 1; seed <= 20; seed++) crashStates += (await simulate(subject, seed)).crashStates;
  assert.ok(crashStates >= 200, `${crashStates} crash states`);
});

test('a seed does the same things again', async () => {
  const subject = await loadSubject();
  const [once, again] = [new Simulation(subject, 7), new Simulation(subject, 7)];
  assert.deepEqual(await once.run(), await again.run());
  assert.deepEqual(once.trace, again.trace);
});

for (const mistake of mistakes) {
  if (mistake.runs > 60) continue;
  test(`a planted mistake is noticed: ${mistake.what}`, async () => {
    assert.ok(await notice(mistake), `not noticed in ${mistake.runs} runs`);
  });
}
