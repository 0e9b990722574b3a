// One request as one mbox message and back. Pure: takes and gives bytes.
// A record is: the `From ` line, Seawall's own headers in a fixed order, the sender's message (LF, mboxrd quoting), an
// empty line. Quoting means that "\nFrom " stands nowhere but at the start of a record, so any part of a mailbox can be
// split without reading it from the beginning. Bytes that are not a record as we write it give a BrokenRecord.

import { hash } from 'node:crypto';
import type { NewRequest, StoredRequest } from '../../model/request.ts';
import { ticketOf } from '../../model/ticket.ts';

/** Why some bytes are not an intact record. The reader of a mailbox decides what that means. */
export class BrokenRecord extends Error {
  override readonly name = 'BrokenRecord';
}

/** A record as read: the request, and the first sequence of the write it came with. */
export interface Record {
  readonly request: StoredRequest;
  /** Everything before this sequence was on stable storage before this record was written. */
  readonly batch: number;
  /** The header block, which the chain hash covers. */
  readonly head: Buffer;
  /** How many bytes it takes; what was given beyond them is not part of it. */
  readonly length: number;
}

const chainHeader = 'Seawall-Chain: ';

/** Hash that stands before the first record of a log. */
export function firstChain(logId: string): string {
  return hash('sha256', `Seawall log ${logId}`);
}

/** Chain hash: SHA-256 over the previous chain hash (32 bytes) and the header block, which holds the message's digest. */
export function nextChain(previous: string, head: Buffer): string {
  return hash('sha256', Buffer.concat([Buffer.from(previous, 'hex'), head]));
}

/** JSON in ASCII on one line: an mbox header carries nothing else safely. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The date of a `From ` line, as asctime(3) writes it, in UTC. */
function asctime(ms: number): string {
  const date = new Date(ms);
  const time = date.toISOString().slice(11, 19);
  const day = String(date.getUTCDate()).padStart(2);
  return `${weekdays[date.getUTCDay()]} ${months[date.getUTCMonth()]} ${day} ${time} ${date.getUTCFullYear()}`;
}

/** A longer text costs thrice as much a byte to turn over: the engine keeps it, and all that is made of it, apart. */
const pieceBytes = 32_768;

/** A message as the mailbox has it, with LF and quoted, in pieces that end where a line does. @throws RangeError: see `encode` */
function quotedPieces(message: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let from = 0, to = 0; from < message.length; from = to) {
    // Whole lines up to the size of a piece, or one that is longer.
    to = message.length - from <= pieceBytes ? message.length : message.lastIndexOf(0x0a, from + pieceBytes) + 1;
    if (to <= from) to = message.indexOf(0x0a, from) + 1 || message.length;
    const crlf = message.toString('latin1', from, to);
    const lf = crlf.replaceAll('\r\n', '\n');
    let newlines = 0;
    for (let at = lf.indexOf('\n'); at !== -1; at = lf.indexOf('\n', at + 1)) newlines++;
    if (lf.includes('\r') || lf.length + newlines !== crlf.length) {
      throw new RangeError('the message has a bare CR or LF and cannot be kept exactly');
    }
    const quoted = lf.includes('From ') ? lf.replace(/(^|\n)(>*From )/g, '$1>$2') : lf;
    pieces.push(Buffer.from(quoted, 'latin1'));
  }
  return pieces;
}

/**
 * Writes a request as a record.
 * @param previous chain hash of the record before it
 * @param batch first sequence of the write that this record goes out with
 * @throws RangeError when the message has a bare CR or LF: it could not be given back byte for byte
 */
export function encodeRecord(
  request: NewRequest,
  sequence: number,
  batch: number,
  previous: string,
): { parts: Buffer[]; chain: string } {
  const { message, envelope } = request;
  const pieces = quotedPieces(message);
  const stored = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const sender = envelope.from === '' ? 'MAILER-DAEMON' : envelope.from.replace(/[^\x21-\x7e]/g, '?');
  const end = message.length === 0 || message.at(-1) === 0x0a ? '\n' : '\n\n';
  const head = Buffer.from(
    `From ${sender} ${asctime(request.receivedAt)}\n` +
      `Seawall-Sequence: ${sequence}\n` +
      `Seawall-Ticket: ${ticketOf(sequence)}\n` +
      `Seawall-Received: ${new Date(request.receivedAt).toISOString()}\n` +
      `Seawall-Batch: ${batch}\n` +
      `Seawall-Id: ${asciiJson(request.id)}\n` +
      `Seawall-Envelope: ${asciiJson(envelope)}\n` +
      `Seawall-Client: ${asciiJson(request.client)}\n` +
      // JSON is not for people: whoever opens the mailbox must see it.
      (request.client.rehearsal ? 'Seawall-Rehearsal: yes\n' : '') +
      `Seawall-Stored: ${stored + end.length}\n` +
      `Seawall-Size: ${message.length}\n` +
      `Seawall-SHA256: ${hash('sha256', message)}\n`,
    'latin1',
  );
  const chain = nextChain(previous, head);
  return { parts: [head, Buffer.from(`${chainHeader}${chain}\n`), ...pieces, Buffer.from(end)], chain };
}

const headPattern =
  /^From .*\nSeawall-Sequence: (\d+)\nSeawall-Ticket: (.*)\nSeawall-Received: (.*)\nSeawall-Batch: (\d+)\nSeawall-Id: (.*)\nSeawall-Envelope: (.*)\nSeawall-Client: (.*)\n(?:Seawall-Rehearsal: yes\n)?Seawall-Stored: (\d+)\nSeawall-Size: (\d+)\nSeawall-SHA256: ([0-9a-f]{64})\n$/;

/** Bytes that every record starts with, at the start of a line. */
export const recordStart = Buffer.from('From ');

/**
 * Reads a record, from its `From ` to the empty line that ends it and whatever follows, and proves the message by its size and digest.
 * The chain is for those who know the record before it: see `nextChain`.
 * @throws BrokenRecord that says what is wrong
 */
export function decodeRecord(bytes: Buffer): Record {
  const chainAt = bytes.indexOf(`\n${chainHeader}`, 0, 'latin1') + 1;
  if (chainAt === 0) throw new BrokenRecord('it has no complete header block');
  const head = bytes.subarray(0, chainAt);
  const match = headPattern.exec(head.toString('latin1'));
  if (!match) throw new BrokenRecord('its header block is not as Seawall writes it');
  const [, sequenceText, ticket = '', received = '', batchText, id = '', envelope = '', client = ''] = match;
  const [stored, size, sha256 = ''] = [Number(match[8]), Number(match[9]), match[10]];
  const chainEnd = bytes.indexOf(0x0a, chainAt);
  const end = chainEnd + 1 + stored;
  if (chainEnd === -1 || bytes.length < end || bytes[end - 1] !== 0x0a) throw new BrokenRecord('it is cut off');
  const chain = bytes.toString('latin1', chainAt + chainHeader.length, chainEnd);
  if (!/^[0-9a-f]{64}$/.test(chain)) throw new BrokenRecord('its chain hash is damaged');
  const quoted = bytes.toString('latin1', chainEnd + 1, end - 1);
  const lf = quoted.includes('From ') ? quoted.replace(/(^|\n)>(>*From )/g, '$1$2') : quoted;
  const text = lf.replaceAll('\n', '\r\n');
  // A message without an end of line got one for the mailbox's sake.
  const completed = text.length === size + 2 && text.endsWith('\r\n');
  if (!completed && !(text.length === size && (size === 0 || text.endsWith('\r\n')))) {
    throw new BrokenRecord(`its message has ${text.length} bytes where its header says ${size}`);
  }
  const message = Buffer.from(completed ? text.slice(0, size) : text, 'latin1');
  if (hash('sha256', message) !== sha256) throw new BrokenRecord('its message is not what its SHA-256 says');
  const sequence = Number(sequenceText);
  if (ticket !== ticketOf(sequence)) throw new BrokenRecord('its ticket does not belong to its sequence');
  let parsed: Pick<NewRequest, 'id' | 'envelope' | 'client'>;
  try {
    parsed = { id: JSON.parse(id), envelope: JSON.parse(envelope), client: JSON.parse(client) };
  } catch {
    throw new BrokenRecord('its id, envelope or client is not JSON');
  }
  const receivedAt = Date.parse(received);
  return {
    request: { ...parsed, receivedAt, sequence, ticket, size, sha256, chain, message },
    batch: Number(batchText),
    head,
    length: end,
  };
}
