// Where acknowledgements go while no relay is configured: one .eml file each, below the spool, named by ticket.
// Takes finished mails, gives `sent` once the file is on stable storage; a disk in trouble is `unreachable`, so that
// nothing is lost and the stage tries again. Owns the folder `acknowledgements`, with a subfolder for each 1,000
// sequences. A repeat overwrites the file with the same bytes.

import { join } from 'node:path';
import { GroupCommit } from '../../lib/group-commit.ts';
import { messageOf } from '../../model/errors.ts';
import type { Disk } from '../../ports/runtime.ts';
import type { Transport, Outcome, Outgoing } from './transport.ts';
import { plainTicket } from '../../model/ticket.ts';
import { sanitizeLine } from '../../mail/sanitize.ts';

/** So many are written side by side; they share the syncs of their folder. */
const parallel = 64;

/** The subfolder of a sequence: `000123` holds 123,000 to 123,999. */
function folderOf(sequence: number): string {
  return String(Math.floor(sequence / 1000)).padStart(6, '0');
}

/** The transport that writes files below `spool`/acknowledgements. */
export function emlFolder(disk: Disk, spool: string): Transport {
  const root = join(spool, 'acknowledgements');
  const made = new Map<string, Promise<void>>();

  /** Makes a subfolder and its name durable, once. Only the newest few are remembered: the order moves on. */
  function make(folder: string): Promise<void> {
    const known = made.get(folder);
    if (known) return known;
    const making = disk
      .makeFolder(folder)
      .then(() => disk.syncFolder(root))
      .then(() => disk.syncFolder(spool));
    made.set(folder, making);
    making.catch(() => made.delete(folder));
    for (const oldest of made.keys()) {
      if (made.size <= 16) break;
      made.delete(oldest);
    }
    return making;
  }

  async function write(mail: Outgoing): Promise<string> {
    const folder = join(root, folderOf(mail.sequence));
    await make(folder);
    const path = join(folder, `${plainTicket(mail.ticket)}.eml`);
    const file = await disk.open(`${path}.tmp`, 'replace');
    try {
      await file.write(mail.bytes, 0);
      // Without it a power cut could leave an empty file behind a journal that says `sent`. The group's syncs run side
      // by side, and the file system answers them together.
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(`${path}.tmp`, path);
    return folder;
  }

  async function writeGroup(mails: readonly Outgoing[]): Promise<Outcome[]> {
    const written = await Promise.allSettled(mails.map(write));
    const folders = new Set(written.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
    let trouble: unknown;
    try {
      for (const folder of folders) await disk.syncFolder(folder);
    } catch (error) {
      trouble = error;
    }
    return written.map((each) => {
      const reason: unknown = each.status === 'rejected' ? each.reason : trouble;
      if (reason === undefined) return { kind: 'sent', code: 250, text: 'written', transport: 'files' };
      return { kind: 'unreachable', code: 0, text: sanitizeLine(messageOf(reason), 200), transport: 'files' };
    });
  }

  const groups = new GroupCommit(writeGroup);

  return { name: 'files', parallel, send: (mail) => groups.add(mail), close: () => undefined };
}
