// What tells a second copy of a request from a new request. The client that never saw its `250` sends again; its copy gets
// the first one's ticket, not a second place. Takes a request, gives fingerprints; pure, and the same for a kept record.
//
// Two requests are the same when one of these holds:
//   exact    the same sender and recipients, and the whole message byte for byte;
//   similar  the same sender, recipients, Message-ID and Subject, and the same body byte for byte: a client that makes its
//            headers anew, or a relay that adds Received.
// The Message-ID alone never decides: a registrar's script that always writes the same one must not lose its requests.
// Nor does it where there is no body: the request may then stand in the header section. What is not surely a copy is
// a request of its own, because a place too many is the registry's to refuse, and a lost request is nobody's to mend.

import { hash } from 'node:crypto';
import type { NewRequest } from './request.ts';

/** A longer header section is not searched for a Message-ID, in bytes. */
const headerBytes = 65_536;
const endOfHeaders = '\r\n\r\n';

/** A header field's value, unfolded (RFC 5322 section 2.2.3); undefined when it is not there or empty. */
function field(headers: string, pattern: RegExp): string | undefined {
  const value = pattern.exec(headers)?.[1]?.replace(/\s+/g, ' ').trim();
  return value === '' ? undefined : value;
}

const messageIdPattern = /^message-id[ \t]*:(.*(?:\r\n[ \t].*)*)/im;
const subjectPattern = /^subject[ \t]*:(.*(?:\r\n[ \t].*)*)/im;

/**
 * Who sends to whom, and in which part of the opening: what is sent again when its hour has come is no copy of what came
 * too early. The null sender is anybody's, so its address on the network stands for it.
 */
function parties({ envelope, client }: Pick<NewRequest, 'envelope' | 'client'>): string {
  const sender = envelope.from === '' ? ['<>', client.address] : [envelope.from.toLowerCase()];
  const part = client.early
    ? ['early']
    : client.late
      ? ['late']
      : client.phase === undefined
        ? []
        : ['in', client.phase];
  return JSON.stringify([sender, envelope.to.map((each) => each.toLowerCase()).toSorted(), ...part]);
}

/** The fingerprints of a request, SHA-256 in hex, the exact one first. One in common makes two requests the same. */
export function fingerprintsOf(request: Pick<NewRequest, 'envelope' | 'client' | 'message'>): readonly string[] {
  const { message } = request;
  const who = parties(request);
  const end = message.indexOf(endOfHeaders, 0, 'latin1');
  const bodyAt = end === -1 ? message.length : end + endOfHeaders.length;
  // The two digests together stand for the whole message: its body, which is most of it, is read once.
  const body = hash('sha256', message.subarray(bodyAt));
  const exact = hash('sha256', `exact ${who} ${hash('sha256', message.subarray(0, bodyAt))} ${body}`);
  if (bodyAt === message.length || end > headerBytes) return [exact];
  const headers = message.toString('latin1', 0, end);
  const messageId = field(headers, messageIdPattern);
  if (messageId === undefined) return [exact];
  const told = JSON.stringify([messageId, field(headers, subjectPattern) ?? '']);
  return [exact, hash('sha256', `similar ${who} ${told} ${body}`)];
}
