// Which mails are kept but never acknowledged by mail (RFC 3834).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { autoReplyReason } from '../../src/acknowledge/compose/auto-reply-filter.ts';
import { fieldsOf } from '../../src/mail/header-fields.ts';
import { sample } from '../support/acknowledging.ts';

const reason = (header: string, from = 'ops@registres.example'): string | undefined =>
  autoReplyReason(from, fieldsOf(Buffer.from(`${header}\r\n\r\nAuto-Submitted: auto-replied\r\n`)));

for (const header of [
  'Auto-Submitted: auto-replied',
  'auto-submitted:auto-generated; owner-email="x@y"',
  'Auto-Submitted: (a comment)\r\n auto-notified',
  'Subject: x\r\nPrecedence: Bulk',
  'Precedence: junk',
  'Precedence: list',
  'List-Id: <a.example>',
  'List-Unsubscribe: <mailto:x@a.example>',
  'X-Autoreply: yes',
  'Content-Type: multipart/report; report-type=delivery-status',
]) {
  test(`automatic mail: is recognised by ${JSON.stringify(header)}`, () => assert.notEqual(reason(header), undefined));
}

for (const from of [
  '',
  'MAILER-DAEMON@a.example',
  'postmaster@a.example',
  'owner-x@a.example',
  'x-bounces@a.example',
]) {
  test(`automatic mail: is recognised by its sender <${from}>`, () =>
    assert.notEqual(reason('Subject: x', from), undefined));
}

for (const header of ['Subject: x', 'Auto-Submitted: no', 'Auto-Submitted: No (really)', 'Precedence: first-class']) {
  test(`automatic mail: is not seen in ${JSON.stringify(header)}`, () => assert.equal(reason(header), undefined));
}

test('automatic mail: is not seen in what stands behind the header, nor in a mail that has none', () => {
  assert.equal(autoReplyReason('a@b', fieldsOf(Buffer.from('\r\nAuto-Submitted: auto-replied\r\n'))), undefined);
  assert.equal(reason('Subject: x', 'domain-request@registres.example'), undefined);
});

test('automatic mail: is told apart in the samples', async () => {
  assert.equal(autoReplyReason('a@b', fieldsOf(await sample('auto-reply'))), 'Auto-Submitted');
  assert.equal(autoReplyReason('a@b', fieldsOf(await sample('automaton-three-requests'))), undefined);
});

const withContact = (header: string, from = ''): string | undefined =>
  autoReplyReason(from, fieldsOf(Buffer.from(`${header}\r\n\r\n`)), true);

test('automatic mail: the null sender alone is none when the registrar has a contact', () => {
  assert.equal(withContact('Subject: a request'), undefined);
  assert.equal(withContact('In-Reply-To: <20040511070000.1A2B@registres.example>'), undefined);
  assert.equal(withContact('Auto-Submitted: auto-replied'), 'Auto-Submitted');
  assert.equal(withContact('Content-Type: multipart/report'), 'delivery report');
  assert.equal(withContact('Subject: x', 'mailer-daemon@a.example'), 'sender is a mail program');
  // An autoresponder at the contact that sets no mark at all: the circle ends here.
  const own = '<SW-000000001-*.1700000000000@ack.registry.example>';
  assert.match(withContact(`In-Reply-To: ${own}`) ?? '', /answers an acknowledgement/);
  assert.match(withContact(`References: <a@b> ${own}`) ?? '', /answers an acknowledgement/);
  assert.equal(autoReplyReason('ops@a.example', fieldsOf(Buffer.from(`References: ${own}\r\n\r\n`)), true), undefined);
});
