// The log's own name (`log-id`), made once when the log is begun; the chain of records starts from it. A rehearsal's name says
// so, which keeps a rehearsal from being passed off as the day, and the day's spool from being written to by a rehearsal.
// Takes a spool, gives the name; a log of the other kind is a ConfigError, a name that is lost a DamagedLogError.

import { join } from 'node:path';
import { ConfigError, DamagedLogError } from '../model/errors.ts';
import { errorCode } from '../lib/system-error.ts';
import type { Disk, Runtime } from '../ports/runtime.ts';
import type { FencedLock } from './fencing/fencing.ts';
import { recordOrigin, refuseCopy } from './origin.ts';

const rehearsalPrefix = 'rehearsal-';

/** The log's own name, made once. Undefined before the first writer. */
export async function readLogId(disk: Disk, spool: string): Promise<string | undefined> {
  try {
    return (await disk.readFile(join(spool, 'log-id'))).toString('latin1').trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether a log of this name is a rehearsal's. */
export function isRehearsal(logId: string): boolean {
  return logId.startsWith(rehearsalPrefix);
}

/** What is wrong with the name of a log that was begun, and what to do. @param what such as `is missing` */
export function damagedLogId(spool: string, what: string): DamagedLogError {
  return new DamagedLogError(
    `${join(spool, 'log-id')} ${what}, but the log has been begun, and its chain starts from that name. Restore log-id from a copy of this spool; a new one does not fit.`,
  );
}

function assertKind(logId: string, spool: string, rehearsal: boolean): void {
  if (isRehearsal(logId) === rehearsal) return;
  throw new ConfigError(
    rehearsal
      ? `The spool ${spool} holds the day's requests (log ${logId}): no rehearsal may write to it. Set spool.rehearsal_dir (SEAWALL_SPOOL_REHEARSAL_DIR) to a folder of its own.`
      : `The spool ${spool} is a rehearsal's (log ${logId}): nothing real may be kept in it. Set spool.dir (SEAWALL_SPOOL_DIR) to another folder, or serve.rehearsal to true.`,
  );
}

/**
 * Looks whether a spool may be used, before anything is written to it. What cannot be read now decides nothing: whoever
 * takes the lock of the log looks again.
 * @throws ConfigError when it is begun and of the other kind, or a copy
 */
export async function checkSpool(disk: Disk, spool: string, rehearsal: boolean): Promise<void> {
  const logId = await readLogId(disk, spool).catch((error: unknown) => {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  });
  if (logId === undefined) return;
  assertKind(logId, spool, rehearsal);
  await refuseCopy(disk, spool);
}

/**
 * The name of the log whose lock is held; made now if the log is new.
 * @param begun whether the log has been written to, and so has had a name
 * @throws ConfigError as `checkSpool`, DamagedLogError when the name of a log that was begun is gone
 */
export async function logIdFor(
  runtime: Runtime,
  lock: FencedLock,
  spool: string,
  rehearsal: boolean,
  begun: boolean,
): Promise<string> {
  const known = await readLogId(runtime.disk, spool);
  if (known !== undefined) {
    if (known === '') throw damagedLogId(spool, 'is empty');
    assertKind(known, spool, rehearsal);
    await recordOrigin(runtime.disk, lock, spool);
    return known;
  }
  if (begun) throw damagedLogId(spool, 'is missing');
  const id = `${rehearsal ? rehearsalPrefix : ''}${runtime.ids.uuid()}`;
  const file = await lock.replace(join(spool, 'log-id'), (fresh) => fresh.write(Buffer.from(`${id}\n`), 0));
  await file.close();
  await runtime.disk.syncFolder(spool);
  await recordOrigin(runtime.disk, lock, spool);
  return id;
}
