// The lock that keeps honest programs apart: the folder of proper-lockfile, whose time stamp its holder renews. Takes a path, gives
// the lock, or undefined when somebody holds it. It does not fence by itself (see fencing.ts): a holder that was stopped
// for long loses it, and is told so through `lost`.

import { getSystemErrorName } from 'node:util';
import { lock } from 'proper-lockfile';
import { errorCode } from '../../lib/system-error.ts';

/** A held lock. */
export interface Lock {
  /** Gives the lock back. Not to be called after `lost`: it would remove the next holder's. */
  release(): Promise<void>;
}

/** How locks are taken: the real way below, or a simulated one. */
export interface Locks {
  /** Milliseconds after which a lock that nobody renews counts as left behind. */
  readonly staleMs: number;
  /**
   * Takes the lock folder `path`, or gives undefined when somebody holds it.
   * @param lost told once when the lock could not be renewed, or was found taken over
   */
  acquire(path: string, lost: (reason: Error) => void): Promise<Lock | undefined>;
}

/** proper-lockfile writes ECOMPROMISED over the code of a system error; whether the disk is in trouble shows in its own. */
function withOwnCode(reason: Error): Error {
  const errno: unknown = Reflect.get(reason, 'errno');
  return typeof errno === 'number' ? Object.assign(reason, { code: getSystemErrorName(errno) }) : reason;
}

/** Locks on a real disk. */
export const lockFiles: Locks = {
  staleMs: 10_000,
  async acquire(path, lost) {
    try {
      const release = await lock(path, {
        lockfilePath: path,
        realpath: false,
        stale: lockFiles.staleMs,
        update: 2_000,
        retries: 0,
        onCompromised: (reason) => lost(withOwnCode(reason)),
      });
      return { release };
    } catch (error) {
      if (errorCode(error) === 'ELOCKED') return undefined;
      throw error;
    }
  },
};
