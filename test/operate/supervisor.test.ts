import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { exitCode } from '../../src/model/errors.ts';
import { silent } from '../../src/lib/logger.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import { eventually } from '../../loadtest/crash-rehearsal.ts';
import { Supervisor } from '../../src/operate/supervisor.ts';
import { settle, TurnedClock } from '../support/memory.ts';
import { atEnd } from '../support/spool.ts';

function start(t: TestContext, clock: Clock, program: string, restarts: number) {
  const supervisor = new Supervisor({
    stages: ['intake'],
    command: () => ({ file: process.execPath, args: ['-e', program] }),
    clock,
    log: silent,
    stopSeconds: 5,
    restarts,
    onReady: () => undefined,
  });
  const over = supervisor.run();
  atEnd(t, () => over);
  atEnd(t, () => supervisor.stop());
  const state = () => supervisor.health()[0]!;
  return { state };
}

test('a stage that ends for trouble with the disk is never given up; one that fails otherwise is', async (t) => {
  for (const [code, last] of [
    [exitCode.disk, 'restarting'],
    [exitCode.failed, 'given up'],
  ] as const) {
    const clock = new TurnedClock();
    const { state } = start(t, clock, `process.exit(${code})`, 2);
    for (let death = 1; death <= 5 && state().state !== 'given up'; death++) {
      await eventually(`death ${death}`, 10, () => state().pid === undefined);
      if (death < 5) await clock.turn(10_000);
    }
    assert.equal(state().state, last, `exit code ${code}`);
  }
});

test('a stage that lives shortly again and again waits longer each time; one that has worked is started at once', async (t) => {
  const clock = new TurnedClock();
  // Works at once, until it is told to end.
  const program = "process.on('disconnect', () => process.exit()); process.send({ ready: true })";
  const { state } = start(t, clock, program, 100);
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

test('a stage behind the intake that cannot start is given up, the rest is announced; the end says its exit code', async (t) => {
  const works =
    "process.on('disconnect', () => process.exit()); process.on('SIGTERM', () => process.exit()); process.send({ ready: true })";
  for (const [code, announced, last] of [
    [exitCode.damaged, true, exitCode.damaged],
    [exitCode.failed, true, exitCode.failed],
    // A wrong configuration at the first start is for whoever starts it, now.
    [exitCode.config, false, exitCode.config],
  ] as const) {
    let ready = false;
    const clock = new TurnedClock();
    const supervisor = new Supervisor({
      stages: ['intake', 'deliver'],
      command: (stage) => ({
        file: process.execPath,
        args: ['-e', stage === 'intake' ? works : `process.exit(${code})`],
      }),
      clock,
      log: silent,
      stopSeconds: 5,
      restarts: 2,
      onReady: () => (ready = true),
    });
    const over = supervisor.run();
    atEnd(t, () => supervisor.stop());
    const state = () => supervisor.health()[1]!;
    for (let death = 1; death <= 3 && state().state !== 'given up'; death++) {
      await eventually(`death ${death} with ${code}`, 10, () => state().pid === undefined);
      await clock.turn(10_000);
    }
    if (announced) await eventually('the rest is announced', 10, () => ready);
    assert.deepEqual([state().state, state().exitCode], ['given up', code]);
    if (announced) await supervisor.stop();
    assert.equal(await over, last);
    assert.equal(ready, announced);
  }
});
