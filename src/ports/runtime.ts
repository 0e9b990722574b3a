// Time, randomness, ids, the disk and processes, as the rest of Seawall sees them. They are injected everywhere, so that a
// simulation can turn the clock and break the disk. The real ones are in lib/node/runtime.ts; errors carry the system's code.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since 1970 UTC. Can jump: for people and records only. */
  now(): number;
  /** Milliseconds that never go back, from an arbitrary start: for measuring and for deadlines within this process. */
  elapsed(): number;
  /** Runs `then` once, in `ms` milliseconds. Does not keep the process alive by itself. */
  after(ms: number, then: () => void): Timer;
}

export interface Ids {
  uuid(): string;
  randomBytes(count: number): Buffer;
}

/** To whom a file belongs, and its permission bits. */
export interface Access {
  readonly user: number;
  readonly group: number;
  readonly mode: number;
}

/** An open file. Every position and size is in bytes. */
export interface DiskFile {
  /** Reads up to `into.length` bytes; gives how many were read, 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all of `data` at `position`, or throws (some of it may then be there). */
  write(data: Uint8Array, position: number): Promise<void>;
  /** fdatasync: content and length are on stable storage when it resolves. Never call again after it threw. */
  sync(): Promise<void>;
  size(): Promise<number>;
  /** Makes the file read-only: for its owner and group, and closed to everybody else. */
  seal(): Promise<void>;
  /** Whether nobody may write to the file. */
  isSealed(): Promise<boolean>;
  /** Gives the file another owner or other permissions, where they differ. @throws EPERM where this user may not */
  setAccess(access: Access): Promise<void>;
  close(): Promise<void>;
}

export type OpenMode =
  /** Read only; the file must exist. */
  | 'read'
  /** Read and write; the file must not exist (O_EXCL). */
  | 'create'
  /** Read and write; emptied if it exists. A symbolic link is an error (O_NOFOLLOW). */
  | 'replace';

/** File calls in the meaning of POSIX. Errors carry `code` (ENOENT, EEXIST, ENOSPC …). */
/** A file keeps these through restarts and renamings, as a copy of it does not. */
export interface Birth {
  readonly inode: string;
  /** When it was made, in nanoseconds. */
  readonly at: string;
  /** Whether that is known: where the file system does not say it, the time of the last change or none may stand there. */
  readonly sure: boolean;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Whole content of a small file. */
  readFile(path: string): Promise<Buffer>;
  /** The same, at once: for the look that must not be separated from what follows it. */
  readFileNow(path: string): Buffer;
  /** Names in a folder, unsorted. */
  list(folder: string): Promise<string[]>;
  /** Size in bytes, or undefined when there is no such file. */
  sizeOf(path: string): Promise<number | undefined>;
  /** Owner and permissions of a file or folder; undefined when there is none. */
  accessOf(path: string): Promise<Access | undefined>;
  /** What tells a file from every copy of it; undefined when there is no such file. */
  birthOf(path: string): Promise<Birth | undefined>;
  /** When it was changed last, by the clock of whoever did; undefined when there is no such file. */
  modifiedAt(path: string): Promise<number | undefined>;
  /** What tells the file of that name from every other file, at once; undefined when there is none. */
  identityNow(path: string): string | undefined;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or an empty folder; silent when it is not there. */
  remove(path: string): Promise<void>;
  /** Makes a folder and those above it; silent when it exists. */
  makeFolder(path: string): Promise<void>;
  /** fsync of the folder: creations, renames and removals in it are on stable storage when it resolves. */
  syncFolder(path: string): Promise<void>;
  /** Room left for ordinary users on the file system of `path`; some (btrfs) do not count inodes: Infinity. */
  free(path: string): Promise<{ bytes: number; inodes: number }>;
  /** Calls back with the name of whatever changes in a folder. May miss a change: a follower also looks now and then. */
  watch(folder: string, changed: (name: string) => void): { close(): void };
}

/** What tells one process from every other, on this machine and elsewhere. */
export interface ProcessIdentity {
  readonly host: string;
  /** Changes with each boot of the machine. */
  readonly boot: string;
  /** Names the pid namespace: a pid means something only inside it. */
  readonly pidNamespace: string;
  readonly pid: number;
  /** When the process was started, in the kernel's ticks: a pid that came round again has another. */
  readonly started: string;
}

export interface Processes {
  self(): ProcessIdentity;
  /** `unknown` when it cannot be told from here (another machine, another container). */
  state(identity: ProcessIdentity): 'alive' | 'dead' | 'unknown';
}

/** Questions to DNS. Rejects with the resolver's `code` (ENODATA, ENOTFOUND, ESERVFAIL, ETIMEOUT …). */
export interface Resolver {
  resolveMx(domain: string): Promise<{ readonly exchange: string; readonly priority: number }[]>;
  /** With the time to live in seconds. */
  resolve4(name: string): Promise<{ readonly address: string; readonly ttl: number }[]>;
  resolve6(name: string): Promise<{ readonly address: string; readonly ttl: number }[]>;
}

export interface Network {
  /** @param servers `address` or `address:port`; none: the system's. @param tries how often each is asked, `timeoutMs` each time */
  resolver(servers: readonly string[], timeoutMs: number, tries: number): Resolver;
  /** The addresses of this machine. */
  ownAddresses(): string[];
}

export interface Runtime {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly disk: Disk;
  readonly processes: Processes;
  readonly network: Network;
}
