// What mail programs make of a form, kind by kind: HTML, quotes, signatures, links, charsets, and types that are none.

import { pieceOf } from '../../src/mail/header-fields.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import iconv from 'iconv-lite';
import { parseRequests } from '../../src/mail/parse-mail.ts';
import { readMail } from '../../src/mail/read-text.ts';
import type { ParsedMail } from '../../src/model/parsed-mail.ts';
import { parse } from '../support/parse.ts';

/** What is read of a mail of these header lines and this body, which may be bytes. */
async function read(header: string, body: string | Buffer): Promise<ParsedMail> {
  const bytes = typeof body === 'string' ? Buffer.from(body.replaceAll('\n', '\r\n')) : body;
  const mail = await readMail(Buffer.concat([Buffer.from(`${header.replaceAll('\n', '\r\n')}\r\n\r\n`), bytes]), parse);
  assert.ok(mail);
  return parseRequests(mail);
}

const html = (body: string): Promise<ParsedMail> => read('Content-Type: text/html; charset=utf-8', body);
const plain = (body: string): Promise<ParsedMail> => read('Content-Type: text/plain; charset=utf-8', body);
const said = ({ operation = '-', names, problems }: ParsedMail): string =>
  [operation, ...names.map(({ unicode }) => unicode), ...problems.map(({ code }) => code)].join(' ');

const coded = (text: string): string => Buffer.from(text).toString('base64');
const mixed = (...parts: string[]): Buffer =>
  Buffer.from(`Content-Type: multipart/mixed; boundary=b\n\n${parts.join('')}--b--\n`.replaceAll('\n', '\r\n'));

/** The same of a mail that is all there is. */
const bare = async (text: string): Promise<string> => {
  const mail = await readMail(Buffer.from(text.replaceAll('\n', '\r\n')), parse);
  return mail ? said(parseRequests(mail)) : '';
};

/** What is read of a message when so many bytes of it may be. */
const readPiece = async (message: Buffer, most: number): Promise<ParsedMail> => {
  const { bytes, partly } = pieceOf(message, most);
  assert.ok(bytes.length <= most);
  const mail = await readMail(bytes, parse);
  assert.ok(mail);
  return parseRequests(mail, partly);
};

const form = '1a..: C\n2a..: heron.example\n';
const old = ['1a..: D', '2a..: old.example'];

test('quotes below an answer are not read, and are told', async () => {
  const quotes = [
    `<div class="gmail_quote"><div>On Tue, X wrote:</div><blockquote style="margin:0">${old.join('<br>')}</blockquote></div>`,
    `<blockquote type="cite"><div>${old.join('</div><div>')}</div></blockquote>`,
    `<blockquote><blockquote><p>${old.join('</p><p>')}</p></blockquote></blockquote>`,
    `<div style="border-top:solid"><p><b>From:</b> Registry<br><b>Sent:</b> Monday<br><b>To:</b> Ops<br><b>Subject:</b> x</p></div><p>${old.join('</p><p>')}</p>`,
    `<p>-----Original Message-----</p><p>${old.join('</p><p>')}</p>`,
    `<p><b>Von:</b> Registry<br><b>Gesendet:</b> Montag<br><b>An:</b> Ops<br><b>Betreff:</b> x</p><p>${old.join('<br>')}</p>`,
    `<p><b>De&nbsp;:</b> Registre<br><b>Envoyé&nbsp;:</b> lundi<br><b>À&nbsp;:</b> Ops<br><b>Objet&nbsp;:</b> x</p><p>${old.join('<br>')}</p>`,
  ];
  for (const quote of quotes) {
    assert.equal(said(await html(`<p>yes please</p>${quote}`)), '- quoted-form', quote);
    assert.equal(
      said(await html(`<div>1a..: C</div><div>2a..: new.example</div>${quote}`)),
      'create new.example',
      quote,
    );
  }
  const below = `\n-----Original Message-----\nFrom: R\nSent: now\nTo: O\nSubject: x\n\n${old.join('\n')}\n`;
  assert.equal(said(await plain(`ok${below}`)), '- quoted-form');
  assert.equal(said(await plain(`${form}${below}`)), 'create heron.example');
  // A letter is no reply's head.
  assert.equal(said(await plain(`From: us to you\n\n${form}`)), 'create heron.example');
});

test('PGP: armour is no form, and a text is read as it was before it was signed', async () => {
  const signature =
    '-----BEGIN PGP SIGNATURE-----\nVersion: GnuPG v2\nComment: x\n\niQ==\n-----END PGP SIGNATURE-----\n';
  const signed = (text: string): string => `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${text}${signature}`;
  const rri = 'Action: CREATE\nDomain: heron.example\nCtid: 1\n';
  assert.equal(said(await plain(signed(rri))), 'create heron.example');
  assert.equal(said(await plain(signed(`- -----\n${form}- -- \n2a..: no.example\n`))), 'create heron.example');
  assert.equal(
    said(await plain(`${signed(`${form}- -- \nX\n`)}\n${signed('1a..: C\n2a..: two.example\n')}`)),
    'create heron.example two.example',
  );
  const key =
    '-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: 1\nDomain: no.example\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n';
  assert.equal(said(await plain(`${form}${key}`)), 'create heron.example');
  assert.equal(
    said(await read('Content-Type: application/pgp; format=text; x-action=sign', signed(form))),
    'create heron.example',
  );
});

test('HTML as programs write it', async () => {
  const lines = ['operation: request', 'key: heron.example', 'for: Heron Ltd', 'reference: 7'];
  const shapes = [
    lines.map((line) => `<div>${line}</div>`).join(''),
    lines.map((line) => `<p class=MsoNormal>${line}<o:p></o:p></p>\n\n`).join(''),
    `<pre>${lines.join('\r\n')}</pre>`,
    `<div style="font: x; white-space: pre-wrap"><div>x</div>\n${lines.join('\n')}</div>`,
    `<dl>${lines.map((line) => `<dt>${line.replace(/: (.*)/, ':</dt>\n<dd>$1</dd>')}`).join('\n')}</dl>`,
    `<table>${lines.map((line) => `<tr><td><p>${line.replace(/: (.*)/, ':</p></td><td><div>$1</div></td>')}</tr>`).join('')}</table>`,
    `<table><tr><td>${lines.join('<br>')}</td></tr></table>`,
    `<table><tr><td><table>${lines.map((line) => `<tr><td>${line.replace(': ', ':</td><td>')}</td></tr>`).join('')}</table></td><td>Logo</td></tr></table>`,
    `<html><head><meta charset=utf-8><title>x: y</title><body>${lines.join('<br>')}`,
    `<html><head><style>a > b {}</style><p>${lines.join('<br>')}`,
    `<img alt="a > b: c" src=x>${lines.join('<br/>')}<!-- key: no.example -- > -->`,
    lines.map((line) => `<span>${line.replace(': ', '<b>:</b>&ensp;&#8203;')}</span><br>`).join(''),
    `<ul>${lines.map((line) => `<li>${line.replace('.', '&period;').replace(':', '&colon;')}</li>`).join('')}</ul>`,
  ];
  for (const shape of shapes) assert.equal(said(await html(shape)), 'request heron.example', shape);
  const two = '<p>key: a.example</p><p>for: A</p><p>&nbsp;</p><p>key: b.example</p><div>for: B</div><div><br></div>';
  assert.equal((await html(two)).requests.length, 2);
  assert.equal(
    (await html('<div>2a..: &zcaron;lut&yacute;k&uring;&ncaron;.example</div>')).names[0]?.unicode,
    'žlutýkůň.example',
  );
});

test('a text with a blank line behind each of its lines is one form', async () => {
  const doubled =
    'operation: request\n\nkey: heron.example\n\nfor: Heron Ltd\n\n\n\noperation: delete\n\nkey: teal.example\n\nreference: 8\n';
  const { requests, problems } = await plain(doubled);
  assert.deepEqual(
    requests.map(({ operation }) => operation),
    ['request', 'delete'],
  );
  assert.deepEqual(problems, []);
});

test('a name is read out of what programs make a link of', async () => {
  const safe =
    'https://eur01.safelinks.protection.outlook.com/?url=http%3A%2F%2Fheron.example%2F&data=05%7C02&reserved=0';
  const link = 'http://heron.example';
  const written = [
    `heron.example<${link}>`,
    `heron.example <${link}/>`,
    `heron.example [${link}]`,
    `heron.example<${safe}>`,
  ];
  for (const value of [...written, '[heron.example]', '<heron.example>', `${link}/`, `heron.example(${link})`])
    assert.equal(said(await plain(`1a..: C\n2a..: ${value}\n`)), 'create heron.example', value);
  assert.equal(said(await plain('1a..: C\n2a..: heron.example or teal.example\n')), 'create not-a-name');
});

test('charsets by the names that programs give them; of one that nobody knows no name is made', async () => {
  const kinds: [string, string, string][] = [
    ['cp850', 'cp850', 'mühlenbach'],
    ['CP437', 'cp437', 'mühlenbach'],
    ['cp874', 'cp874', 'ไทย'],
    ['cp932', 'cp932', '日本語'],
    ['cp936', 'cp936', '中文'],
    ['GBK', 'gbk', '中文'],
    ['cp949', 'cp949', '한국'],
    ['ks_c_5601-1987', 'cp949', '한국'],
    ['Big5', 'big5', '中文'],
    ['euc-jp', 'euc-jp', '日本語'],
    ['utf-7', 'utf-7', 'mühlenbach'],
    ['macintosh', 'macintosh', 'mühlenbach'],
    ['iso-8859-2', 'iso-8859-2', 'żubr'],
    ['koi8-u', 'koi8-u', 'зубр'],
    ['windows-1253', 'windows-1253', 'ήλιο'],
    ['win-1251', 'win1251', 'зубр'],
  ];
  for (const [label, codec, name] of kinds) {
    const body = iconv.encode(`1a..: C\r\n2a..: ${name}.example\r\n`, codec);
    assert.equal(said(await read(`Content-Type: text/plain; charset=${label}`, body)), `create ${name}.example`, label);
  }
  const latin = Buffer.from('1a..: C\r\n2a..: m\xfchlenbach.example\r\n', 'latin1');
  for (const label of ['x-klingon', 'base64', 'hex', 'cp9999', 'ebcdic-xx'])
    assert.equal(
      said(await read(`Content-Type: text/plain; charset=${label}`, latin)),
      'create unreadable-name',
      label,
    );
  // ASCII is ASCII whatever the charset is called.
  assert.equal(said(await read('Content-Type: text/plain; charset=x-klingon', form)), 'create heron.example');
});

test('encoded words of charsets with states are decoded each by itself', async () => {
  const { subject } = await read(
    'Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\n =?iso-2022-jp?B?GyRCOGwbKEI=?=\n =?ISO-2022-JP?Q?=1B$BF|=1B(B?=',
    form,
  );
  assert.equal(subject, '日本語日');
});

test('types and bodies that are not as they should be', async () => {
  for (const type of [
    'text',
    'TEXT',
    'plain/text',
    'text/x-unknown',
    'text/csv',
    'text/enriched',
    'plain',
    '"text/plain"',
    'text/plain;',
    '',
  ])
    assert.equal(said(await read(`Content-Type: ${type}`, form)), 'create heron.example', type);
  const parts = (boundary: string, blanks = ''): string =>
    `--${boundary}${blanks}\nContent-Type: text/plain\n\n${form}\n--${boundary}--${blanks}\n`;
  assert.equal(
    said(await read('Content-Type: multipart/mixed; boundary=b', parts('b', ' \t '))),
    'create heron.example',
  );
  assert.equal(said(await read('Content-Type: multipart/mixed', parts('b'))), 'create heron.example');
  assert.equal(said(await read('Content-Type: multipart/mixed', form)), 'create heron.example');
  assert.equal(said(await read('Content-Type: text/plain; boundary="b"', parts('b'))), 'create heron.example');
  assert.equal(
    said(await read('Content-Transfer-Encoding: base64', coded(form.replaceAll('\n', '\r')))),
    'create heron.example',
  );
  assert.equal(
    said(await read('Content-Transfer-Encoding: quoted-printable', form.replaceAll('\n', '=0D'))),
    'create heron.example',
  );
  const alternative = `--b\nContent-Type: text/plain\n\nYour program cannot show HTML.\n--b\nContent-Type: text/html\n\n<p>1a..: C<br>2a..: heron.example\n--b--\n`;
  assert.equal(
    said(await read('Content-Type: multipart/alternative; boundary=b', alternative)),
    'create heron.example',
  );
  for (const type of ['text/plain; name=f.txt', 'application/octet-stream; name="f.txt"']) {
    const attached = `--b\nContent-Type: text/plain\n\nPlease see the form.\n--b\nContent-Type: ${type}\nContent-Disposition: attachment; filename="f.txt"\n\n${form}\n--b--\n`;
    assert.equal(said(await read('Content-Type: multipart/mixed; boundary=b', attached)), 'create heron.example', type);
  }
});

test('a form without any header, alone or below what a relay adds', async () => {
  assert.equal(await bare(form), 'create heron.example');
  assert.equal(await bare(`Received: from x by y; now\nMessage-ID: <a@b>\nDate: now\n${form}`), 'create heron.example');
  assert.equal(await bare(`1a..: C\n\n2a..: heron.example\n`), 'create heron.example');
  assert.equal(await bare(`From: a@b.example\nDomain: no.example\nX-Y: z\n\nhello\n`), '-');
});

test('what is in no form of ours has no fields that are missing', async () => {
  const others = [
    'Domain: heron.example\nRegistrant: Heron Ltd\nHolder: x\nPeriod: 1\n',
    'domain: heron.example\n',
    'key: under the mat\n',
    'Name: x\nVersion: 2\nDomain: a.example\n',
    '1. Action: create\n2. Domain name: heron.example\n',
    'Dear all,\n\nthe domain: heron.example is ours.\nsource: the web\n'.replace('domain:', 'name:'),
  ];
  for (const other of others) {
    const { form: id, problems } = await plain(other);
    assert.deepEqual([id, problems], [undefined, []], other);
  }
});

test('a value that a program wrapped is one', async () => {
  const long = `${'a-long-name.'.repeat(6)}example`;
  assert.equal(said(await plain(`1a..: C\n2a..:\n${long}\n`)), `create ${long}`);
  assert.equal(said(await plain(`Action: CREATE\nCtid: 1\nDomain: \n  ${long}\n`)), `create ${long}`);
  // A short one would have had its place: something else is meant.
  assert.equal(said(await plain('1a..: C\n2a..:\nRegards\n')), 'create missing-name');
});

test('a full-width colon is told, once for each field that would be read', async () => {
  assert.equal(
    said(await plain('1a\uff1aC\n1e\uff1aR\n2a\uff1aheron.example\n')),
    '- malformed-line malformed-line malformed-line',
  );
  assert.equal(said(await plain('domain\uff1a heron.example\nsource\uff1a X\n')), '- malformed-line');
});

test('a mail that is larger than what is read: data is passed over, and what is not read is told and blamed for nothing', async () => {
  const data = `--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n${`${'A'.repeat(76)}\n`.repeat(4_000)}`;
  const text = `--b\nContent-Type: text/plain\n\n${form}\n`;
  for (const parts of [
    [data, text],
    [data, data, text, data],
    [text, data],
  ]) {
    const parsed = await readPiece(mixed(...parts), 65_536);
    assert.deepEqual([said(parsed), parsed.partly], ['create heron.example', false]);
  }
  // Without its end a part is not known to be one.
  const open = mixed(text, data).subarray(0, -10);
  assert.deepEqual(
    [said(await readPiece(open, 65_536)), (await readPiece(open, 65_536)).partly],
    ['create heron.example', true],
  );

  // What only looks like parts costs little, however often it does.
  const fake = Buffer.from(
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--\r\nContent-Type: a/b\r\n'.repeat(400_000)}`,
  );
  const before = process.cpuUsage();
  assert.equal(pieceOf(fake, 262_144).partly, true);
  assert.ok(process.cpuUsage(before).user < 1_000_000);

  const many = Array.from({ length: 3_000 }, (_, each) => `1a..: C\r\n2a..: name-${each}.example\r\n`).join('');
  const long = Buffer.from(`Subject: x\r\n\r\n${many}`);
  const whole = await readPiece(long, 262_144);
  assert.deepEqual([whole.names.length, whole.requests.length, whole.partly], [3_000, 3_000, false]);
  const cut = await readPiece(long, long.indexOf('2a..: name-500.') + 3);
  assert.deepEqual([cut.names.length, cut.requests.length, cut.problems.length, cut.partly], [500, 501, 0, true]);
});
