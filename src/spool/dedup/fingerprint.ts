// What tells a copy of a kept request from a new request. The client that never saw its `250` sends again; its copy is told the
// first one's ticket and gets no second number. Takes a request, gives its fingerprint: pure, and the same for the kept record.
//
// Two requests are the same when all of this is equal:
//   who      the registrar and by what it was known, or that it was not known; and the envelope sender. Where that proves
//            nothing, because anybody can write it (known by envelope sender, unverified, no registrar book, null sender),
//            the client's address too: nobody can make another's request look like a copy by sending it first;
//   to whom  the recipients, and the phase of the opening: what is sent again at its hour is no copy of what came too early;
//   what     the header section, byte for byte but for the fields that relays add on the way, and the body byte for byte.
// What is not surely a copy is a request of its own: the registry can refuse one request too many, but nobody
// can bring back a lost one.

import { hash } from 'node:crypto';
import { clientOf } from '../../lib/address-list.ts';
import type { NewRequest } from '../../model/request.ts';

/** Of a longer header section no field is left out, in bytes. */
const headerBytes = 65_536;
const endOfHeaders = '\r\n\r\n';

/** Trace and authentication fields (RFC 5321 section 4.4, RFC 6376, RFC 7208, RFC 8601, RFC 8617), their relatives, and what filters say. */
const relayFields = [
  '(?:x-)?(?:received|delivered-to|original-to|envelope-to|envelope-from|authentication-results)',
  'return-path|received-spf|arc-[a-z-]+|(?:x-google-)?dkim-signature|domainkey-signature',
  'x-(?:google-smtp-source|gm-message-state|spam|spamd|rspamd|virus|amavis)(?:-[a-z0-9-]+)?',
].join('|');
const addedByRelays = new RegExp(`^(?:${relayFields})[ \\t]*:.*(?:\\r\\n[ \\t].*)*(?:\\r\\n|$)`, 'gim');

function sender({ envelope, client }: Pick<NewRequest, 'envelope' | 'client'>): readonly string[] {
  const { registrar, unverified } = client;
  const known = registrar ? [registrar.id, registrar.by] : [unverified ? 'unverified' : 'no book'];
  const proved = registrar !== undefined && registrar.by !== 'envelope' && envelope.from !== '';
  return [...known, envelope.from.toLowerCase(), ...(proved ? [] : [clientOf(client.address)])];
}

function phase({ early, late, phase: name }: NewRequest['client']): readonly string[] {
  if (early) return ['early'];
  if (late) return ['late'];
  return name === undefined ? [] : ['in', name];
}

/** The fingerprint of a request: SHA-256 in hex. */
export function fingerprintOf(request: Pick<NewRequest, 'envelope' | 'client' | 'message'>): string {
  const { client, envelope, message } = request;
  const recipients = envelope.to.map((each) => each.toLowerCase()).toSorted();
  const correspondents = JSON.stringify([sender(request), recipients, ...phase(client)]);
  const end = message.indexOf(endOfHeaders, 0, 'latin1');
  const bodyAt = end === -1 ? message.length : end + endOfHeaders.length;
  const headers = message.toString('latin1', 0, bodyAt);
  const told = bodyAt > headerBytes ? headers : headers.replace(addedByRelays, '');
  return hash('sha256', `${correspondents} ${hash('sha256', told)} ${hash('sha256', message.subarray(bodyAt))}`);
}
