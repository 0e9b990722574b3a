// The text of an HTML mail, well enough to find a form in it: tags become line ends or nothing, entities their
// characters. Takes a bounded string, gives lines; one pass, no nesting, so nothing a mail contains makes it slow.
// Not for showing: whoever shows the lines escapes them.

const htmlMax = 262_144;
const named: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  agrave: 'à',
  aacute: 'á',
  acirc: 'â',
  auml: 'ä',
  aring: 'å',
  aelig: 'æ',
  ccedil: 'ç',
  egrave: 'è',
  eacute: 'é',
  ecirc: 'ê',
  euml: 'ë',
  icirc: 'î',
  iuml: 'ï',
  ntilde: 'ñ',
  ocirc: 'ô',
  ouml: 'ö',
  oslash: 'ø',
  oelig: 'œ',
  szlig: 'ß',
  ugrave: 'ù',
  uacute: 'ú',
  ucirc: 'û',
  uuml: 'ü',
};

const blocks = new Set(['br', 'p', 'div', 'li', 'tr', 'ul', 'ol', 'table', 'pre', 'h1', 'h2', 'h3', 'blockquote']);
const hidden = new Set(['script', 'style', 'head', 'title']);

/** The lines that a reader would see, roughly. */
export function htmlToLines(html: string): string[] {
  const source = html.slice(0, htmlMax);
  const lower = source.toLowerCase();
  const parts: string[] = [];
  let position = 0;
  while (position < source.length) {
    const open = source.indexOf('<', position);
    parts.push(source.slice(position, open < 0 ? undefined : open).replace(/\s+/g, ' '));
    if (open < 0) break;
    const close = source.indexOf('>', open);
    if (close < 0) break;
    position = close + 1;
    const [, slash = '', name = ''] = /^(\/?)\s*([a-z][a-z0-9]*)/i.exec(source.slice(open + 1, open + 24)) ?? [];
    const tag = name.toLowerCase();
    if (blocks.has(tag)) parts.push('\n');
    else if (tag === 'td' || tag === 'th') parts.push(' ');
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
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));/gi, (whole, decimal, hex, name) => {
    if (typeof name === 'string') {
      const found = Object.hasOwn(named, name) ? named[name] : named[name.toLowerCase()];
      return typeof found === 'string' ? found : whole;
    }
    const point = typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal);
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
