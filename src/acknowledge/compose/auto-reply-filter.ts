// Whether a mail is automatic, so that nothing answers it by mail (RFC 3834). Takes the envelope sender and the raw
// header fields, gives the reason in a few words or undefined. Pure, never throws. The request itself is kept all the
// same: this decides about the acknowledgement only.
// The null sender alone is no reason where the registrar book names a contact: programs do send requests with MAIL FROM:<>,
// the contact is not answered but written to, and what we send comes from the null sender itself. An answer to one of our
// own acknowledgements from the null sender is a reason even then: it would go round in a circle.

import { type Fields, referencesOf } from '../../mail/header-fields.ts';

/**
 * Senders that are programs (RFC 3834 section 2). `-request` is left out: registrars do have mailboxes of that name, and
 * a list manager that answered us would do so from the null sender or with a mark that is recognised here.
 */
const programs =
  /^(?:mailer-?daemon|postmaster|listserv|majordomo|owner-.*|.*-owner|.*-bounces?|bounces?[-+=].*|bounces?)$/;

/** Marks of vacation programs from before Auto-Submitted. */
const oldMarks = ['x-autoreply', 'x-autorespond', 'x-auto-reply'];

/** Our own Message-IDs, of whatever day and name (compose.ts). */
const ours = /^<SW-\d{9,16}-[0-9A-Z*]\.\d+@/;

/**
 * Why a mail must not be acknowledged by mail, or undefined when it may be.
 * @param contact the acknowledgement goes to a contact out of the registrar book, and not to the sender
 */
export function autoReplyReason(envelopeFrom: string, fields: Fields, contact = false): string | undefined {
  if (envelopeFrom.trim() === '') {
    if (!contact) return 'null sender';
    const named = [...(fields.get('in-reply-to') ?? []), ...referencesOf(fields)];
    if (named.some((id) => ours.test(id))) return 'null sender answers an acknowledgement';
  }
  const local = envelopeFrom
    .slice(0, envelopeFrom.lastIndexOf('@') >= 0 ? envelopeFrom.lastIndexOf('@') : undefined)
    .toLowerCase();
  if (programs.test(local)) return 'sender is a mail program';
  for (const value of fields.get('auto-submitted') ?? []) {
    if (wordOf(value) !== 'no') return 'Auto-Submitted';
  }
  for (const value of fields.get('precedence') ?? []) {
    if (['bulk', 'junk', 'list'].includes(wordOf(value))) return 'Precedence';
  }
  for (const name of fields.keys()) {
    if (name.startsWith('list-')) return 'List header';
    if (oldMarks.includes(name)) return 'autoresponder mark';
  }
  const type = fields.get('content-type')?.[0] ?? '';
  return wordOf(type) === 'multipart/report' ? 'delivery report' : undefined;
}

/** The value without parameters and comments: `auto-replied; owner-email=…` is auto-replied. */
function wordOf(value: string): string {
  return value
    .slice(0, 200)
    .replace(/\([^)]*\)/g, '')
    .split(';', 1)
    .join('')
    .trim()
    .toLowerCase();
}
