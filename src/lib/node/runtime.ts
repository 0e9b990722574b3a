// The real clock, randomness, disk and process table: the only file that names node:fs, timers,
// Date.now, random numbers, DNS or network interfaces.
// Everything else takes them from here through ports/runtime.ts. Failures are Node's own, with their system code.

import { randomBytes, randomUUID } from 'node:crypto';
import { constants, type FSWatcher, type Stats, readFileSync, readlinkSync, statSync, watch } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, readdir, rename, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import { promises as dns } from 'node:dns';
import { hostname, networkInterfaces } from 'node:os';
import { errorCode } from '../system-error.ts';
import type {
  Access,
  Clock,
  Disk,
  DiskFile,
  Ids,
  Network,
  OpenMode,
  ProcessIdentity,
  Processes,
  Runtime,
  Timer,
} from '../../ports/runtime.ts';

const clock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(ms, then) {
    // setTimeout takes 31 bits; a longer wait is simply cut, and its owner looks again.
    const timer = setTimeout(then, Math.min(ms, 2 ** 31 - 1));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

const ids: Ids = { uuid: () => randomUUID(), randomBytes: (count) => randomBytes(count) };

class NodeFile implements DiskFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.read(into, 0, into.length, position)).bytesRead;
  }

  async write(data: Uint8Array, position: number): Promise<void> {
    let written = 0;
    while (written < data.length) {
      const { bytesWritten } = await this.#handle.write(data, written, data.length - written, position + written);
      if (bytesWritten === 0) throw new Error('write returned 0');
      written += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  seal(): Promise<void> {
    return this.#handle.chmod(0o440);
  }

  async isSealed(): Promise<boolean> {
    return ((await this.#handle.stat()).mode & 0o222) === 0;
  }

  async setAccess({ user, group, mode }: Access): Promise<void> {
    const { uid, gid, mode: now } = await this.#handle.stat();
    if (uid !== user || gid !== group) await this.#handle.chown(user, group);
    if ((now & 0o7777) !== mode) await this.#handle.chmod(mode);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** What fs.watch throws when this user or machine has no inotify watches or instances left. */
const watchesUsedUp = new Set(['ENOSPC', 'EMFILE', 'ENFILE']);
let withoutWatches = false;

/** Says once a process that changes are seen later; Node prints a warning on standard error, `onWarning` takes it elsewhere. */
function sayWithoutWatches(): void {
  if (withoutWatches) return;
  withoutWatches = true;
  process.emitWarning(
    'no inotify watches are left: changes of files are seen by looking now and then. Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances (sysctl).',
    { code: 'SEAWALL_NO_WATCHES' },
  );
}

/** What is written follows no symbolic link: neither O_EXCL nor O_NOFOLLOW does. */
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC } = constants;
const flags: Record<OpenMode, number> = {
  read: O_RDONLY,
  create: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
  replace: O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW,
};

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const disk: Disk = {
  open: async (path, mode) => new NodeFile(await open(path, flags[mode], 0o640)),
  readFile: (path) => readFile(path),
  readFileNow: (path) => readFileSync(path),
  list: (folder) => readdir(folder),
  sizeOf: async (path) => (await statOf(path))?.size,
  async birthOf(path) {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (!found) return undefined;
    const { ino, birthtimeNs, ctimeNs } = found;
    // The device is left out: after a reboot its number may be another. A file that was made at once has both times alike, too.
    return { inode: String(ino), at: String(birthtimeNs), sure: birthtimeNs > 0n && birthtimeNs !== ctimeNs };
  },
  modifiedAt: async (path) => (await statOf(path))?.mtimeMs,
  async accessOf(path) {
    const found = await statOf(path);
    return found && { user: found.uid, group: found.gid, mode: found.mode & 0o7777 };
  },
  identityNow(path) {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found && `${found.dev}:${found.ino}`;
  },
  rename,
  async remove(path) {
    try {
      await unlink(path);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'EISDIR' || code === 'EPERM') await rmdir(path);
      else if (code !== 'ENOENT') throw error;
    }
  },
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o750 });
  },
  async syncFolder(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async free(path) {
    const { bavail, bsize, files, ffree } = await statfs(path);
    return { bytes: bavail * bsize, inodes: files === 0 ? Infinity : ffree };
  },
  watch(folder, changed) {
    let watcher: FSWatcher;
    try {
      watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name !== null) changed(name);
      });
    } catch (error) {
      if (!watchesUsedUp.has(errorCode(error) ?? '')) throw error;
      sayWithoutWatches();
      return { close: () => undefined };
    }
    // A watch that breaks is only a slower follower: it looks now and then anyway.
    watcher.on('error', () => watcher.close());
    return watcher;
  },
};

/**
 * Field 22 of /proc/PID/stat (proc(5)), counted behind the last parenthesis because a process may be called anything.
 * A zombie holds nothing any more: undefined, as for a process that is not there.
 */
function startTicks(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function textOrEmpty(read: () => string): string {
  try {
    return read().trim();
  } catch {
    return '';
  }
}

const processes: Processes = {
  self: (): ProcessIdentity => ({
    host: textOrEmpty(() => readFileSync('/etc/machine-id', 'latin1')) || hostname(),
    boot: textOrEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1')),
    pidNamespace: textOrEmpty(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    started: startTicks(process.pid) ?? '',
  }),
  state(identity) {
    const self = processes.self();
    if (identity.boot === '' || identity.pidNamespace === '') return 'unknown';
    if (identity.boot !== self.boot) return identity.host === self.host ? 'dead' : 'unknown';
    if (identity.pidNamespace !== self.pidNamespace) return 'unknown';
    return startTicks(identity.pid) === identity.started ? 'alive' : 'dead';
  },
};

const network: Network = {
  resolver(servers, timeout, tries) {
    const resolver = new dns.Resolver({ timeout, tries });
    if (servers.length > 0) resolver.setServers(servers);
    return {
      resolveMx: (domain) => resolver.resolveMx(domain),
      resolve4: (name) => resolver.resolve4(name, { ttl: true }),
      resolve6: (name) => resolver.resolve6(name, { ttl: true }),
    };
  },
  ownAddresses: () => Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)),
};

/** Keeps the process alive until it is cancelled: the clock's timers do not, and a verb that waits may have nothing else. */
export function keepAlive(): Timer {
  const timer = setInterval(() => undefined, 2 ** 31 - 1);
  return { cancel: () => clearInterval(timer) };
}

/** Whether this process may do whatever it likes to anybody's files. */
export const isRoot = (): boolean => process.geteuid?.() === 0;

/** Gives up being root for good: becomes this user, with the groups that it has. */
export function becomeUser({ user, group }: Access): void {
  const { initgroups } = process as { initgroups?: (user: number, group: number) => void };
  try {
    initgroups?.(user, group);
  } catch {
    // A user without a name has no groups but this one.
    process.setgroups?.([group]);
  }
  process.setgid?.(group);
  process.setuid?.(user);
}

/** The machine we are on. */
export const nodeRuntime: Runtime = { clock, ids, disk, processes, network };
