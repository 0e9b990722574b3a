// How a kept mail is read: our own quick reader beside the parser it stands in for, charsets, HTML, mails of several parts.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { simpleParser } from 'mailparser';
import { type Parse, type Readable, readMail } from '../../src/mail/read-text.ts';
import { sample } from '../support/acknowledging.ts';
import { parse } from '../support/parse.ts';
import { Random } from '../support/sim/random.ts';

const notNeeded: Parse = () => assert.fail('this mail was given to the parser');

async function read(mail: string | Buffer, how: Parse = notNeeded): Promise<Readable> {
  const readable = await readMail(Buffer.isBuffer(mail) ? mail : Buffer.from(mail, 'latin1'), how);
  assert.ok(readable);
  return readable;
}

async function linesOf(mail: string | Buffer, how: Parse = notNeeded): Promise<readonly string[]> {
  return (await read(mail, how)).lines;
}

/** What mailparser makes of it. Blanks in a Subject count as one: it drops those of a folded line, RFC 5322 keeps them. */
async function oracle(mail: Buffer): Promise<Readable> {
  const { subject = '', text = '' } = await simpleParser(mail, { skipTextToHtml: true });
  return { subject, lines: text.split('\n') };
}

const oneBlank = ({ subject, lines }: Readable): Readable => ({ subject: subject.replace(/\s+/g, ' '), lines });

test('the sample mails of one part are read as mailparser reads them', async () => {
  const names = readdirSync(join(import.meta.dirname, '..', 'fixtures', 'requests')).map((file) =>
    file.replace('.eml', ''),
  );
  for (const name of names.filter((each) => each !== 'multipart-html')) {
    const mail = await sample(name);
    assert.deepEqual(oneBlank(await read(mail)), oneBlank(await oracle(mail)), name);
  }
});

const bits = {
  names: [
    'boulangerie-dupré.fr',
    'mühlenbach.example',
    'œuf-à-la-coque.fr',
    'plain.example',
    'Ünïcödé=20=.de',
    'naïve  \t',
    '',
  ],
  headers: [
    'From: a@b.example',
    'X-Note: one\r\n  two\r\n\tthree',
    'Received: from x\r\n\tby y; now',
    'MIME-Version: 1.0',
    'no colon here',
  ],
  spellings: {
    'utf-8': ['utf-8', 'UTF-8', '"utf-8"', 'utf8'],
    'iso-8859-15': ['iso-8859-15', 'ISO-8859-15', '"iso-8859-15"'],
    'windows-1252': ['windows-1252', 'Windows-1252', 'cp1252'],
    'us-ascii': ['us-ascii', 'US-ASCII'],
    'koi8-r': ['koi8-r'],
  },
} as const;

/** The few characters outside ASCII that the generator uses, in single-byte charsets. */
const singleBytes: Record<string, Record<string, number>> = {
  'iso-8859-15': { é: 0xe9, ü: 0xfc, œ: 0xbd, à: 0xe0, Ü: 0xdc, ï: 0xef, ö: 0xf6, ä: 0xe4 },
  'windows-1252': { é: 0xe9, ü: 0xfc, œ: 0x9c, à: 0xe0, Ü: 0xdc, ï: 0xef, ö: 0xf6, ä: 0xe4 },
};

function encode(text: string, charset: string): Buffer {
  if (charset === 'utf-8') return Buffer.from(text);
  const table = singleBytes[charset] ?? {};
  return Buffer.from(Array.from(text).map((each) => table[each] ?? (each < '\x7f' ? each.charCodeAt(0) : 0x3f)));
}

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');

function quotedPrintable(bytes: Buffer, random: Random): string {
  let line = '';
  let out = '';
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x3d;
    if (byte === 0x0d) continue;
    if (byte === 0x0a) {
      out += `${line}${random.pick(['', ' ', '\t '])}\r\n`;
      line = '';
      continue;
    }
    line +=
      plain && !random.chance(0.05)
        ? String.fromCharCode(byte)
        : `=${random.chance(0.5) ? hex(byte) : hex(byte).toLowerCase()}`;
    if (line.length > 70 || random.chance(0.02)) {
      out += `${line}=\r\n`;
      line = '';
    }
  }
  return out + line;
}

/** Lines of some length, or every line padded on its own. */
function base64(bytes: Buffer, random: Random): string {
  if (random.chance(0.2))
    return bytes
      .toString('latin1')
      .replace(/[^]{1,10}/g, (some) => `${Buffer.from(some, 'latin1').toString('base64')}\r\n`);
  return bytes.toString('base64').replace(/.{60}/g, random.pick(['$&\r\n', '$& \r\n', '$&']));
}

function word(text: string, charset: string, random: Random): string {
  const bytes = encode(text, charset);
  if (random.chance(0.5)) return `=?${charset}?${random.pick(['B', 'b'])}?${bytes.toString('base64')}?=`;
  const q = [...bytes].map((byte) =>
    byte === 0x20 ? '_' : /[a-z0-9]/i.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `=${hex(byte)}`,
  );
  return `=?${charset}?${random.pick(['Q', 'q'])}?${q.join('')}?=`;
}

/** A mail of one part as programs write it. */
function generate(random: Random): Buffer {
  const charset = random.pick(['utf-8', 'utf-8', 'iso-8859-15', 'windows-1252', 'us-ascii', 'koi8-r'] as const);
  const encoding = random.pick([
    '',
    '7bit',
    '8bit',
    'binary',
    'quoted-printable',
    'Quoted-Printable',
    'base64',
    'BASE64',
    'x-none',
  ]);
  const lines = Array.from(
    { length: random.below(12) },
    () => `${random.pick(['2a..: ', 'Domain: ', '', '=', '> '])}${random.pick(bits.names)}`,
  );
  const text = lines.join('\r\n') + random.pick(['', '\r\n', '\r\n\r\n', ' \r\n']);
  const bytes = encode(text, charset);
  const kind = encoding.toLowerCase();
  const body =
    kind === 'base64'
      ? Buffer.from(base64(bytes, random))
      : kind === 'quoted-printable'
        ? Buffer.from(quotedPrintable(bytes, random))
        : bytes;
  const plain = charset === 'koi8-r' || charset === 'us-ascii' ? 'utf-8' : charset;
  const words = Array.from({ length: random.below(4) }, () => word(random.pick(bits.names) || 'x', plain, random));
  const subject = [random.pick(['create', 'NEW  x', '', '[TRID-1] é']), ...words].join(
    random.pick([' ', '\r\n ', '\r\n\t', ' and ']),
  );
  const label = random.pick(bits.spellings[charset]);
  const type = random.pick([
    `text/plain; charset=${label}`,
    `text/plain; charset=${label}; format=fixed`,
    `Text/Plain;\r\n\tcharset = ${label};`,
    `TEXT/PLAIN; name=form; CHARSET=${label}`,
  ]);
  const typed = charset === 'utf-8' && random.chance(0.3) ? [] : [`Content-Type: ${type}`];
  const head = [
    `Subject: ${subject}`,
    ...typed,
    ...(encoding === '' ? [] : [`Content-Transfer-Encoding: ${encoding}`]),
  ];
  for (let count = random.below(3); count > 0; count--)
    head.splice(random.below(head.length + 1), 0, random.pick(bits.headers));
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

test('generated mails of one part are read as mailparser reads them', async () => {
  for (let seed = 1; seed <= 1_500; seed++) {
    const mail = generate(new Random(seed));
    const told = `seed ${seed}:\n${mail.toString('latin1')}`;
    assert.deepEqual(oneBlank(await read(mail)), oneBlank(await oracle(mail)), told);
  }
});

/** A mail of one text part. */
function mailOf(body: Buffer | string, type?: string, encoding?: string): Buffer {
  const head = `${type === undefined ? '' : `Content-Type: ${type}\r\n`}${encoding === undefined ? '' : `Content-Transfer-Encoding: ${encoding}\r\n`}`;
  return Buffer.concat([Buffer.from(`Subject: s\r\n${head}\r\n`), typeof body === 'string' ? Buffer.from(body) : body]);
}

// Where we deliberately do not do as mailparser does: it puts U+FFFD or control characters into the first five.
const declared: Record<string, [type: string | undefined, bytes: number[], text: string]> = {
  'no charset, not UTF-8': [undefined, [0x64, 0xe9, 0x80], 'dé€'],
  'us-ascii, not ASCII': ['text/plain; charset=us-ascii', [0x64, 0xe9], 'dé'],
  'utf-8, not UTF-8': ['text/plain; charset=utf-8', [0x64, 0xe9], 'dé'],
  'ISO-8859-1, and windows-1252 meant': ['text/plain; charset=iso-8859-1', [0x80, 0x92], '€’'],
  'an unknown name': ['text/plain; charset=x-unknown', [0x64, 0xe9], 'dé'],
  'a name nobody knows': ['text/plain; charset=x-klingon', [0x61, 0xc3, 0xa9], 'a\ufffd\ufffd'],
  'us-ascii, UTF-8': ['text/plain; charset=us-ascii', [0xc3, 0xa9], 'é'],
  'a byte order mark': ['text/plain; charset=utf-8', [0xef, 0xbb, 0xbf, 0x61], 'a'],
  'one bad line among good ones': [undefined, [0xc3, 0xa9, 0x0d, 0x0a, 0xe9], 'é|é'],
  'UTF-8 cut in a character': [undefined, [0xc3, 0xa9, 0x0d, 0x0a, 0x61, 0xe2, 0x82], 'é|aâ‚'],
  'ISO-8859-15': ['text/plain; charset=ISO-8859-15', [0xa4, 0xbd], '€œ'],
  latin9: ['text/plain; charset=latin9', [0xa4], '€'],
  'iso8859-15, quoted': ['text/plain; charset="iso8859-15"', [0xa4], '€'],
  'windows-1252': ['text/plain; charset=windows-1252', [0x80, 0x9c], '€œ'],
  'win-1250': ['text/plain; charset=win-1250', [0x9a], 'š'],
  utf8: ['text/plain; charset=utf8', [0xc3, 0xa9], 'é'],
  'KOI8-R': ['text/plain; charset=KOI8-R', [0xc1], 'а'],
  GB18030: ['text/plain; charset=GB18030', [0xc4, 0xe3], '你'],
  'ISO-2022-JP': ['text/plain; charset=ISO-2022-JP', [0x1b, 0x24, 0x42, 0x24, 0x22, 0x1b, 0x28, 0x42], 'あ'],
  'UTF-16, big end first': ['text/plain; charset=utf-16', [0xfe, 0xff, 0, 0x61], 'a'],
  'UTF-16, little end first': ['text/plain; charset=utf-16', [0xff, 0xfe, 0x61, 0], 'a'],
  'UTF-16 undeclared': [undefined, [0xff, 0xfe, 0x61, 0], 'a'],
};
for (const [name, [type, bytes, text]] of Object.entries(declared)) {
  test(`charsets: ${name}`, async () => {
    const encoded = Buffer.from(bytes).toString('base64');
    assert.equal((await linesOf(mailOf(encoded, type, 'base64'))).join('|'), text);
  });
}

test('a Subject in 8-bit text is UTF-8 where it can be, else windows-1252', async () => {
  assert.equal((await read(Buffer.from('Subject: dupré\r\n\r\n'))).subject, 'dupré');
  assert.equal((await read('Subject: dupr\xe9\r\n\r\n')).subject, 'dupré');
});

async function subjectOf(field: string): Promise<string> {
  return (await read(`Subject: ${field}\r\n\r\n`)).subject;
}

test('encoded words: neighbours are one text, also where a character is cut in two', async () => {
  assert.equal(await subjectOf('=?utf-8?B?w6k=?= =?utf-8?Q?=C3=A9_x?='), 'éé x');
  assert.equal(await subjectOf('=?utf-8?Q?=C3?=\r\n =?UTF-8?B?qQ==?= z'), 'é z');
  assert.equal(await subjectOf('=?iso-8859-15?Q?=BDuf?= and =?utf-8*en?q?a?='), 'œuf and a');
  assert.equal(await subjectOf('=?x-unknown?Q?d=E9?= =?utf-8?X?no?= =?broken'), 'dé =?utf-8?X?no?= =?broken');
});

test('a text that flows is left in its lines', async () => {
  assert.deepEqual(await linesOf(mailOf('1a..: C \r\n2a..: a.fr\r\n', 'text/plain; format=flowed; delsp=yes')), [
    '1a..: C ',
    '2a..: a.fr',
    '',
  ]);
});

// HTML

async function shown(html: string | Buffer, type = 'text/html; charset=utf-8'): Promise<string[]> {
  return (await linesOf(mailOf(html, type))).filter((line) => line !== '');
}

test('HTML: breaks, tables, entities and comments', async () => {
  assert.deepEqual(await shown('<p>1a..: C<br>2a..: caf&eacute;&#46;fr</p><!-- 3a > b -->'), [
    '1a..: C',
    '2a..: café.fr',
  ]);
  assert.deepEqual(
    await shown('<table><tr><td>1a..:</td><td>C</td></tr>\n<tr><td>2a..:</td>\n<td>a.fr</td></tr></table>'),
    ['1a..: C', '2a..: a.fr'],
  );
  assert.deepEqual(await shown('&Eacute;&oelig;&nbsp;&#128;&#x20AC;&lt;&unknown;&#0;'), ['Éœ €€<&unknown;\ufffd']);
  assert.deepEqual(await shown('<style>a{}</style><script>1 < 2</script>x'), ['x']);
});

test('HTML: preformatted text keeps its lines', async () => {
  assert.deepEqual(await shown('<pre>1a..: C\r\n2a..: a.fr\r\n</pre>x\r\ny'), ['1a..: C', '2a..: a.fr', 'x y']);
});

test('HTML: the charset stands in the header, or else inside', async () => {
  const meta = Buffer.from(
    '<html><head><meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15"></head>\xbd',
    'latin1',
  );
  assert.deepEqual(await shown(meta, 'text/html'), ['œ']);
  assert.deepEqual(await shown(meta, 'text/html; charset=iso-8859-1'), ['½']);
});

// Mails of several parts

const parts = (...each: string[]): string => `${each.map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`;
const multipart = (type: string, ...each: string[]): string =>
  `Subject: s\r\nContent-Type: multipart/${type}; boundary=b\r\n\r\n${parts(...each)}`;
const text = (body: string, more = ''): string => `Content-Type: text/plain; charset=iso-8859-15\r\n${more}\r\n${body}`;
const html = (body: string): string => `Content-Type: text/html\r\n\r\n${body}`;

test('several parts: text is preferred to HTML, unless it is empty', async () => {
  assert.deepEqual(await linesOf(multipart('alternative', text('a\xbd'), html('b')), parse), ['aœ']);
  assert.deepEqual(await linesOf(multipart('alternative', text(' \r\n'), html('b\xe9')), parse), ['bé']);
  assert.deepEqual(await linesOf(multipart('alternative', text('')), parse), ['']);
});

test('several parts: an attached form is read when nothing else is one', async () => {
  const attached = text('2a..: a.fr', 'Content-Disposition: attachment; filename=form.txt\r\n');
  assert.deepEqual(await linesOf(multipart('mixed', text(''), attached), parse), ['2a..: a.fr']);
  assert.deepEqual(await linesOf(multipart('mixed', text('body'), attached), parse), ['2a..: a.fr']);
  assert.deepEqual(
    await linesOf(multipart('mixed', text('body'), text('notes', 'Content-Disposition: attachment\r\n')), parse),
    ['body'],
  );
  const untyped =
    'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=form.txt\r\n\r\nx';
  assert.deepEqual(await linesOf(multipart('mixed', untyped), parse), ['x']);
});

test('several parts: nested, with mails in mails, cut short', async () => {
  const inner = `Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n${text('deep')}\r\n--c--\r\n`;
  assert.deepEqual(await linesOf(multipart('mixed', inner, text('after')), parse), ['deep', 'after']);
  assert.deepEqual(
    await linesOf(multipart('mixed', `Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninside`), parse),
    ['inside'],
  );
  const whole = multipart(
    'mixed',
    text('one'),
    'Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA',
  );
  assert.deepEqual(await linesOf(whole.slice(0, whole.indexOf('AAAA') + 2), parse), ['one']);
});

test('several parts: encodings and what is undeclared are as in a mail of one part', async () => {
  const coded = text('d=E9=\r\n!', 'Content-Transfer-Encoding: quoted-printable\r\n').replace(
    '; charset=iso-8859-15',
    '',
  );
  assert.deepEqual(await linesOf(multipart('mixed', coded, '\r\nraw \xe9'), parse), ['dé!', 'raw é']);
});
