import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { endure, syscallTrouble, type Trouble } from '../../loadtest/fault-cases.ts';
import { fileSizeTrouble, fullDisk, mountMissing, withMounts } from '../../loadtest/full-disk.ts';
import { Rehearsal } from '../../loadtest/crash-rehearsal.ts';
import { straceMissing } from '../../loadtest/strace.ts';
import { atEnd } from '../support/spool.ts';

// The short form of `npm run faults`: real processes, under load, on a disk that fails.

const load = { sessions: 4, thinkMs: 40, settleSeconds: 30 };
const smallMailboxes = { SEAWALL_SPOOL_MAILBOX_COUNT: '20' };

/** Where CI runs, what a test needs must be there; elsewhere the test says what it lacks. */
function lacks(t: TestContext, missing: string | undefined): boolean {
  if (missing === undefined) return false;
  if (process.env['CI'] !== undefined) throw new Error(missing);
  t.skip(missing);
  return true;
}

async function goThrough(rehearsal: Rehearsal, troubles: readonly Trouble[]): Promise<void> {
  for (const trouble of troubles) {
    const { problems } = await endure(rehearsal, { ...trouble, holdMs: Math.min(trouble.holdMs, 1_000) });
    assert.deepEqual(problems, [], trouble.what);
  }
  const { problems, promised } = await rehearsal.settle();
  assert.deepEqual(problems, []);
  assert.ok(promised > 0);
}

test('whatever system call fails, clients hear 4xx, the log says why, and all comes back by itself', async (t) => {
  if (lacks(t, await straceMissing())) return;
  const rehearsal = await Rehearsal.start({ ...load, seed: 1, settings: smallMailboxes });
  atEnd(t, () => rehearsal.end());
  const of = (stage: string, syscall: string, error: string, times: 'once' | 'always') =>
    syscallTrouble(rehearsal, stage, { syscall, error, times });
  await goThrough(rehearsal, [
    of('intake', 'fdatasync', 'EIO', 'always'),
    of('intake', 'pwrite64', 'ENOSPC', 'once'),
    of('intake', 'openat', 'EDQUOT', 'once'),
    of('intake', 'fchmod', 'EIO', 'once'),
    of('acknowledge', 'pwrite64', 'ENOSPC', 'always'),
    of('deliver', 'fdatasync', 'EIO', 'once'),
    fileSizeTrouble(rehearsal),
  ]);
});

for (const [index, name] of ['full disk', 'floor of free bytes', 'read-only folder'].entries()) {
  test(`${name}: refused in time, nothing lost, and back by itself`, async (t) => {
    if (lacks(t, await mountMissing())) return;
    await withMounts(async (mounts) => {
      const disk = fullDisk(mounts).find((each) => each.name === name)!;
      const settings = { ...smallMailboxes, ...disk.settings, SEAWALL_SPOOL_DIR: await mounts.tmpfs(disk.options) };
      const rehearsal = await Rehearsal.start({ ...load, seed: index + 2, settings });
      try {
        await goThrough(rehearsal, disk.troubles(rehearsal).slice(0, 1));
      } finally {
        await rehearsal.end();
      }
    });
  });
}
