// Reads a hostile mail as the stages do, and says by name and seed when it took too long or more than lines came out.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { autoReplyReason } from '../../src/acknowledge/compose/auto-reply-filter.ts';
import { fieldsOf, messageIdOf, referencesOf, pieceOf } from '../../src/mail/header-fields.ts';
import { MimeParser, PoisonError } from '../../src/mail/mime-parser.ts';
import { linesMax, readMail } from '../../src/mail/read-text.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { sample } from './acknowledging.ts';

/** Processor time of all threads for one mail, in milliseconds: what else the machine does has no part in it. */
const cpuMaxMs = 4_000;
const pieceBytes = 262_144;

const parser = new MimeParser({ clock: nodeRuntime.clock, deadlineMs: 20_000 });

/** The sample requests. */
export async function samples(): Promise<Buffer[]> {
  const files = await readdir(join(import.meta.dirname, '..', 'fixtures', 'requests'));
  return Promise.all(files.toSorted().map((file) => sample(file.replace('.eml', ''))));
}

/** @param poison whether the mail may be more than the parser can do, as long as that ends too */
export async function readHostile(name: string, mail: Buffer, poison?: 'or set aside'): Promise<void> {
  const before = process.cpuUsage();
  const piece = pieceOf(mail, poison ? mail.length : pieceBytes).bytes;
  const fields = fieldsOf(piece);
  autoReplyReason('a@b', fields);
  messageIdOf(fields);
  referencesOf(fields);
  try {
    const readable = await readMail(piece, (bytes) => parser.read(bytes), fields);
    if (readable) {
      assert.equal(typeof readable.subject, 'string', name);
      assert.ok(readable.lines.length <= linesMax, name);
      assert.ok(
        readable.lines.every((line) => line.length <= 1_000 && !line.includes('\n')),
        name,
      );
    }
  } catch (error) {
    if (!(error instanceof PoisonError)) throw new Error(name, { cause: error });
    assert.ok(poison, `${name}: ${error.message}`);
  }
  const { user, system } = process.cpuUsage(before);
  const spentMs = (user + system) / 1000;
  if (!poison) assert.ok(spentMs < cpuMaxMs, `${name} took ${spentMs} ms`);
}
