// The encodings that mails travel in: base64 and quoted-printable (RFC 2045 section 6), encoded words (RFC 2047). Takes what
// stands in the mail, gives bytes or text. Lenient as mail programs are, never throws, one pass over any input. Pure.

import { decodeText, isStateful } from './charset.ts';

/** The bytes of a body. An encoding that is not known is none. */
export function decodeBody(body: Buffer, encoding: string): Buffer {
  if (encoding === 'base64') return fromBase64(body.toString('latin1'));
  if (encoding === 'quoted-printable') return fromQuotedPrintable(body.toString('latin1'));
  return body;
}

/** Every run of `=` ends a stretch of its own: some programs pad each line. Characters outside the alphabet are skipped. */
function fromBase64(text: string): Buffer {
  return Buffer.concat(text.split(/=+/).map((stretch) => Buffer.from(stretch, 'base64')));
}

function fromQuotedPrintable(text: string): Buffer {
  const plain = text
    // Blanks at the end of a line were added on the way. A run is matched from its beginning only, or it would be quadratic.
    .replace(/(^|[^ \t])[ \t]+(?=\r?\n|$)/g, '$1')
    .replace(/=(?:\r?\n|$)/g, '');
  return fromHex(plain);
}

/** `=E9` as the byte that it stands for; any other character as its lowest eight bits. */
function fromHex(text: string): Buffer {
  const bytes = text.replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}

const encodedWord = /=\?([\w.:*-]{1,60})\?([bq])\?([^?]*)\?=/gi;

/**
 * A header field's value as text: encoded words, and 8-bit text that was not encoded at all.
 * @param value one character a byte, as header-fields.ts gives it
 */
export function decodeWords(value: string): string {
  const text = /[\x80-\xff]/.test(value) ? decodeText(Buffer.from(value, 'latin1')) : value;
  if (!text.includes('=?')) return text;
  let decoded = '';
  let end = 0;
  // Neighbours in one charset are joined before they are decoded: a character may be cut in two.
  let words: Buffer[] = [];
  let charset = '';
  const flush = (): void => {
    if (words.length > 0) decoded += decodeText(Buffer.concat(words), charset);
    words = [];
  };
  for (const match of text.matchAll(encodedWord)) {
    const [whole, label = '', encoding = '', content = ''] = match;
    const between = text.slice(end, match.index);
    if (words.length === 0 || between.trim() !== '') {
      flush();
      decoded += between;
    } else if (label.toLowerCase() !== charset || isStateful(label)) flush();
    charset = label.toLowerCase();
    words.push(encoding.toLowerCase() === 'b' ? fromBase64(content) : fromWord(content));
    end = match.index + whole.length;
  }
  flush();
  return decoded + text.slice(end);
}

/** The Q encoding. What should have been encoded and was not is taken as UTF-8. */
function fromWord(content: string): Buffer {
  return fromHex(Buffer.from(content.replaceAll('_', ' ')).toString('latin1'));
}
