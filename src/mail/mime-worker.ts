// The parser for mails of several parts, in a thread of its own because it may be slow, and can then be ended
// (mime-parser.ts). Takes the bytes of a piece as a message, answers with text lines, or null when it cannot. The parser
// only takes the parts apart: charsets and HTML are read by our own hands, the same as in a mail of one part.

import { parentPort } from 'node:worker_threads';
import { type AttachmentStream, MailParser, type MessageText } from 'mailparser';
import { bodyOf, type Fields, fieldsOf } from './header-fields.ts';
import { linesMax, linesOf, readMail } from './read-text.ts';

/** The part of a header that says how a body is to be read. */
const mimeField = /^content-/;
/** Mails in mails are opened so deep. */
const depthMax = 3;

interface Part {
  readonly type: string;
  readonly attached: boolean;
  readonly charset: string | undefined;
  readonly bytes: Buffer;
}

const saysAnything = (lines: readonly string[]): boolean => lines.some((line) => line.trim() !== '');

/** Text before HTML, what is shown before what is attached: the first of these that says anything is what a mail says. */
function linesIn(parts: readonly Part[]): readonly string[] {
  for (const attached of [false, true]) {
    for (const type of ['text/plain', 'text/html']) {
      const chosen = parts.filter((part) => part.type === type && part.attached === attached);
      const lines = chosen.flatMap((part) => linesOf(type, part.bytes, part.charset)).slice(0, linesMax);
      if (saysAnything(lines)) return lines;
    }
  }
  return [''];
}

/** What a mail says, and if it says nothing itself, what a mail inside it says. */
async function linesOfMail(piece: Buffer, depth = 0): Promise<readonly string[]> {
  const parts = await partsOf(mimeHead(fieldsOf(piece)), bodyOf(piece));
  const lines = linesIn(parts);
  if (saysAnything(lines) || depth === depthMax) return lines;
  for (const { bytes } of parts.filter(({ type }) => type === 'message/rfc822')) {
    const inside = await readMail(bytes, (inner) => linesOfMail(inner, depth + 1));
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
        const attached = part.contentDisposition === 'attachment';
        const charset = charsetOf(part.headers.get('content-type'));
        parts.push({ type: part.contentType, attached, charset, bytes: Buffer.concat(chunks) });
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

/** A header of the MIME fields alone: what stands in the others is nothing to a parser, and can only slow it down. */
function mimeHead(fields: Fields): string {
  const lines = [...fields]
    .filter(([name]) => mimeField.test(name))
    .flatMap(([name, values]) => values.map((value) => `${name}: ${value}\r\n`));
  return `${lines.join('')}\r\n`;
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
