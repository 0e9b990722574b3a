// Reads what people see of a mail: subject and text, decoded. Takes a bounded piece and a parser for the mails that need
// one, gives both, or undefined when nothing can be made of it. A mail of one part, text or HTML, is read here, in one pass
// and in microseconds; only the others go to the parser. Rejects only when the parser does.

import { decodeText } from './charset.ts';
import { sheetsOf } from './forms/form-lines.ts';
import { formOf } from './forms/forms.ts';
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
export const linesMax = 20_000;
const lineLengthMax = 1_000;

/** Subject and text lines of a mail, or undefined when it cannot be read. */
export async function readMail(piece: Buffer, parse: Parse, fields = fieldsOf(piece)): Promise<Readable | undefined> {
  const body = readOnePart(piece, fields) ?? (await parse(piece));
  if (!body) return undefined;
  const lines = [...headerForm(piece, fields, body), ...body];
  return { subject: decodeWords(fields.get('subject')?.findLast((value) => value !== '') ?? ''), lines };
}

/** Whether these lines are in one of our forms. */
export function isForm(lines: readonly string[]): boolean {
  return formOf(sheetsOf(lines).own) !== undefined;
}

/** The lines of a form that a program sent without any header, so that its own lines stand where a header should. */
function headerForm(piece: Buffer, fields: Fields, body: readonly string[]): readonly string[] {
  let strange = 0;
  for (const name of fields.keys()) if (!usualFields.has(name) && !usualPrefix.test(name)) strange++;
  // Below what a relay adds stand two fields at least that no mail has; most mails have none.
  if (strange === 0 || (strange < fields.size && (strange < 2 || isForm(body)))) return [];
  const text = decodeText(piece.subarray(0, piece.length - bodyOf(piece).length));
  const lines = text.split(/\r?\n/, linesMax).map((line) => line.slice(0, lineLengthMax));
  return isForm([...lines, ...body]) ? lines : [];
}

/** Fields that mails have (RFC 5322, MIME, and what servers and programs add). */
const usualFields = new Set(
  (
    'received date from sender reply-to to cc bcc message-id in-reply-to references subject comments keywords mime-version ' +
    'content-type content-transfer-encoding content-disposition content-language return-path delivered-to dkim-signature ' +
    'importance priority precedence sensitivity organization errors-to user-agent autocrypt openpgp status lines'
  ).split(' '),
);
const usualPrefix =
  /^(?:x|resent|list|arc|content|dkim|domainkey|authentication|received|envelope|original|mime|thread|auto|disposition|feedback|seawall)-/;

/** `text/plain; charset="utf-8"`: a type and parameters without comments, escapes and RFC 2231's extensions. */
const simpleType = /^([\w.+-]*(?:\/[\w.+-]*)?)((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"\\]*"|[^\s";()\\]+))*)\s*;?$/i;
const simpleEncoding = /^[\w-]*$/;

/** The lines of a mail that has one part, or undefined when there is any doubt about that. */
function readOnePart(piece: Buffer, fields: Fields): string[] | undefined {
  const types = fields.get('content-type') ?? [];
  const encodings = fields.get('content-transfer-encoding') ?? [];
  // A file name can say what the type does not.
  if (types.length > 1 || encodings.length > 1 || (types.length === 0 && fields.has('content-disposition')))
    return undefined;
  const [, given = '', parameters = ''] = simpleType.exec(types[0] ?? 'text/plain') ?? [];
  const hasParts = given === '' || /;\s*boundary\s*=/i.test(parameters);
  const encoding = (encodings[0] ?? '').toLowerCase();
  if (hasParts || !textTypeOf(given) || !simpleEncoding.test(encoding)) return undefined;
  const charset = /;\s*charset\s*=\s*"?([^";]*)/i.exec(parameters)?.[1];
  return linesOf(given, decodeBody(bodyOf(piece), encoding), charset);
}

/**
 * What a part of that media type is read as: `text/html`, `text/plain`, or undefined when it is no text. Text that nobody knows is plain
 * text (RFC 2046 section 4.1.4), and so is a type that is none (RFC 2045 section 5.2).
 */
export function textTypeOf(given: string): 'text/plain' | 'text/html' | undefined {
  const type = given.toLowerCase();
  if (type === 'text/html' || type === 'application/xhtml+xml') return 'text/html';
  return !type.includes('/') || type.startsWith('text/') || type === 'plain/text' || type === 'application/pgp'
    ? 'text/plain'
    : undefined;
}

/** Bounded lines of one part that `textTypeOf` takes for text. */
export function linesOf(type: string, bytes: Buffer, charset: string | undefined): string[] {
  const isHtml = textTypeOf(type) === 'text/html';
  const text = decodeText(bytes, charset ?? (isHtml ? htmlCharset(bytes) : undefined));
  const lines = isHtml ? htmlToLines(text) : textLines(plainOf(type, text));
  return lines.slice(0, linesMax).map((line) => line.slice(0, lineLengthMax));
}

/** Lines that end in CR LF, LF or, as on old Macintoshes, CR. */
function textLines(text: string): string[] {
  return text.split(/\r(?!\n)/.test(text) ? /\r\n?|\n/ : /\r?\n/, linesMax);
}

/** Enriched text without its commands (RFC 1896). */
function plainOf(type: string, text: string): string {
  return /^text\/(?:enriched|richtext)$/i.test(type)
    ? text.replace(/<\/?[a-z0-9-]{1,60}>/gi, '').replaceAll('<<', '<')
    : text;
}
