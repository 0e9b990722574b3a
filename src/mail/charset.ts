// Bytes of a mail as text. Takes bytes and the name of a charset as a mail declares it, gives a string. Never throws. What is declared
// wrongly or not at all is taken for UTF-8 where it is valid UTF-8, line by line, and for windows-1252 elsewhere: a superset of
// ISO-8859-1 that gives a printable character for nearly every byte, and what programs that declare nothing mostly write. In a
// charset that nobody knows only ASCII is read, the rest is U+FFFD: a guess could make another name of a name.

import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import iconv from 'iconv-lite';

/** Text in the charset that is declared, or in the one that it is in. Without a byte order mark. */
export function decodeText(bytes: Buffer, charset = ''): string {
  if (bytes.length === 0) return '';
  const label = labelOf(charset);
  const isOpen = mayBeAnything.has(label);
  if (label === 'utf-16' || (bytes.length > 1 && isOpen)) {
    const mark = bytes.readUInt16BE(0);
    if (mark === 0xfeff) return iconv.decode(bytes, 'utf-16be');
    if (mark === 0xfffe) return iconv.decode(bytes, 'utf-16le');
  }
  return isOpen ? guess(bytes) : decodeAs(label, bytes);
}

/** Whether characters may depend on what stands before them: such words are decoded each by itself. */
export function isStateful(charset: string): boolean {
  return /^(?:iso-2022|hz|utf-?7)/i.test(charset);
}

/** What is declared by habit. */
const mayBeAnything = new Set(['', 'utf-8', 'ascii', 'us-ascii', '7bit', '8bit', 'unknown-8bit', 'x-unknown']);
/** Names of iconv-lite's that are no charsets. */
const noCharset = /^(?:base64|hex|binary|ucs2|utf7imap|internal|_.*)$/;

/** The spellings that are met in mails, as iconv-lite has them. */
function labelOf(charset: string): string {
  if (mayBeAnything.has(charset)) return charset;
  return charset
    .slice(0, 60)
    .toLowerCase()
    .replace(/["'\s]/g, '')
    .replace(/\*.*$/, '')

    .replace(/^utf[-_]?(\d+)/, 'utf-$1')
    .replace(/^(?:iso)?[-_]?8859[-_](\d+)(?:-[ei])?$/, 'iso-8859-$1')
    .replace(/^ks_c_5601-\d+$|^ks_c_5601$/, 'cp949');
}

function decodeAs(label: string, bytes: Buffer): string {
  if (label.startsWith('iso-2022-jp')) return new TextDecoder('iso-2022-jp').decode(bytes);
  if (label === 'iso-2022-kr')
    return shifted(bytes.toString('latin1').replaceAll('\x1b$)C', ''), '\x0e', '\x0f', 'euc-kr');
  if (label === 'hz' || label === 'hz-gb-2312') return shifted(bytes.toString('latin1'), '~{', '~}', 'gb2312');
  // What calls itself ISO-8859-1 is read as windows-1252 everywhere (WHATWG Encoding).
  if (label === 'iso-8859-1' || label === 'latin1' || label === 'l1') return iconv.decode(bytes, 'windows-1252');
  if (!noCharset.test(label) && iconv.encodingExists(label)) return iconv.decode(bytes, label);
  return bytes.toString('latin1').replace(/[\x80-\xff]/g, '\ufffd');
}

/** A charset of seven bits that shifts between ASCII and characters of two bytes (RFC 1557, RFC 1843); iconv-lite has none of them. */
function shifted(text: string, into: string, back: string, base: string): string {
  const [plain = '', ...stretches] = text.split(into);
  const decoded = stretches.map((stretch) => {
    const line = stretch.indexOf('\n');
    const end = stretch.indexOf(back);
    const until = Math.min(...[line, end, stretch.length].filter((each) => each >= 0));
    const high = Buffer.from(stretch.slice(0, until), 'latin1').map((byte) => byte | 0x80);
    return iconv.decode(Buffer.from(high), base) + stretch.slice(until === end ? end + back.length : until);
  });
  return plain + decoded.join('');
}

function guess(bytes: Buffer): string {
  // Seven bits with the escapes of Japanese mail are nothing else.
  if (bytes.includes('\x1b$B') || bytes.includes('\x1b$@')) return decodeAs('iso-2022-jp', bytes);
  if (isUtf8(bytes)) return withoutMark(bytes.toString('utf8'));
  // A form in UTF-8 above a signature in another charset stays readable, and so does a piece that was cut in a character.
  const lines = bytes.toString('latin1').split('\n');
  return withoutMark(
    lines
      .map((line) => {
        const own = Buffer.from(line, 'latin1');
        return isUtf8(own) ? own.toString('utf8') : iconv.decode(own, 'windows-1252');
      })
      .join('\n'),
  );
}

function withoutMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}
