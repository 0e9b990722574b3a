// Mails that were made to hurt whoever reads them: fixtures with bytes changed, random MIME trees, one thing repeated until
// the piece is full. The same for the same seed.

import { Random } from './sim/random.ts';

const lines = (...all: string[]): string => all.join('\r\n');
const html = 'Content-Type: text/html\r\n\r\n';
const mixed = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n';

/** What comes first, what is repeated, what comes last. The first ones made some mail parser slow or hang. */
const bombs: readonly (readonly [name: string, start: string, unit: string, end?: string])[] = [
  ['text that flows (mailparser 389)', 'Content-Type: text/plain; charset=UTF-8;\r\n format=flowed\r\n\r\n', 'word '],
  ['flowing lines (mailparser 389)', `${mixed}--b\r\nContent-Type: text/plain; format=flowed\r\n\r\n`, 'a word \r\n'],
  ['an attachment without an end (mailparser 224)', `${mixed}--b\r\nContent-Type: application/pdf\r\n\r\n`, 'JVBE\r\n'],
  [
    'a mail of a header alone (mailparser 190)',
    `${mixed}--b\r\nContent-Type: message/rfc822\r\n\r\n`,
    'X: y\r\n',
    '--b--',
  ],
  [
    'mails that are cut off (mailparser 263)',
    mixed,
    '--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n',
    '--b',
  ],
  ['one line of words (mailparser 262)', mixed + '--b\r\n\r\n', 'xn--a.xn--b.'],
  ['comments', 'Content-Transfer-Encoding: ', '('],
  ['comments in a part', `${mixed}--b\r\nContent-Transfer-Encoding: `, '('],
  ['parameters', 'Content-Type: text/plain', '; charset=utf-8'],
  ['parameters without a value', 'Content-Type: text/plain', ';a'],
  ['parameters in pieces', 'Content-Type: multipart/mixed', ';boundary*0*=%41'],
  ['blanks in a type', 'Content-Type: text/plain', ' '],
  ['quotes', 'Content-Type: text/plain; charset="', '\\"'],
  ['header lines', '', 'X: y\r\n'],
  ['a folded header', 'Subject: a', '\r\n b'],
  ['a header without a colon', '', 'a'],
  ['colons', '', ':\r\n'],
  ['encoded words', 'Subject: ', '=?utf-8?Q?=C3=A9?= '],
  ['encoded words without an end', 'Subject: ', '=?utf-8?Q?'],
  ['encoded words in other charsets', 'Subject: ', '=?koi8-r?B?wcE=?= =?big5?q?=A4?='],
  ['beginnings of encoded words', 'Subject: ', '=?'],
  ['question marks', 'Subject: =?utf-8?q?', '?'],
  ['recipients', `${mixed}--b\r\nTo: `, 'a@b,', '\r\n\r\nx'],
  ['groups of recipients', `${mixed}--b\r\nTo: `, 'a:', '\r\n\r\nx'],
  ['references', `${mixed}--b\r\nReferences: `, '<a@', '\r\n\r\nx'],
  ['parts', mixed, '--b\r\n\r\nx\r\n'],
  ['parts without a body', mixed, '--b\r\n'],
  ['ends', mixed, '--b--\r\n'],
  ['nothing but dashes', mixed, '--'],
  ['a boundary', 'Content-Type: multipart/mixed; boundary="', 'b', '"\r\n\r\n--b\r\n\r\nx'],
  ['no boundary', 'Content-Type: multipart/mixed; boundary=""\r\n\r\n', '--\r\n\r\nx\r\n'],
  ['mails in mails', '', 'Content-Type: message/rfc822\r\n\r\n', 'Subject: x\r\n\r\nx'],
  ['one boundary for all levels', '', 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n', '\r\nx'],
  ['base64', 'Content-Transfer-Encoding: base64\r\n\r\n', '='],
  ['base64 padded a letter', 'Content-Transfer-Encoding: base64\r\n\r\n', 'YQ=='],
  ['no base64', 'Content-Transfer-Encoding: base64\r\n\r\n', '\x00\xff!'],
  ['quoted-printable', 'Content-Transfer-Encoding: quoted-printable\r\n\r\n', '='],
  ['blanks in quoted-printable', 'Content-Transfer-Encoding: quoted-printable\r\n\r\n', ' \t', 'x'],
  ['empty lines', '\r\n', '\r\n'],
  ['one line', '\r\n', 'x'],
  ['NULs', '\r\n', '\x00'],
  ['halves of surrogates', 'Content-Type: text/plain; charset=utf-8\r\n\r\n', '\xed\xa0\x80'],
  ['bad UTF-8 on every line', '\r\n', '\xff\xc3\xa9\r\n'],
  ['escapes', 'Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n', '\x1b$B$'],
  ['UTF-16 of one byte', 'Content-Type: text/plain; charset=utf-16\r\n\r\n', '\xd8'],
  ['GB18030', 'Content-Type: text/plain; charset=gb18030\r\n\r\n', '\x81\x30'],
  ['tags that never end', html, '<'],
  ['tags in tags', html, '<a '],
  ['elements', html, '<div><table><tr><td>'],
  ['styles', html, '<style>'],
  ['comments in HTML', html, '<!--'],
  ['comments that end', html, '<!---->'],
  ['ends of comments', html, '<!--', '-->'],
  ['entities', html, '&eacute;&#xD800;&#1114111;'],
  ['beginnings of entities', html, '&'],
  ['digits of an entity', `${html}&#`, '0'],
  ['declarations of a charset', html, '<meta charset='],
  ['blanks in HTML', html, ' ', '<'],
  ['preformatted text', html, '<pre>\r\n'],
];

/** Each bomb, grown to `bytes`. */
export function bombsOf(bytes: number): readonly { readonly name: string; readonly mail: Buffer }[] {
  return bombs.map(([name, start, unit, end = '']) => {
    const count = Math.floor((bytes - start.length - end.length) / unit.length);
    return { name, mail: Buffer.from(start + unit.repeat(count) + end, 'latin1') };
  });
}

const types = [
  'text/plain',
  'text/html',
  'message/rfc822',
  'text/plain; charset=iso-2022-jp',
  'application/octet-stream; name=a.txt',
  'text/',
  '',
];
const encodings = ['base64', 'quoted-printable', '8bit', 'x-uuencode', 'base64 (no)', ''];

/** A MIME tree with whatever can be wrong with one. */
function tree(random: Random, depth: number): string {
  const head = [`Subject: ${random.pick(['x', '=?utf-8?B?////?=', '=?x?Q?=00?=', '\xe9'])}`];
  if (random.chance(0.5)) head.push(`Content-Transfer-Encoding: ${random.pick(encodings)}`);
  if (random.chance(0.2)) head.push(`Content-Disposition: ${random.pick(['attachment', 'inline; filename*=x', ';;'])}`);
  if (depth === 0 || random.chance(0.3)) {
    head.push(`Content-Type: ${random.pick(types)}`);
    return lines(...head, '', random.chance(0.5) ? '2a..: a.fr' : random.bytes(random.below(200)).toString('latin1'));
  }
  const boundary = random.pick(['b', 'bb', 'b--', '', '.*', 'b b', `b${depth}`]);
  head.push(`Content-Type: multipart/${random.pick(['mixed', 'alternative', 'related', ''])}; boundary="${boundary}"`);
  const parts = Array.from({ length: random.below(4) }, () => `--${boundary}\r\n${tree(random, depth - 1)}\r\n`);
  return lines(...head, '', parts.join('') + random.pick([`--${boundary}--`, `--${boundary}`, '', '--']));
}

/** A mail with some bytes changed, cut out, repeated, or taken from another mail. */
function mutate(random: Random, mail: Buffer, other: Buffer): Buffer {
  let bytes = Buffer.from(mail);
  for (let count = random.between(1, 8); count > 0; count--) {
    const from = random.below(bytes.length + 1);
    const to = Math.min(bytes.length, from + random.below(60));
    const stolen = other.subarray(random.below(other.length)).subarray(0, random.below(300));
    const middle = random.pick([
      random.bytes(to - from),
      Buffer.alloc(0),
      Buffer.concat(Array<Buffer>(random.between(1, 40)).fill(bytes.subarray(from, to))),
      stolen,
      Buffer.from(
        random.pick(['\r\n\r\n', '=?', '\0', '"', '--', ';', '\r\nContent-Type: text/html\r\n', '\xed\xa0\x80']),
        'latin1',
      ),
    ]);
    bytes = Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)]);
  }
  return bytes;
}

/** One hostile mail, of at most about 64 KB. */
export function hostileMail(seed: number, samples: readonly Buffer[]): Buffer {
  const random = new Random(seed);
  const kind = random.below(4);
  if (kind === 0) return Buffer.from(tree(random, random.between(1, 6)), 'latin1');
  if (kind === 1) return mutate(random, Buffer.from(tree(random, 3), 'latin1'), random.pick(samples));
  if (kind === 2) return mutate(random, random.pick(bombsOf(random.between(200, 20_000))).mail, random.pick(samples));
  return mutate(random, random.pick(samples), random.pick(samples));
}
