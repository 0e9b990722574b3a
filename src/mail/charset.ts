// Bytes of a mail as text. Takes bytes and the name of a charset as a mail declares it, gives a string. Never throws: what
// is declared wrongly, not at all, or by a name nobody knows is taken for UTF-8 where it is valid UTF-8, line by line, and
// for windows-1252 elsewhere: a superset of ISO-8859-1 that gives a printable character for nearly every byte, and what
// programs that declare nothing mostly write. Owns the decoders it has made.

import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** 0x80 to 0x9f in windows-1252 (WHATWG Encoding). Node 20 decodes them as control characters. */
const windows1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

const decoders = new Map<string, TextDecoder>();

/** Text in the charset that is declared, or in the one that it is in. Without a byte order mark. */
export function decodeText(bytes: Buffer, charset = ''): string {
  if (bytes.length === 0) return '';
  const label = labelOf(charset);
  if (label === 'utf-16' || (bytes.length > 1 && mayBeAnything.has(label))) {
    const mark = bytes.readUInt16BE(0);
    if (mark === 0xfeff) return decodeAs('utf-16be', bytes);
    if (mark === 0xfffe) return decodeAs('utf-16le', bytes);
  }
  return mayBeAnything.has(label) ? guess(bytes) : decodeAs(label, bytes);
}

/** What is declared by habit. */
const mayBeAnything = new Set(['', 'utf-8', 'ascii', 'us-ascii', '7bit', '8bit', 'unknown-8bit', 'x-unknown']);

/** The spellings that are met in mails, as the Encoding standard has them. */
function labelOf(charset: string): string {
  return charset
    .slice(0, 60)
    .toLowerCase()
    .replace(/["'\s]/g, '')
    .replace(/\*.*$/, '')
    .replace(/^utf[-_]?(\d+)/, 'utf-$1')
    .replace(/^(?:windows|win|cp|x-cp)[-_]?(125\d)$/, 'windows-$1')
    .replace(/^(?:iso)?[-_]?8859[-_](\d+)/, 'iso-8859-$1')
    .replace(/^latin[-_]?9$/, 'iso-8859-15')
    .replace(/^latin[-_](\d+)$/, 'latin$1');
}

function decodeAs(label: string, bytes: Buffer): string {
  const decoder = decoderOf(label);
  if (!decoder) return guess(bytes);
  return decoder.encoding === 'windows-1252' ? fromWindows1252(bytes) : decoder.decode(bytes);
}

function decoderOf(label: string): TextDecoder | undefined {
  const known = decoders.get(label);
  if (known) return known;
  try {
    const decoder = new TextDecoder(label);
    decoders.set(label, decoder);
    return decoder;
  } catch {
    return undefined;
  }
}

function guess(bytes: Buffer): string {
  if (isUtf8(bytes)) return withoutMark(bytes.toString('utf8'));
  // A form in UTF-8 above a signature in another charset stays readable, and so does a piece that was cut in a character.
  const lines = bytes.toString('latin1').split('\n');
  return withoutMark(
    lines
      .map((line) => {
        const own = Buffer.from(line, 'latin1');
        return isUtf8(own) ? own.toString('utf8') : fromWindows1252(own);
      })
      .join('\n'),
  );
}

function fromWindows1252(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/[\x80-\x9f]/g, (control) => windows1252[control.charCodeAt(0) - 0x80] ?? control);
}

function withoutMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}
