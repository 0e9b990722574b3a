// Who asks often how far a journal has come does not replay it each time.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { followJournal } from '../../src/operate/spool-views.ts';
import { TurnedClock } from '../support/memory.ts';

test('a journal is replayed when it has changed, at most once a second, and once for all who ask together', async () => {
  const clock = new TurnedClock();
  let replays = 0;
  let version: string | undefined = '1';
  const through = followJournal(
    clock,
    () => version,
    async () => ++replays,
  );
  deepEqual(await Promise.all([through(), through(), through()]), [1, 1, 1]);
  version = '2';
  equal(await through(), 1, 'within the second');
  await clock.turn(1_000);
  equal(await through(), 2);
  await clock.turn(60_000);
  equal(await through(), 2, 'it has not changed');
  version = undefined;
  await clock.turn(1_000);
  equal(await through(), 3, 'it cannot be told whether it has changed');
});
