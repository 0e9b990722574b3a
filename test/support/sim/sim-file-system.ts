// A simulated file system: folders whose entries are durable only after the folder was synced. Calls take effect at once;
// scheduling and failing them is the business of sim-machine.ts. A file that was replaced or removed lives on for those who hold it.

import { basename, dirname } from 'node:path';
import type { OpenMode } from '../../../src/ports/runtime.ts';
import type { Random } from './random.ts';
import { SimFile } from './sim-file.ts';

type Entry = SimFile | SimFolder;

/** A change to a folder that no sync has covered yet. A rename is one change: it happens or it does not. */
type Change =
  | { readonly type: 'add'; readonly name: string; readonly entry: Entry }
  | { readonly type: 'remove'; readonly name: string; readonly entry: Entry }
  | { readonly type: 'rename'; readonly from: string; readonly to: string; readonly entry: Entry };

class SimFolder {
  entries = new Map<string, Entry>();
  onDisk = new Map<string, Entry>();
  pending: Change[] = [];

  change(change: Change): void {
    apply(this.entries, change);
    this.pending.push(change);
  }

  sync(): void {
    this.onDisk = new Map(this.entries);
    this.pending = [];
  }

  /** A sync that fails: some beginning of what was to be synced is on the disk. */
  failSync(random: Random): void {
    for (const change of this.pending.splice(0, random.between(0, this.pending.length))) apply(this.onDisk, change);
  }

  /** Of what was not synced some beginning may be on the disk, or any of it that does not need what is missing. */
  crash(random: Random): void {
    const share = random.pick([0, 0, 1, 1, 0.5, 0.8]);
    const some = random.chance(0.5) ? this.pending.slice(0, random.between(0, this.pending.length)) : this.pending;
    for (const change of some) if (random.chance(share)) apply(this.onDisk, change);
    this.entries = new Map(this.onDisk);
    this.pending = [];
    for (const entry of this.entries.values()) entry.crash(random);
  }

  clone(known = new Map<Entry, Entry>()): SimFolder {
    const copy = new SimFolder();
    const copyOf = (entry: Entry): Entry => {
      const made = known.get(entry) ?? (entry instanceof SimFolder ? entry.clone(known) : entry.clone());
      known.set(entry, made);
      return made;
    };
    copy.entries = new Map([...this.entries].map(([name, entry]) => [name, copyOf(entry)]));
    copy.onDisk = new Map([...this.onDisk].map(([name, entry]) => [name, copyOf(entry)]));
    copy.pending = this.pending.map((change) => ({ ...change, entry: copyOf(change.entry) }));
    return copy;
  }
}

function apply(entries: Map<string, Entry>, change: Change): void {
  if (change.type === 'add') entries.set(change.name, change.entry);
  else if (change.type === 'remove') {
    if (entries.get(change.name) === change.entry) entries.delete(change.name);
  } else if (entries.get(change.from) === change.entry) {
    entries.delete(change.from);
    entries.set(change.to, change.entry);
  }
}

const identities = new WeakMap<Entry, string>();
let lastIdentity = 0;

export function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${call} '${path}'`), { code });
}

export class SimFileSystem {
  #root = new SimFolder();
  readonly sector: number;

  constructor(sector: number) {
    this.sector = sector;
  }

  #find(path: string): Entry | undefined {
    let at: Entry | undefined = this.#root;
    for (const name of path.split('/').filter((part) => part !== '' && part !== '.')) {
      if (!(at instanceof SimFolder)) return undefined;
      at = at.entries.get(name);
    }
    return at;
  }

  #folder(path: string, call: string): SimFolder {
    const found = this.#find(path);
    if (found instanceof SimFolder) return found;
    throw systemError(found ? 'ENOTDIR' : 'ENOENT', call, path);
  }

  file(path: string, call: string): SimFile {
    const found = this.#find(path);
    if (found instanceof SimFile) return found;
    throw systemError(found ? 'EISDIR' : 'ENOENT', call, path);
  }

  open(path: string, mode: OpenMode): SimFile {
    const folder = this.#folder(dirname(path), 'open');
    const found = this.#find(path);
    if (mode === 'read' || (mode === 'replace' && found)) {
      const file = this.file(path, 'open');
      if (mode === 'replace') {
        if (file.sealed) throw systemError('EACCES', 'open', path);
        file.empty();
      }
      return file;
    }
    if (found) throw systemError('EEXIST', 'open', path);
    const entry = new SimFile(this.sector);
    folder.change({ type: 'add', name: basename(path), entry });
    return entry;
  }

  list(path: string): string[] {
    return [...this.#folder(path, 'scandir').entries.keys()];
  }

  sizeOf(path: string): number | undefined {
    const found = this.#find(path);
    return found instanceof SimFile ? found.size : found && 4096;
  }

  /** A number that the file keeps as long as it lives. */
  identityOf(path: string): string | undefined {
    const found = this.#find(path);
    if (!found) return undefined;
    const known = identities.get(found) ?? String(++lastIdentity);
    identities.set(found, known);
    return known;
  }

  rename(from: string, to: string): void {
    const entry = this.#find(from);
    if (!entry) throw systemError('ENOENT', 'rename', from);
    if (dirname(from) !== dirname(to)) throw systemError('EXDEV', 'rename', to);
    const change = { type: 'rename', from: basename(from), to: basename(to), entry } as const;
    this.#folder(dirname(from), 'rename').change(change);
  }

  remove(path: string): void {
    const entry = this.#find(path);
    if (!entry) return;
    if (entry instanceof SimFolder && entry.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdir', path);
    this.#folder(dirname(path), 'unlink').change({ type: 'remove', name: basename(path), entry });
  }

  /** mkdir of one folder; false when there is something of that name. */
  makeOne(path: string): boolean {
    if (this.#find(path)) return false;
    const entry = new SimFolder();
    this.#folder(dirname(path), 'mkdir').change({ type: 'add', name: basename(path), entry });
    return true;
  }

  makeFolder(path: string): void {
    if (dirname(path) !== path) this.makeFolder(dirname(path));
    if (path !== '/') this.makeOne(path);
  }

  syncFolder(path: string): void {
    this.#folder(path, 'fsync').sync();
  }

  failSyncFolder(path: string, random: Random): void {
    this.#folder(path, 'fsync').failSync(random);
  }

  /** The cache lets go of what failed syncs have dropped, in every file below `path`. */
  evict(path = '/'): void {
    const found = this.#find(path);
    if (found instanceof SimFile) found.evict();
    else if (found) for (const name of found.entries.keys()) this.evict(path === '/' ? `/${name}` : `${path}/${name}`);
  }

  crash(random: Random): void {
    this.#root.crash(random);
  }

  clone(): SimFileSystem {
    const copy = new SimFileSystem(this.sector);
    copy.#root = this.#root.clone();
    return copy;
  }
}
