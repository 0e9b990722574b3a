import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../src/logger.ts';
import { eventually } from '../loadtest/rehearsal.ts';
import { Supervisor } from '../src/operate/supervisor.ts';
import { settle, TurnedClock } from './support/memory.ts';
import { atEnd } from './support/spool.ts';

test('a stage that lives shortly again and again waits longer each time; one that has worked is started at once', async (t) => {
  const clock = new TurnedClock();
  // Works at once, until it is told to end.
  const program = "process.on('disconnect', () => process.exit()); process.send({ ready: true })";
  const supervisor = new Supervisor({
    stages: ['intake'],
    command: () => ({ file: process.execPath, args: ['-e', program] }),
    clock,
    log: silent,
    stopSeconds: 5,
    restarts: 100,
    onReady: () => undefined,
  });
  const over = supervisor.run();
  atEnd(t, () => over);
  atEnd(t, () => supervisor.stop());
  const state = () => supervisor.health()[0]!;
  const works = (restarts: number) =>
    eventually(`life ${restarts} works`, 10, () => state().state === 'working' && state().restarts === restarts);
  const kill = async () => {
    const { pid } = state();
    process.kill(pid!, 'SIGKILL');
    await eventually('it is gone', 10, () => state().pid !== pid);
  };
  await works(0);
  await kill();
  await works(1);
  for (const [i, pause] of [100, 250, 500].entries()) {
    await kill();
    await clock.turn(pause - 1);
    assert.equal(state().state, 'restarting', `after ${pause - 1} ms`);
    await clock.turn(1);
    await works(i + 2);
  }
  await clock.turn(1_000);
  await kill();
  await settle();
  await works(5);
});
