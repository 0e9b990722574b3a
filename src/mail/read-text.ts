// Reads what people see of a mail: subject and text, decoded. Takes a bounded piece and a parser for the mails that need
// one, gives both, or undefined when nothing can be made of it. A mail of one part, text or HTML, is read here, in one pass
// and in microseconds; only the others go to the parser. Rejects only when the parser does.

import { decodeText } from './charset.ts';
import { htmlCharset, htmlToLines } from './html-text.ts';
import { bodyOf, type Fields, fieldsOf } from './header-fields.ts';
import { decodeBody, decodeWords } from './transfer-encoding.ts';

/** What can be read of a mail. Lines come as they are: not cleaned, not trimmed. */
export interface Readable {
  readonly subject: string;
  readonly lines: readonly string[];
}

/** Text lines of a mail of several parts, or undefined when there are none to be had. */
export type Parse = (piece: Buffer) => Promise<readonly string[] | undefined>;

/** Lines of a mail beyond this are not read. */
export const linesMax = 5_000;
const lineLengthMax = 1_000;

/** Subject and text lines of a mail, or undefined when it cannot be read. */
export async function readMail(piece: Buffer, parse: Parse, fields = fieldsOf(piece)): Promise<Readable | undefined> {
  const lines = readOnePart(piece, fields) ?? (await parse(piece));
  if (!lines) return undefined;
  return { subject: decodeWords(fields.get('subject')?.findLast((value) => value !== '') ?? ''), lines };
}

/** `text/plain; charset="utf-8"`: a type and parameters without comments, escapes and RFC 2231's extensions. */
const simpleType = /^(text\/(?:plain|html))((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"\\]*"|[^\s";()\\]+))*)\s*;?$/i;
const simpleEncoding = /^[\w-]*$/;

/** The lines of a mail that has one part, or undefined when there is any doubt about that. */
function readOnePart(piece: Buffer, fields: Fields): string[] | undefined {
  const types = fields.get('content-type') ?? [];
  const encodings = fields.get('content-transfer-encoding') ?? [];
  // A file name can say what the type does not.
  if (types.length > 1 || encodings.length > 1 || (types.length === 0 && fields.has('content-disposition')))
    return undefined;
  const [, type, parameters = ''] = simpleType.exec(types[0] ?? 'text/plain') ?? [];
  const encoding = (encodings[0] ?? '').toLowerCase();
  if (type === undefined || !simpleEncoding.test(encoding)) return undefined;
  const charset = /;\s*charset\s*=\s*"?([^";]*)/i.exec(parameters)?.[1];
  return linesOf(type.toLowerCase(), decodeBody(bodyOf(piece), encoding), charset);
}

/** Bounded lines of one text or HTML part. */
export function linesOf(type: string, bytes: Buffer, charset: string | undefined): string[] {
  const isHtml = type === 'text/html';
  const text = decodeText(bytes, charset ?? (isHtml ? htmlCharset(bytes) : undefined));
  const lines = isHtml ? htmlToLines(text) : text.split(/\r?\n/, linesMax);
  return lines.slice(0, linesMax).map((line) => line.slice(0, lineLengthMax));
}
