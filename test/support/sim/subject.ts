// The code that the simulation attacks: Seawall's own sources, or a copy of them in which a test has planted a mistake.

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as AckStateModule from '../../../src/acknowledge/journal/ack-state.ts';
import type * as LeaseStateModule from '../../../src/deliver/leases/lease-state.ts';
import type * as SequencerModule from '../../../src/intake/sequencer.ts';
import type * as FingerprintModule from '../../../src/spool/dedup/fingerprint.ts';
import type * as JournalModule from '../../../src/spool/journal-file.ts';
import type * as ReaderModule from '../../../src/spool/mailbox/reader.ts';
import type * as MailboxesModule from '../../../src/spool/mailbox/writer.ts';
import type * as VerifyModule from '../../../src/spool/mailbox/verify.ts';

export type Subject = Pick<typeof MailboxesModule, 'openMailboxWriter'> &
  Pick<typeof FingerprintModule, 'fingerprintOf'> &
  Pick<typeof ReaderModule, 'openReader'> &
  Pick<typeof VerifyModule, 'verifyLog'> &
  Pick<typeof JournalModule, 'openJournalFile'> &
  Pick<typeof SequencerModule, 'Sequencer'> &
  Pick<typeof AckStateModule, 'AckState'> &
  Pick<typeof LeaseStateModule, 'LeaseState'>;

const own = new URL('../../../src/', import.meta.url);

/** Loads the parts from a source folder. */
export async function loadSubject(root: URL = own): Promise<Subject> {
  const part = async <Module>(path: string): Promise<Module> => (await import(new URL(path, root).href)) as Module;
  const { openMailboxWriter } = await part<typeof MailboxesModule>('spool/mailbox/writer.ts');
  const { fingerprintOf } = await part<typeof FingerprintModule>('spool/dedup/fingerprint.ts');
  const { openReader } = await part<typeof ReaderModule>('spool/mailbox/reader.ts');
  const { verifyLog } = await part<typeof VerifyModule>('spool/mailbox/verify.ts');
  const { openJournalFile } = await part<typeof JournalModule>('spool/journal-file.ts');
  const { Sequencer } = await part<typeof SequencerModule>('intake/sequencer.ts');
  const { AckState } = await part<typeof AckStateModule>('acknowledge/journal/ack-state.ts');
  const { LeaseState } = await part<typeof LeaseStateModule>('deliver/leases/lease-state.ts');
  return { openMailboxWriter, fingerprintOf, openReader, verifyLog, openJournalFile, Sequencer, AckState, LeaseState };
}

/** One change of the text of a source file. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Loads the parts from a copy of the sources with the patches applied; each must fit exactly once. */
export async function loadPatched(patches: readonly Patch[]): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), 'seawall-patched-'));
  try {
    for (const part of ['acknowledge', 'deliver', 'intake', 'lib', 'mail', 'model', 'ports', 'spool']) {
      await cp(new URL(part, own), join(folder, part), { recursive: true });
    }
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n');
    for (const { file, from, to } of patches) {
      const path = join(folder, file);
      const text = await readFile(path, 'utf8');
      if (text.split(from).length !== 2) throw new Error(`the patch of ${file} does not fit: ${from}`);
      await writeFile(
        path,
        text.replace(from, () => to),
      );
    }
    return await loadSubject(pathToFileURL(`${folder}/`));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
