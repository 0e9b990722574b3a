// The text of an HTML mail, well enough to find a form in it: tags become line ends or nothing, entities their
// characters. Takes a bounded string, gives lines; one pass, no nesting, so nothing a mail contains makes it slow.
// Not for showing: whoever shows the lines escapes them.

import { decodeText } from './charset.ts';

const htmlMax = 262_144;
/** How far into a part its charset is looked for, in bytes. */
const metaMax = 4_096;

/** The named characters of ISO 8859-1, from 160 on (HTML 4 section 24.2). */
const latin1 =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para ' +
  'middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave ' +
  'Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc ' +
  'Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc ' +
  'iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml';

const named = new Map([
  ...latin1.split(' ').map((name, index) => [name, String.fromCharCode(160 + index)] as const),
  ...Object.entries({
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    nbsp: ' ',
    OElig: 'Œ',
    oelig: 'œ',
    Scaron: 'Š',
  }),
  ...Object.entries({ scaron: 'š', Yuml: 'Ÿ', euro: '€', ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', ldquo: '“' }),
  ...Object.entries({ rdquo: '”', hellip: '…', bull: '•', zwj: '\u200d', zwnj: '\u200c' }),
]);

const blocks = new Set(
  (
    'br p div li tr ul ol dl dt dd hr table pre form center section article header footer blockquote ' +
    'h1 h2 h3 h4 h5 h6'
  ).split(' '),
);
const hidden = new Set(['script', 'style', 'head', 'title']);

/** The charset that an HTML part declares inside, if it does. */
export function htmlCharset(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, metaMax);
  return /<meta\b[^>]{0,200}?\bcharset\s*=\s*["']?([\w.:-]{1,40})/i.exec(start)?.[1];
}

/** The lines that a reader would see, roughly. */
export function htmlToLines(html: string): string[] {
  const source = html.slice(0, htmlMax);
  const lower = source.toLowerCase();
  const parts: string[] = [];
  let position = 0;
  let preformatted = false;
  while (position < source.length) {
    const open = source.indexOf('<', position);
    const text = source.slice(position, open < 0 ? undefined : open);
    parts.push(preformatted ? text : text.replace(/\s+/g, ' '));
    if (open < 0) break;
    const ending = source.startsWith('<!--', open) ? '-->' : '>';
    const close = source.indexOf(ending, open);
    if (close < 0) break;
    position = close + ending.length;
    const [, slash = '', name = ''] = /^(\/?)\s*([a-z][a-z0-9]*)/i.exec(source.slice(open + 1, open + 24)) ?? [];
    const tag = name.toLowerCase();
    if (tag === 'pre') preformatted = slash === '';
    if (blocks.has(tag)) parts.push('\n');
    else if ((tag === 'td' || tag === 'th') && slash === '' && !parts.at(-1)?.endsWith(' ')) parts.push(' ');
    else if (slash === '' && hidden.has(tag)) {
      const end = lower.indexOf(`</${tag}`, position);
      if (end < 0) break;
      position = end;
    }
  }
  return parts
    .join('')
    .split('\n')
    .map((line) => decodeEntities(line).trim());
}

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z][a-z0-9]{1,7}));/gi, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return named.get(name) ?? named.get(name.toLowerCase()) ?? whole;
    const point = typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal);
    // 128 to 159 are written for windows-1252, and every browser reads them so.
    if (point >= 0x80 && point < 0xa0) return decodeText(Buffer.from([point]), 'windows-1252');
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
