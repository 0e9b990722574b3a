// The classic mistakes, to be planted one at a time: a simulation that does not notice them proves nothing. Those that a wrapper
// of the disk can make are made so; the others are changes in a copy of the sources. `runs` is the most seeds that may pass
// before the mistake is noticed.

import { messageOf } from '../../../src/model/errors.ts';
import type { Disk, DiskFile, Runtime } from '../../../src/ports/runtime.ts';
import { simulate } from './simulation.ts';
import { loadPatched, loadSubject, type Patch, type Subject } from './subject.ts';

export interface Mistake {
  readonly what: string;
  readonly runs: number;
  load(): Promise<Subject>;
}

/** The real code on a disk that does something wrong. */
async function onDisk(wrap: (disk: Disk) => Disk): Promise<Subject> {
  const own = await loadSubject();
  const wrapped = (runtime: Runtime): Runtime => ({ ...runtime, disk: wrap(runtime.disk) });
  return {
    ...own,
    openMailboxWriter: (runtime, ...rest) => own.openMailboxWriter(wrapped(runtime), ...rest),
    openJournalFile: (runtime, ...rest) => own.openJournalFile(wrapped(runtime), ...rest),
  };
}

function withSync(disk: Disk, sync: (file: DiskFile) => Promise<void>): Disk {
  return {
    ...disk,
    async open(path, mode) {
      const file = await disk.open(path, mode);
      return { ...file, sync: () => sync(file) };
    },
  };
}

/** How the mistake was noticed, and with which seed; undefined when it was not. */
export async function notice(mistake: Mistake): Promise<{ seed: number; violation: string } | undefined> {
  const subject = await mistake.load();
  for (let seed = 1; seed <= mistake.runs; seed++) {
    try {
      await simulate(subject, seed);
    } catch (error) {
      return { seed, violation: messageOf(error).split('\n')[0] ?? '' };
    }
  }
  return undefined;
}

function patched(what: string, runs: number, ...patches: Patch[]): Mistake {
  return { what, runs, load: () => loadPatched(patches) };
}

export const mistakes: readonly Mistake[] = [
  {
    what: 'no folder is synced',
    runs: 10,
    load: () => onDisk((disk) => ({ ...disk, syncFolder: async () => undefined })),
  },
  {
    what: 'the 250 goes out before the sync has come back',
    runs: 40,
    load: () => onDisk((disk) => withSync(disk, async (file) => void file.sync().catch(() => undefined))),
  },
  {
    what: 'a sync that failed is tried again',
    runs: 40,
    load: () => onDisk((disk) => withSync(disk, (file) => file.sync().catch(() => file.sync()))),
  },
  patched('the folders above a new spool are not synced', 10, {
    file: 'spool/fencing/fencing.ts',
    from: '      await disk.syncFolder(dirname(at));\n',
    to: '',
  }),
  patched('a file is renamed into place before it is synced', 10, {
    file: 'lib/replace-file.ts',
    from: '    if (sync) await file.sync();\n',
    to: '',
  }),
  patched('nobody looks whether the epoch is still its own', 40, {
    file: 'spool/fencing/fencing.ts',
    from: 'if (!disk.readFileNow(path).equals(own)) {',
    to: 'if (own.length === 0) {',
  }),
  patched('the epoch is looked at before an answer, but not before a rename', 200, {
    file: 'spool/fencing/fencing.ts',
    from: '    check();\n    checked = true;\n',
    to: '    checked = true;\n',
  }),
  patched('what a fenced writer was about to rename is left to it', 200, {
    file: 'spool/fencing/fencing.ts',
    from: '    for (const each of folders) await removeTemporary(disk, each, role);\n',
    to: '',
  }),
  patched(
    'every writer makes its files under the same names',
    100,
    {
      file: 'spool/fencing/fencing.ts',
      from: '  return `${path}.${role}-${holder}.new`;',
      to: '  return `${path}.new`;',
    },
    {
      file: 'lib/replace-file.ts',
      from: "return await disk.open(path, 'create')",
      to: "return await disk.open(path, 'replace')",
    },
  ),
  patched(
    'the epoch is read before it is raised',
    2000,
    {
      file: 'spool/fencing/fencing.ts',
      from: '  let epoch = 0;\n',
      to: '  let epoch = 0;\n  const last = (await readEpoch(runtime, path))?.epoch ?? 0;\n',
    },
    { file: 'spool/fencing/fencing.ts', from: '((await readEpoch(runtime, path))?.epoch ?? 0) + 1', to: 'last + 1' },
  ),
  patched('recovery trusts what it reads without writing it again', 60, {
    file: 'spool/mailbox/recovery.ts',
    from: '    if (!sealed) {',
    to: '    if (found.broken) {',
  }),
  patched(
    'recovery keeps the torn tail',
    20,
    { file: 'spool/mailbox/recovery.ts', from: 'file, [0, end], path,', to: 'file, [0, size], path,' },
    { file: 'spool/mailbox/recovery.ts', from: 'if (copied.end !== end || ', to: 'if (' },
  ),
  patched('the index is trusted', 60, {
    file: 'spool/mailbox/reader.ts',
    from: 'if (sequenceIn(bytes) === sequence) return',
    to: 'if (sequenceIn(bytes) !== 0) return',
  }),
  patched('followers are told of records before they are synced', 60, {
    file: 'spool/mailbox/writer.ts',
    from: '    await mailbox.file.sync();\n    // The last look',
    to:
      '    await this.#publisher.publish(positionText({ sequence: batch + offsets.length - 1, mailbox: mailbox.first, offset: end }));\n' +
      '    await mailbox.file.sync();\n    // The last look',
  }),
  patched(
    'a follower reads past the commit position',
    60,
    {
      file: 'spool/mailbox/reader.ts',
      from: 'const end = location.mailbox === position.mailbox ? position.offset : await file.size();',
      to: 'const end = await file.size();',
    },
    {
      file: 'spool/mailbox/reader.ts',
      from: 'if (next > position.sequence || requests.length >= limit.count) break;',
      to: 'if (requests.length >= limit.count) break;',
    },
  ),
  patched('a journal answers before its line is synced', 40, {
    file: 'spool/journal-file.ts',
    from: '      await this.#open().sync();\n',
    to: '      void this.#open().sync().catch(() => undefined);\n',
  }),
  patched('a journal is compacted in place', 60, {
    file: 'spool/journal-file.ts',
    from: 'const file = await this.#lock.replace(pathOf(this.#spool, this.#name), (fresh) => fresh.write(line, 0));',
    to:
      "const file = await this.#disk.open(pathOf(this.#spool, this.#name), 'replace');\n" +
      '    await file.write(line, 0);\n    await file.sync();\n    this.#lock.check();',
  }),
];
