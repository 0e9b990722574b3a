// Every call on the write path of every stage fails, once and for a while, under load: `npm run faults [-- --only TEXT]`.
// Then the file size limit, full disks and read-only folders. Prints the table of what happened; exits 0 only if
// nothing acknowledged is missing, clients heard nothing but 4xx, the log says why, and all came back by itself.

import { parseArgs } from 'node:util';
import { assertBuilt } from './daemon.ts';
import { type Endured, endure, syscallTrouble, type Trouble } from './fault-cases.ts';
import { fileSizeTrouble, fullDisk, withMounts } from './full-disk.ts';
import { Rehearsal } from './crash-rehearsal.ts';
import { straceMissing } from './strace.ts';

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
const onIntake = [
  'pwrite64',
  'fdatasync',
  'fsync',
  'openat',
  'rename',
  'fchmod',
  'mkdir',
  'unlink',
  'rmdir',
  'utimensat',
];
const onJournals = ['pwrite64', 'fdatasync', 'fsync', 'rename', 'mkdir'];
const times = ['once', 'always'] as const;

function cases(rehearsal: Rehearsal): Trouble[] {
  const of = (stage: string, syscalls: readonly string[], errors: readonly string[]): Trouble[] =>
    syscalls.flatMap((syscall) =>
      errors.flatMap((error) => times.map((each) => syscallTrouble(rehearsal, stage, { syscall, error, times: each }))),
    );
  return [
    ...of('intake', onIntake, ['EIO', 'ENOSPC', 'EDQUOT', 'EINTR']),
    ...of('acknowledge', onJournals, ['EIO', 'ENOSPC']),
    ...of('deliver', onJournals, ['EIO', 'ENOSPC']),
    fileSizeTrouble(rehearsal),
  ].filter(({ what }) => what.includes(values.only));
}

const problems: string[] = [];

function show({ what, heard, backMs, line, problems: own }: Endured): void {
  const words = [...heard].map(([text, count]) => `${count}× ${text.slice(0, 60)}`).join(', ') || 'nothing but 250';
  console.log(`${what.padEnd(40)} back after ${backMs.toFixed(0).padStart(5)} ms   ${words}\n    ${line}`);
  problems.push(...own);
}

async function run(rehearsal: Rehearsal, troubles: readonly Trouble[]): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void rehearsal.end().finally(() => process.exit(1)));
  }
  try {
    for (const trouble of troubles) {
      try {
        show(await endure(rehearsal, trouble));
      } catch (error) {
        await trouble.end();
        problems.push(`${trouble.what}: ${String(error)}\n${rehearsal.daemon.log().slice(-3_000)}`);
        console.log(`${trouble.what}: ${String(error)}`);
      }
    }
    const { problems: found, ...audit } = await rehearsal.settle();
    console.log(JSON.stringify(audit));
    problems.push(...found);
  } finally {
    await rehearsal.end();
  }
}

await assertBuilt();
const missing = await straceMissing();
if (missing !== undefined) {
  console.error(missing);
  process.exit(1);
}
const seed = Date.now() % 1_000_000;
// Small mailboxes, so that every call of a rotation is made often.
const common = { seed, sessions: 6, thinkMs: 40, settleSeconds: 600 };
const settings = { SEAWALL_SPOOL_MAILBOX_COUNT: '20' };
const rehearsal = await Rehearsal.start({ ...common, settings });
await run(rehearsal, cases(rehearsal));
await withMounts(async (mounts) => {
  for (const { name, options, settings: own, troubles } of fullDisk(mounts)) {
    if (!name.includes(values.only) && values.only !== '') continue;
    const spool = await mounts.tmpfs(options);
    const small = await Rehearsal.start({ ...common, settings: { ...settings, ...own, SEAWALL_SPOOL_DIR: spool } });
    await run(small, troubles(small));
  }
});
for (const problem of problems) console.log(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? 'All faults were endured.' : 'NOT well.');
process.exit(problems.length === 0 ? 0 : 1);
