// Whether a spool is where its log was begun, or a copy (`origin`, one line of JSON). Two daemons, one on the original and one on a copy,
// would give the same numbers twice; nothing but the files tells them apart. Takes a spool, gives what is known of it; a copy that
// nobody has accepted is a ConfigError. Accepting is `serve --restored`, for when the original runs nowhere any more.

import { join } from 'node:path';
import { ConfigError, messageOf } from '../model/errors.ts';
import { replaceFile } from '../lib/replace-file.ts';
import { errorCode } from '../lib/system-error.ts';
import type { Disk, Runtime } from '../ports/runtime.ts';
import type { FencedLock } from './fencing/fencing.ts';
import { readCommitPosition } from './mailbox/commit-position.ts';

/** That the log went on from a copy. */
export interface Restored {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** The last request that the copy held: what the original gave out behind it, the copy gives out again. */
  readonly after: number;
}

interface Origin {
  /** What tells the file `log-id` from every copy of it: `INODE:BORN`, with `?` behind where the time of birth is not sure. */
  readonly file: string;
  readonly restored?: Restored;
}

const pathOf = (spool: string): string => join(spool, 'origin');

async function fileOf(disk: Disk, spool: string): Promise<string | undefined> {
  const birth = await disk.birthOf(join(spool, 'log-id'));
  return birth && `${birth.inode}:${birth.at}${birth.sure ? '' : '?'}`;
}

/** Two times of birth that differ tell two files apart, unless neither of them is sure. */
function isSame(one: string, other: string): boolean {
  const [inode, at = ''] = one.split(':');
  const [otherInode, otherAt = ''] = other.split(':');
  if (inode !== otherInode) return false;
  return (at.endsWith('?') && otherAt.endsWith('?')) || at.replace('?', '') === otherAt.replace('?', '');
}

const bytesOf = (origin: Origin): Buffer => Buffer.from(`${JSON.stringify(origin)}\n`);

async function readOrigin(disk: Disk, spool: string): Promise<Origin | undefined> {
  try {
    return JSON.parse((await disk.readFile(pathOf(spool))).toString('utf8')) as Origin;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    throw new ConfigError(
      `${pathOf(spool)} cannot be read (${messageOf(error)}). If this is the spool itself and no copy, remove that file.`,
    );
  }
}

/** Notes where a log is, once. Spools of before have no such note, and get it at their next start. */
export async function recordOrigin(disk: Disk, lock: FencedLock, spool: string): Promise<void> {
  if ((await readOrigin(disk, spool)) !== undefined) return;
  const file = await fileOf(disk, spool);
  if (file === undefined) return;
  await (await lock.replace(pathOf(spool), (fresh) => fresh.write(bytesOf({ file }), 0))).close();
  await disk.syncFolder(spool);
}

/** Whether a spool was copied here, and nobody has said that the copy is to go on. Looks only. */
export async function isCopy(disk: Disk, spool: string): Promise<boolean> {
  const origin = await readOrigin(disk, spool);
  const file = await fileOf(disk, spool);
  if (file === undefined) return false;
  // A spool of before has no note; one without an epoch either holds what an auditor copied, and no writer's files.
  return origin === undefined
    ? (await disk.sizeOf(join(spool, 'intake.epoch'))) === undefined
    : !isSame(origin.file, file);
}

/** When the log last went on from a copy, if it did. */
export async function restoredOf(disk: Disk, spool: string): Promise<Restored | undefined> {
  return (await readOrigin(disk, spool))?.restored;
}

/** @throws ConfigError when the spool is a copy */
export async function refuseCopy(disk: Disk, spool: string): Promise<void> {
  if (!(await isCopy(disk, spool))) return;
  throw new ConfigError(
    `The spool ${spool} is a copy: its log was begun elsewhere. If the original still runs, both would give the same numbers. ` +
      'To look at it, use list, cat and verify. If the original runs nowhere any more, or only log-id was put back from a copy, ' +
      'start once with serve --restored.',
  );
}

/**
 * Says that a copy is to go on in place of its original; does nothing on a spool that is none. The locks in it are the original's.
 * @param roles whose locks there may be
 */
export async function acceptCopy(
  { disk, clock }: Pick<Runtime, 'disk' | 'clock'>,
  spool: string,
  roles: readonly string[],
): Promise<void> {
  const file = await fileOf(disk, spool);
  if (file === undefined || !(await isCopy(disk, spool))) return;
  for (const role of roles) await disk.remove(join(spool, `${role}.lock`));
  const after = readCommitPosition(disk, spool)?.sequence ?? 0;
  const at = new Date(clock.now()).toISOString();
  await replaceFile(disk, pathOf(spool), bytesOf({ file, restored: { at, after } }));
}
