// Mails as real programs send them: what is read of each, and whether it may be acknowledged (test/fixtures/cases/cases.jsonl).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { autoReplyReason } from '../../src/acknowledge/compose/auto-reply-filter.ts';
import { fieldsOf, pieceOf } from '../../src/mail/header-fields.ts';
import { parseRequests } from '../../src/mail/parse-mail.ts';
import { readMail } from '../../src/mail/read-text.ts';
import { parse } from '../support/parse.ts';

interface Case {
  readonly file: string;
  readonly sender: string;
  readonly expect: {
    readonly form?: string;
    readonly names?: readonly string[];
    readonly op?: string;
    readonly ref?: string;
    readonly problems?: readonly string[];
  } | null;
  readonly acknowledged: boolean | null;
  readonly seen_at: string;
}

const folder = join(import.meta.dirname, '..', 'fixtures', 'cases');
const cases = readFileSync(join(folder, 'cases.jsonl'), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Case);

for (const { file, sender, expect, acknowledged, seen_at: seen } of cases) {
  test(`${file}: ${seen}`, async () => {
    const message = readFileSync(join(folder, file));
    const bytes = Buffer.from(message.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
    const { bytes: piece, partly } = pieceOf(bytes, 65_536);
    if (acknowledged !== null)
      assert.equal(autoReplyReason(sender, fieldsOf(piece), false) === undefined, acknowledged);
    if (!expect) return;
    const mail = await readMail(piece, parse);
    assert.ok(mail);
    const { form, names, operation, reference, problems } = parseRequests(mail, partly);
    if (expect.form !== undefined) assert.equal(form, expect.form);
    if (expect.names)
      assert.deepEqual(
        names.map(({ unicode }) => unicode),
        expect.names,
      );
    if (expect.op !== undefined) assert.equal(operation, expect.op);
    if (expect.ref !== undefined) assert.equal(reference, expect.ref);
    if (expect.problems)
      assert.deepEqual(
        problems.map(({ code }) => code),
        expect.problems,
      );
  });
}
