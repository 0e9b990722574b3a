// The right to be the one writer of a log or the one holder of a journal. A lock keeps honest programs apart; an epoch makes a
// second writer harmless (a fencing token). The epoch is a small file that each new holder replaces before it reads what there
// is; a holder looks at it after every sync and before every answer, and stops when it is no longer its own. What it still
// writes goes to files that the new holder has replaced (recovery.ts), and it can replace no file itself: see `replace`.
// Fails with InUseError while another living process holds the role, and with FencedError once another has taken over.

import { basename, dirname, join } from 'node:path';
import { FencedError, InUseError, messageOf } from '../../model/errors.ts';
import { deferred, sleep } from '../../lib/async.ts';
import { openReplacement } from '../../lib/replace-file.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk, DiskFile, ProcessIdentity, Runtime } from '../../ports/runtime.ts';
import type { Lock, Locks } from './lock-file.ts';

/** A lock that is held, and its epoch. */
export interface FencedLock {
  /** Grows by one with each holder. */
  readonly epoch: number;
  /** Told apart from every other holder's, also from one on a copy of the spool: epoch and random digits. */
  readonly epochName: string;
  /** Resolves with the reason when the lock is known to be lost. */
  readonly lost: Promise<Error>;
  /** Looks at the disk now. @throws FencedError when somebody else has taken over */
  check(): void;
  /**
   * Puts a new file, with what `fill` writes, in the place of `path`; it is synced first, the folder is not synced.
   * A look before the rename would not do: a holder may be stopped between the two for as long as it takes another to
   * take over. So the file is made under a name of its own first, then the epoch is checked, then it is renamed; and
   * each new holder removes all such files after it has raised the epoch and before it reads. Whoever was fenced finds
   * nothing to rename: what it replaced, it replaced before the new holder looked.
   * @returns the file, open for writing
   */
  replace(path: string, fill: (file: DiskFile) => Promise<void>): Promise<DiskFile>;
  /** Gives the lock back; does nothing when it is given back or lost already, because it is then somebody else's. */
  release(): Promise<void>;
}

interface EpochFile {
  epoch: number;
  nonce: string;
  holder: ProcessIdentity;
  since: string;
}

/** Who holds a role, as the epoch file says; undefined when nobody ever has or it cannot be read. */
async function readEpoch(runtime: Runtime, path: string): Promise<EpochFile | undefined> {
  let text: string;
  try {
    text = (await runtime.disk.readFile(path)).toString('utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as EpochFile;
  } catch (error) {
    throw new Error(
      `${path} is not a readable epoch file (${messageOf(error)}). Nothing starts until a person has looked at it.`,
      { cause: error },
    );
  }
}

function describe(holder: EpochFile | undefined): string {
  return holder ? `process ${holder.holder.pid} on ${holder.holder.host}, since ${holder.since}` : 'another process';
}

/** A holder renews its lock every two seconds, however slow the machine is. */
const renewedWithinMs = 5_000;

/**
 * Whether a lock that looks left behind is being renewed all the same: then its holder's clock, or ours, is wrong, and taking it would
 * displace a holder that is well.
 */
async function isRenewed({ disk, clock }: Runtime, locks: Locks, path: string): Promise<boolean> {
  const before = await disk.modifiedAt(path);
  if (before === undefined || clock.now() - before <= locks.staleMs) return false;
  const until = clock.elapsed() + renewedWithinMs;
  while (clock.elapsed() < until) {
    await sleep(clock, 250);
    const now = await disk.modifiedAt(path);
    if (now !== before) return now !== undefined;
  }
  return false;
}

/** Takes the lock; one that a dead process left behind is set aside at once, without waiting for it to go stale. */
async function takeLock(
  runtime: Runtime,
  locks: Locks,
  folder: string,
  role: string,
  lost: (reason: Error) => void,
): Promise<Lock> {
  const path = join(folder, `${role}.lock`);
  const patience = runtime.clock.elapsed() + locks.staleMs * 1.5;
  for (;;) {
    const holder = await readEpoch(runtime, join(folder, `${role}.epoch`));
    const state = holder ? runtime.processes.state(holder.holder) : 'unknown';
    const renewed = state !== 'dead' && (await isRenewed(runtime, locks, path));
    const lock = renewed ? undefined : await locks.acquire(path, lost);
    if (lock) return lock;
    if (state === 'alive' || (state === 'unknown' && runtime.clock.elapsed() >= patience)) {
      throw new InUseError(
        `The spool ${folder} is in use: its ${role} is ${describe(holder)}. Stop that one first, or choose another spool with spool.dir (SEAWALL_SPOOL_DIR).`,
      );
    }
    if (state === 'dead') {
      // Renamed before it is removed, so that of two newcomers only one removes it.
      const aside = `${path}.${runtime.ids.randomBytes(4).toString('hex')}`;
      try {
        await runtime.disk.rename(path, aside);
        await runtime.disk.remove(aside);
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error;
      }
    } else {
      await sleep(runtime.clock, 250);
    }
  }
}

/** Makes a folder whose name is on stable storage, with the names of those above it, which may be as new. */
async function makeFolderDurably(disk: Disk, path: string): Promise<void> {
  await disk.makeFolder(path);
  for (let at = path; dirname(at) !== at; at = dirname(at)) {
    try {
      await disk.syncFolder(dirname(at));
    } catch (error) {
      // Where we may not look or write we have made nothing, now or before.
      if (!['EACCES', 'EPERM', 'EROFS', 'EINVAL'].includes(errorCode(error) ?? '')) throw error;
    }
  }
}

/** The name under which a holder makes a file that is to replace `path`. */
function temporaryPath(path: string, role: string, holder: string): string {
  return `${path}.${role}-${holder}.new`;
}

/** Removes the files with which other holders were about to replace something. */
async function removeTemporary(disk: Disk, folder: string, role: string): Promise<void> {
  const temporary = new RegExp(`\\.${role}-[0-9a-f-]+\\.new$`);
  const names = await disk.list(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) if (temporary.test(name)) await disk.remove(join(folder, name));
}

/** Replaces a file while `check` does not throw. @throws FencedError when another holder has removed the new file meanwhile */
async function replaceFenced(
  disk: Disk,
  temporary: string,
  path: string,
  fill: (file: DiskFile) => Promise<void>,
  check: () => void,
): Promise<DiskFile> {
  let checked = false;
  const checkOnce = (): void => {
    check();
    checked = true;
  };
  try {
    return await openReplacement(disk, path, fill, { temporary, check: checkOnce });
  } catch (error) {
    if (!checked || errorCode(error) !== 'ENOENT') throw error;
    throw new FencedError(`${basename(path)} was not replaced: another process has taken over the spool meanwhile.`);
  }
}

/**
 * Takes a role on a spool folder: first the lock, then the epoch, on stable storage before the caller reads anything.
 * @param role `intake`, `acknowledge` …: names the files
 * @param folders where the role replaces files, if not in the spool alone
 * @throws InUseError when a living process holds it
 */
export async function acquireFencedLock(
  runtime: Runtime,
  locks: Locks,
  folder: string,
  role: string,
  folders: readonly string[] = [folder],
): Promise<FencedLock> {
  const { disk } = runtime;
  await makeFolderDurably(disk, folder);
  const lost = deferred<Error>();
  let doubted = false;
  const lock = await takeLock(runtime, locks, folder, role, (reason) => {
    doubted = true;
    lost.resolve(new FencedError(`The lock of ${role} was lost: ${reason.message}`, { cause: reason }));
  });
  const path = join(folder, `${role}.epoch`);
  const nonce = runtime.ids.randomBytes(8).toString('hex');
  let epoch = 0;
  let own = Buffer.alloc(0);
  const check = (): void => {
    if (doubted) throw new FencedError(`The lock of ${role} was lost.`);
    if (!disk.readFileNow(path).equals(own)) {
      doubted = true;
      const reason = new FencedError(`Another ${role} has taken over the spool ${folder}.`);
      lost.resolve(reason);
      throw reason;
    }
  };
  try {
    const writeEpoch = async (file: DiskFile): Promise<void> => {
      // Read only now that our file is there: whoever raises the epoch after this removes it, so epochs never go back.
      epoch = ((await readEpoch(runtime, path))?.epoch ?? 0) + 1;
      const since = new Date(runtime.clock.now()).toISOString();
      const content: EpochFile = { epoch, nonce, holder: runtime.processes.self(), since };
      own = Buffer.from(`${JSON.stringify(content)}\n`);
      await file.write(own, 0);
    };
    const file = await replaceFenced(disk, temporaryPath(path, role, nonce), path, writeEpoch, () => undefined);
    await file.close();
    for (const each of folders) await removeTemporary(disk, each, role);
    await disk.syncFolder(folder);
    check();
    const epochName = `${epoch}-${nonce.slice(0, 6)}`;
    return {
      epoch,
      epochName,
      lost: lost.promise,
      check,
      replace: (target, fill) => replaceFenced(disk, temporaryPath(target, role, epochName), target, fill, check),
      async release() {
        if (doubted) return;
        doubted = true;
        await lock.release();
      },
    };
  } catch (error) {
    // Whoever was fenced meanwhile would give back the next holder's lock.
    if (!doubted && !(error instanceof FencedError)) await lock.release();
    throw error;
  }
}

/** Who holds, or held last, a role on a spool; undefined when nobody ever has. For those who only look. */
export async function holderOf(
  runtime: Runtime,
  folder: string,
  role: string,
): Promise<(ProcessIdentity & { epoch: string; since: string; state: 'alive' | 'dead' | 'unknown' }) | undefined> {
  const found = await readEpoch(runtime, join(folder, `${role}.epoch`));
  if (!found) return undefined;
  const held = (await runtime.disk.sizeOf(join(folder, `${role}.lock`))) !== undefined;
  const state = held ? runtime.processes.state(found.holder) : 'dead';
  return { ...found.holder, epoch: `${found.epoch}-${found.nonce.slice(0, 6)}`, since: found.since, state };
}
