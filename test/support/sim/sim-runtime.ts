// The ports (src/ports/runtime.ts and the locks) of one process on a simulated machine. And the same without waiting or
// failing, for those who look at a file system from outside.

import type { Disk, DiskFile, Network, Runtime } from '../../../src/ports/runtime.ts';
import type { Locks } from '../../../src/spool/fencing/lock-file.ts';
import { Random } from './random.ts';
import type { SimFile } from './sim-file.ts';
import { type SimFileSystem, systemError } from './sim-file-system.ts';
import type { SimMachine, SimProcess } from './sim-machine.ts';

/** A simulated machine has no network. */
const noNetwork: Network = {
  resolver: () => {
    throw new Error('a simulated machine has no DNS');
  },
  ownAddresses: () => [],
};

/** How a call is made: queued on a machine, or done at once. */
interface Gate {
  call<T>(what: string, effect: () => T, part?: () => void, cut?: () => void): Promise<T>;
  now<T>(what: string, effect: () => T): T;
  readonly fileSystem: SimFileSystem;
  readonly random: Random;
  /** Takes room on the disk; gives how many bytes there were. */
  takeRoom(bytes: number): number;
}

function openFile(gate: Gate, file: SimFile, path: string): DiskFile {
  return {
    read: (into, position) =>
      gate.call(`read ${path} at ${position}`, () => {
        // read(2) may always give less than was asked for.
        const short = into.length > 1 && gate.random.chance(0.1);
        return file.read(short ? into.subarray(0, gate.random.between(1, into.length)) : into, position);
      }),
    write: (data, position) =>
      gate.call(
        `write ${path} at ${position} (${data.length})`,
        () => {
          const room = gate.takeRoom(data.length);
          file.write(data.subarray(0, room), position);
          if (room < data.length) throw systemError('ENOSPC', 'write', path);
        },
        () => file.write(data.subarray(0, gate.random.below(data.length + 1)), position),
      ),
    sync: () =>
      gate.call(
        `sync ${path}`,
        () => file.sync(),
        () => file.failSync(gate.random),
        () => undefined,
      ),
    size: () => gate.call(`size ${path}`, () => file.size),
    seal: () => gate.call(`seal ${path}`, () => void (file.sealed = true)),
    isSealed: () => gate.call(`isSealed ${path}`, () => file.sealed),
    setAccess: async () => undefined,
    close: () => gate.call(`close ${path}`, () => undefined),
  };
}

function makeDisk(gate: Gate): Disk {
  const files = (): SimFileSystem => gate.fileSystem;
  return {
    open: (path, mode) => gate.call(`open ${path} (${mode})`, () => openFile(gate, files().open(path, mode), path)),
    readFile: (path) => gate.call(`readFile ${path}`, () => files().file(path, 'open').content()),
    // Here everything is everybody's.
    accessOf: async () => undefined,
    birthOf: async (path) => {
      const inode = files().identityOf(path);
      return inode === undefined ? undefined : { inode, at: '0', sure: false };
    },
    // Nor does a lock have a time of its own: it is simulated as a whole.
    modifiedAt: async () => undefined,
    identityNow: (path) => gate.now(`identityNow ${path}`, () => files().identityOf(path)),
    readFileNow: (path) => gate.now(`readFileNow ${path}`, () => files().file(path, 'open').content()),
    list: (folder) => gate.call(`list ${folder}`, () => files().list(folder)),
    sizeOf: (path) => gate.call(`sizeOf ${path}`, () => files().sizeOf(path)),
    rename: (from, to) => gate.call(`rename ${from} ${to}`, () => files().rename(from, to)),
    remove: (path) => gate.call(`remove ${path}`, () => files().remove(path)),
    makeFolder: (path) => gate.call(`makeFolder ${path}`, () => files().makeFolder(path)),
    syncFolder: (path) =>
      gate.call(
        `syncFolder ${path}`,
        () => files().syncFolder(path),
        () => files().failSyncFolder(path, gate.random),
      ),
    free: () => Promise.resolve({ bytes: 1e9, inodes: 1e6 }),
    // Changes are noticed by looking now and then: a watch may miss them all.
    watch: () => ({ close: () => undefined }),
  };
}

/** What a process sees of its machine. */
export function runtimeOf(machine: SimMachine, process: SimProcess): Runtime {
  const { random } = machine;
  const gate: Gate = {
    call: (what, effect, part, cut) => machine.call(process, what, effect, part, cut),
    now: (what, effect) => machine.now(process, what, effect),
    get fileSystem() {
      return machine.fileSystem;
    },
    random,
    takeRoom(bytes) {
      const taken = Math.min(bytes, machine.room);
      machine.room -= taken;
      return taken;
    },
  };
  return {
    clock: {
      now: () => machine.wall,
      elapsed: () => machine.elapsed,
      after: (ms, then) => machine.after(process, ms, then),
    },
    ids: {
      uuid: () => random.bytes(16).toString('hex'),
      randomBytes: (count) => random.bytes(count),
    },
    disk: makeDisk(gate),
    network: noNetwork,
    processes: {
      self: () => ({
        host: 'simulated',
        boot: String(process.boot),
        pidNamespace: 'one',
        pid: process.pid,
        started: String(process.pid),
      }),
      state: ({ boot, pid }) => (machine.isAlive(boot, pid) ? 'alive' : 'dead'),
    },
  };
}

/**
 * Lock folders on the simulated disk, as proper-lockfile makes them: one whose holder did not run for long counts as left behind.
 * The holder is never told that it was taken over, and gives back what is no longer its own: the worst case.
 */
export function locksOf(machine: SimMachine, process: SimProcess): Locks {
  const staleMs = 10_000;
  const { locks } = machine;
  return {
    staleMs,
    acquire: (path) =>
      machine.call(process, `lock ${path}`, () => {
        const held = locks.get(path);
        const renewed = held?.process.state === 'running' ? machine.elapsed : (held?.since ?? -Infinity);
        const stale = machine.locksFail || machine.elapsed - renewed > staleMs;
        if (!machine.fileSystem.makeOne(path) && !stale) return undefined;
        locks.set(path, { process, since: machine.elapsed });
        const release = (): Promise<void> =>
          machine.call(process, `unlock ${path}`, () => machine.fileSystem.remove(path));
        return { release };
      }),
  };
}

/** Looks at a file system, or works on it alone: nothing waits, nothing fails. */
export function runtimeOn(fileSystem: SimFileSystem, seed: number): { runtime: Runtime; locks: Locks } {
  const random = new Random(seed);
  const gate: Gate = {
    call: async (_what, effect) => effect(),
    now: (_what, effect) => effect(),
    fileSystem,
    random,
    takeRoom: (bytes) => bytes,
  };
  const runtime: Runtime = {
    clock: { now: () => 0, elapsed: () => 0, after: () => ({ cancel: () => undefined }) },
    ids: { uuid: () => random.bytes(16).toString('hex'), randomBytes: (count) => random.bytes(count) },
    disk: makeDisk(gate),
    network: noNetwork,
    processes: {
      self: () => ({ host: 'simulated', boot: 'outside', pidNamespace: 'one', pid: 1, started: '1' }),
      state: () => 'dead',
    },
  };
  return { runtime, locks: { staleMs: 10_000, acquire: async () => ({ release: async () => undefined }) } };
}
