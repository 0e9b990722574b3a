// The parser for mails of several parts, in a thread of its own because it may be slow, and can then be ended
// (mime-parser.ts). Takes the bytes of a piece as a message, answers with text lines, or null when it cannot. The parser
// only takes the parts apart: charsets and HTML are read by our own hands, the same as in a mail of one part.

import { parentPort } from 'node:worker_threads';
import { type AttachmentStream, MailParser, type MessageText } from 'mailparser';
import { bodyOf, type Fields, fieldsOf } from './header-fields.ts';
import { isForm, linesMax, linesOf, readMail, textTypeOf } from './read-text.ts';

/** The part of a header that says how a body is to be read. */
const mimeField = /^content-/;
/** Mails in mails are opened so deep. */
const depthMax = 3;

interface Part {
  readonly type: string;
  readonly textType: 'text/plain' | 'text/html' | undefined;
  readonly attached: boolean;
  readonly charset: string | undefined;
  readonly bytes: Buffer;
}

const saysAnything = (lines: readonly string[]): boolean => lines.some((line) => line.trim() !== '');

/**
 * Text before HTML, what is shown before what is attached: the first of these that holds a form is what a mail says, else the first
 * that says anything. The text beside an HTML part may say no more than that there is one.
 */
function linesIn(parts: readonly Part[]): readonly string[] {
  let first: readonly string[] | undefined;
  for (const attached of [false, true]) {
    for (const type of ['text/plain', 'text/html'] as const) {
      const chosen = parts.filter((part) => part.textType === type && part.attached === attached);
      const lines = chosen.flatMap((part) => linesOf(part.type, part.bytes, part.charset)).slice(0, linesMax);
      if (!saysAnything(lines)) continue;
      if (isForm(lines)) return lines;
      first ??= lines;
    }
  }
  return first ?? [''];
}

/** What a mail says, and if it says nothing itself, what a mail inside it says. */
async function linesOfMail(piece: Buffer, depth = 0): Promise<readonly string[]> {
  const fields = fieldsOf(piece);
  const parts = await partsOf(mimeHead(fields, bodyOf(piece)), withCleanBoundaries(bodyOf(piece)));
  const lines = linesIn(parts);
  if (isForm(lines) || depth === depthMax) return lines;
  for (const { type, bytes } of parts) {
    const mail = type === 'message/rfc822' ? bytes : signed.test(type) ? signedContent(bytes) : undefined;
    if (!mail || (type === 'message/rfc822' && saysAnything(lines))) continue;
    const inside = await readMail(mail, (inner) => linesOfMail(inner, depth + 1));
    if (inside && saysAnything(inside.lines)) return inside.lines;
  }
  return lines;
}

/** Resolves with every part that has a body, in order. Rejects when the parser gives up. */
function partsOf(head: string, body: Buffer): Promise<Part[]> {
  return new Promise((resolve, reject) => {
    const parts: Part[] = [];
    const parser = new MailParser({});
    // With no type read as text, the parser gives out every part as it gives out attachments: bytes, charset untouched.
    Object.assign(parser, { textTypes: [] });
    parser.on('data', (part: AttachmentStream | MessageText) => {
      if (part.type !== 'attachment') return;
      const chunks: Buffer[] = [];
      const content = part.content;
      content.on('data', (chunk: Buffer) => chunks.push(chunk));
      content.on('error', reject);
      content.on('end', () => {
        const named = /\.txt$/i.test(part.filename || '') && part.contentType === 'application/octet-stream';
        const type = named ? 'text/plain' : part.contentType || 'text/plain';
        const attached = part.contentDisposition === 'attachment' || named;
        const charset = charsetOf(part.headers.get('content-type'));
        parts.push({ type, textType: textTypeOf(type), attached, charset, bytes: Buffer.concat(chunks) });
        part.release();
      });
    });
    parser.on('error', reject);
    parser.on('end', () => resolve(parts));
    parser.write(Buffer.from(head, 'latin1'));
    parser.end(body);
  });
}

function charsetOf(type: unknown): string | undefined {
  if (typeof type !== 'object' || type === null || !('params' in type)) return undefined;
  const { params } = type;
  if (typeof params !== 'object' || params === null || !('charset' in params)) return undefined;
  return typeof params.charset === 'string' ? params.charset : undefined;
}

/**
 * A header of the MIME fields alone: what stands in the others is nothing to a parser, and can only slow it down. Parts without a
 * boundary, or with one under a type that has no parts, are parts all the same.
 */
function mimeHead(fields: Fields, body: Buffer): string {
  const lines = [...fields]
    .filter(([name]) => mimeField.test(name))
    .flatMap(([name, values]) =>
      values.map((value) => `${name}: ${name === 'content-type' ? withBoundary(value, body) : value}\r\n`),
    );
  return `${lines.join('')}\r\n`;
}

function withBoundary(type: string, body: Buffer): string {
  const given = /;\s*boundary\s*=\s*("[^"]{1,200}"|[^\s;"]{1,200})/i.exec(type)?.[1];
  const isMultipart = /^multipart\//i.test(type);
  if (given !== undefined) return isMultipart ? type : `multipart/mixed; boundary=${given}`;
  if (!isMultipart) return type;
  const [, first] = /^--([^\s-][^\r\n]{0,200}?)[ \t]{0,200}\r?$/m.exec(body.toString('latin1')) ?? [];
  return first === undefined || first.includes('"') ? 'text/plain' : `multipart/mixed; boundary="${first}"`;
}

/** Blanks behind a boundary are none of it (RFC 2046 section 5.1.1); the parser takes them for a part of it. */
function withCleanBoundaries(body: Buffer): Buffer {
  const text = body.toString('latin1');
  if (!/^--\S[^\r\n]{0,200}[ \t]\r?$/m.test(text)) return body;
  const lines = text.split('\n').map((line) => (/^--\S/.test(line) ? `${line.trimEnd()}\r` : line));
  return Buffer.from(lines.join('\n'), 'latin1');
}

/** S/MIME: a mail inside its own signature (RFC 8551 section 3.5.2). */
const signed = /^application\/(?:x-)?pkcs7-mime$/;
/** The object identifier of signed data's content type `data` (RFC 5652 section 4), and the tag of what it holds. */
const dataType = Buffer.from('06092a864886f70d010701', 'hex');

/** The content of opaque signed data: the pieces of the first octet string behind its type (X.690 section 8.7). */
function signedContent(bytes: Buffer): Buffer | undefined {
  const type = bytes.indexOf(dataType);
  if (type < 0) return undefined;
  const pieces: Buffer[] = [];
  let at = type + dataType.length;
  while (at + 2 <= bytes.length) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0;
    const long = first > 0x80 ? first - 0x80 : 0;
    if (long > 4) break;
    at += 2;
    const length = long > 0 ? bytes.readUIntBE(Math.min(at, bytes.length - long), long) : first;
    at += long;
    // Both are opened: the wrapper of the content, and a string that comes in pieces.
    if (tag === 0xa0 || tag === 0x24) continue;
    if (tag !== 0x04) break;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
    // A string that is whole is all there is; behind pieces follows another one, or the end.
    if (bytes[at] !== 0x04) break;
  }
  return pieces.length === 0 ? undefined : Buffer.concat(pieces);
}

const say = (answer: readonly string[] | 'ready' | null): void => parentPort?.postMessage(answer, []);

parentPort?.on('message', (bytes: Uint8Array) => {
  const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  linesOfMail(piece).then(
    (lines) => say(lines),
    () => say(null),
  );
});
say('ready');
