// Puts a whole new file in the place of another, so that whoever reads the name finds the old content or the new one and nothing
// between. The new content is written beside it under a temporary name that must not exist (a symbolic link there is
// removed, never followed), and renamed; it has the owner and the permissions of the old file, so that whoever could use that one
// can use the new one. Fails as the disk does, and then leaves what was there and no temporary file.

import { dirname } from 'node:path';
import type { Access, Disk, DiskFile } from '../ports/runtime.ts';
import { errorCode } from './system-error.ts';

/** How a file is put in place. */
export interface Replacement {
  /** Default: the path and `.new`. What is left there by a process that died is removed. */
  readonly temporary?: string;
  /** Whether the content is on stable storage before it gets its name. Default: true. */
  readonly sync?: boolean;
  /** Owner and permissions of the new file. Default: those of the old one, as far as this user may give them. */
  readonly access?: Access | undefined;
  /** Runs directly before the renaming; when it throws nothing is replaced. */
  readonly check?: () => void;
}

async function create(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, 'create');
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    await disk.remove(path);
    return disk.open(path, 'create');
  }
}

/** Gives the new file to whom the old one belonged. Who may not do that keeps it, but for a file that must be somebody's. */
async function give(disk: Disk, file: DiskFile, path: string, wanted: Access | undefined): Promise<void> {
  const access = wanted ?? (await disk.accessOf(path));
  if (!access) return;
  try {
    await file.setAccess(access);
  } catch (error) {
    if (wanted || errorCode(error) !== 'EPERM') throw error;
  }
}

/**
 * Puts a file with what `fill` writes in the place of `path`. The folder is not synced.
 * @returns the file, open for writing
 */
export async function openReplacement(
  disk: Disk,
  path: string,
  fill: (file: DiskFile) => Promise<void>,
  { temporary = `${path}.new`, sync = true, access, check }: Replacement = {},
): Promise<DiskFile> {
  const file = await create(disk, temporary);
  try {
    await give(disk, file, path, access);
    await fill(file);
    if (sync) await file.sync();
    check?.();
    await disk.rename(temporary, path);
  } catch (error) {
    // Tidied up as far as possible: on a full disk every try would leave one more.
    await file.close().catch(() => undefined);
    await disk.remove(temporary).catch(() => undefined);
    throw error;
  }
  return file;
}

/** Puts a file with that content in the place of `path`, durably unless told otherwise: then the folder is not synced either. */
export async function replaceFile(
  disk: Disk,
  path: string,
  data: Uint8Array,
  replacement: Replacement = {},
): Promise<void> {
  const file = await openReplacement(disk, path, (fresh) => fresh.write(data, 0), replacement);
  await file.close();
  if (replacement.sync !== false) await disk.syncFolder(dirname(path));
}
