// The right to be the one writer of a log, or the one holder of a journal. Two things together: a lock, which keeps honest
// programs apart, and an epoch, which makes a second writer harmless. The epoch is a small file that each new holder
// replaces before it reads what there is; a holder looks at it after every sync and before every answer, and leaves when
// it is no longer its own. What the old holder still writes goes to files that the new one has replaced (recovery.ts).

import { join } from 'node:path';
import { FencedError, InUseError, messageOf } from '../errors.ts';
import { deferred, errorCode, type ProcessIdentity, type Runtime } from '../ports/runtime.ts';
import type { Lock, Locks } from './lock-file.ts';

/** A held claim. */
export interface Claim {
  /** Grows by one with each holder. */
  readonly epoch: number;
  /** Told apart from every other holder's, also from one on a copy of the spool: epoch and random digits. */
  readonly epochName: string;
  /** Resolves with the reason when the claim is known to be lost. */
  readonly lost: Promise<Error>;
  /** Looks at the disk now. @throws FencedError when somebody else has taken over */
  check(): void;
  /** Gives the claim back; does nothing when it is given back or lost already, because the lock is then somebody else's. */
  release(): Promise<void>;
}

interface EpochFile {
  epoch: number;
  nonce: string;
  holder: ProcessIdentity;
  since: string;
}

/** Who holds a claim, as the epoch file says; undefined when nobody ever has or it cannot be read. */
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
    const lock = await locks.acquire(path, lost);
    if (lock) return lock;
    const holder = await readEpoch(runtime, join(folder, `${role}.epoch`));
    const state = holder ? runtime.processes.state(holder.holder) : 'unknown';
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
      await new Promise<void>((resolve) => {
        runtime.clock.after(250, resolve);
      });
    }
  }
}

/**
 * Claims a role on a spool folder: first the lock, then the epoch, durably, before the caller reads anything.
 * @param role `intake`, `acknowledge` …: names the files
 * @throws InUseError when a living process holds it
 */
export async function claim(runtime: Runtime, locks: Locks, folder: string, role: string): Promise<Claim> {
  const { disk } = runtime;
  await disk.makeFolder(folder);
  const lost = deferred<Error>();
  let doubted = false;
  const lock = await takeLock(runtime, locks, folder, role, (reason) => {
    doubted = true;
    lost.resolve(new FencedError(`The lock of ${role} was lost: ${reason.message}`, { cause: reason }));
  });
  try {
    const path = join(folder, `${role}.epoch`);
    const epoch = ((await readEpoch(runtime, path))?.epoch ?? 0) + 1;
    const nonce = runtime.ids.randomBytes(8).toString('hex');
    const since = new Date(runtime.clock.now()).toISOString();
    const content: EpochFile = { epoch, nonce, holder: runtime.processes.self(), since };
    const own = Buffer.from(`${JSON.stringify(content)}\n`);
    const file = await disk.open(`${path}.${nonce}`, 'create');
    try {
      await file.write(own, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(`${path}.${nonce}`, path);
    await disk.syncFolder(folder);
    return {
      epoch,
      epochName: `${epoch}-${nonce.slice(0, 6)}`,
      lost: lost.promise,
      check() {
        if (doubted) throw new FencedError(`The lock of ${role} was lost.`);
        if (!disk.readFileNow(path).equals(own)) {
          doubted = true;
          const reason = new FencedError(`Another ${role} has taken over the spool ${folder}.`);
          lost.resolve(reason);
          throw reason;
        }
      },
      async release() {
        if (doubted) return;
        doubted = true;
        await lock.release();
      },
    };
  } catch (error) {
    if (!doubted) await lock.release();
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
