// Disks that are full, nearly full, out of inodes or read-only, made of a tmpfs of a few megabytes and bind mounts, and the
// process limit on the size of files. Mounting needs root; who may not is told so. Owns its mounts, and takes them away.

import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Trouble } from './fault-cases.ts';
import { eventually, type Rehearsal } from './crash-rehearsal.ts';

const run = promisify(execFile);

/** Mounts that go when their user is done. */
export interface Mounts {
  /** A small file system of its own; gives its folder. */
  tmpfs(options: string): Promise<string>;
  /** Makes a folder read-only for whatever is opened from now on; gives the way back. */
  readOnly(folder: string): Promise<() => Promise<void>>;
}

/** Why nothing can be mounted here, or undefined when it can. */
export async function mountMissing(): Promise<string | undefined> {
  try {
    await withMounts((mounts) => mounts.tmpfs('size=1m'));
    return undefined;
  } catch (error) {
    return `nothing can be mounted here: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function unmount(folder: string): Promise<void> {
  await run('umount', ['-l', folder]);
}

/** Lends mounts to `use`, and takes them away afterwards. */
export async function withMounts<T>(use: (mounts: Mounts) => Promise<T>): Promise<T> {
  const folders: string[] = [];
  try {
    return await use({
      async tmpfs(options) {
        const folder = await mkdtemp(join(tmpdir(), 'seawall-disk-'));
        folders.push(folder);
        await run('mount', ['-t', 'tmpfs', '-o', options, 'seawall-test', folder]);
        return folder;
      },
      async readOnly(folder) {
        await run('mount', ['--bind', folder, folder]);
        await run('mount', ['-o', 'remount,bind,ro', folder]);
        return () => unmount(folder);
      },
    });
  } finally {
    for (const folder of folders.toReversed()) {
      await unmount(folder).catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** Takes the room of a folder's file system until `leave` bytes are free. */
async function fill(folder: string, leave: number): Promise<void> {
  const file = await open(join(folder, 'filler'), 'w');
  const free = async (): Promise<number> =>
    Number((await run('df', ['--output=avail', '-B1', folder])).stdout.split('\n')[1]);
  try {
    for (;;) {
      const bytes = Math.min(1_048_576, (await free()) - leave);
      if (bytes <= 0) return;
      await file.write(Buffer.alloc(bytes));
    }
  } catch {
    // Full is what it was to become.
  } finally {
    await file.close();
  }
}

function unfill(folder: string): Promise<void> {
  return rm(join(folder, 'filler'), { force: true });
}

/** Resolves once a client hears what the pattern says. */
function heard({ clients }: Rehearsal, from: number, pattern: RegExp): Promise<void> {
  const some = () => clients.attempts.slice(from).some(({ reply }) => reply !== undefined && pattern.test(reply));
  return eventually(`a client hears ${String(pattern)}`, 20, some);
}

function heardTrouble(rehearsal: Rehearsal, strike: () => Promise<void>, pattern: RegExp): () => Promise<void> {
  return async () => {
    const from = rehearsal.clients.attempts.length;
    await strike();
    await heard(rehearsal, from, pattern);
  };
}

/** ulimit -f: the kernel sends SIGXFSZ and says EFBIG. */
export function fileSizeTrouble(rehearsal: Rehearsal): Trouble {
  const limit = async (size: string): Promise<void> => {
    const pids = [rehearsal.daemon.process.pid!, await rehearsal.pidOf('intake').catch(() => undefined)];
    for (const pid of pids) if (pid !== undefined) await run('prlimit', ['--pid', String(pid), `--fsize=${size}:`]);
  };
  return {
    what: 'intake: RLIMIT_FSIZE 1 kB',
    begin: heardTrouble(rehearsal, () => limit('1024'), /^4/),
    end: () => limit('unlimited'),
    holdMs: 3_000,
    logged: /EFBIG/,
    kept: 'may',
  };
}

/** A small disk and the troubles that it is put through. */
interface SmallDisk {
  readonly name: string;
  readonly options: string;
  readonly settings: Record<string, string>;
  readonly troubles: (rehearsal: Rehearsal) => Trouble[];
}

const noFloor = { SEAWALL_SPOOL_FLOOR_BYTES: '0', SEAWALL_SPOOL_FLOOR_INODES: '0' };

/** The rehearsals on small disks. */
export function fullDisk(mounts: Mounts): SmallDisk[] {
  return [
    {
      name: 'full disk',
      options: 'size=48m',
      settings: noFloor,
      troubles: (on) => {
        const { spool } = on.daemon;
        return [1, 2].map((time) => ({
          what: `full disk without a floor, time ${time}`,
          begin: heardTrouble(on, () => fill(spool, 0), /^4/),
          end: () => unfill(spool),
          holdMs: 4_000,
          logged: /ENOSPC/,
          kept: 'may',
        }));
      },
    },
    {
      name: 'floor of free bytes',
      options: 'size=48m',
      settings: { SEAWALL_SPOOL_FLOOR_BYTES: '4000000', SEAWALL_SPOOL_FLOOR_INODES: '0' },
      troubles: (on) => [
        {
          what: 'fewer free bytes than the floor',
          begin: heardTrouble(on, () => fill(on.daemon.spool, 3_000_000), /^452 4\.3\.1/),
          end: () => unfill(on.daemon.spool),
          holdMs: 2_000,
          logged: /too little room on the disk/,
          kept: 'none',
        },
      ],
    },
    {
      name: 'floor of free inodes',
      options: 'size=48m,nr_inodes=2000',
      settings: { SEAWALL_SPOOL_FLOOR_BYTES: '0', SEAWALL_SPOOL_FLOOR_INODES: '500' },
      troubles: (on) => {
        const each = async (what: (name: string) => Promise<void>): Promise<void> => {
          for (let i = 0; i < 1_600; i++) await what(join(on.daemon.spool, `filler-${i}`));
        };
        return [
          {
            what: 'fewer free inodes than the floor',
            begin: heardTrouble(on, () => each((name) => writeFile(name, '')), /^452 4\.3\.1/),
            end: () => each((name) => rm(name, { force: true })),
            holdMs: 2_000,
            logged: /too little room on the disk/,
            kept: 'none',
          },
        ];
      },
    },
    {
      name: 'read-only folder',
      options: 'size=48m',
      settings: noFloor,
      troubles: (on) => {
        let back: (() => Promise<void>) | undefined;
        const strike = async (): Promise<void> => {
          back = await mounts.readOnly(on.daemon.spool);
        };
        // The second time for longer than any lock takes to go stale.
        return [3_000, 16_000].map((holdMs) => ({
          what: `the spool is read-only for ${holdMs / 1000} s`,
          begin: heardTrouble(on, strike, /^4/),
          end: async () => back?.(),
          holdMs,
          logged: /EROFS/,
          kept: 'may',
        }));
      },
    },
  ];
}
