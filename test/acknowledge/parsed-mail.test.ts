// What an acknowledgement can tell of a mail: the sample requests, and the ways in which mails are odd.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, asyncProperty, constantFrom, oneof, string } from 'fast-check';
import { autoReplyReason } from '../../src/acknowledge/compose/auto-reply-filter.ts';
import { fieldsOf, messageIdOf, referencesOf, headPiece } from '../../src/mail/header-fields.ts';
import { readMail } from '../../src/mail/read-text.ts';
import { parseRequests } from '../../src/mail/parse-mail.ts';
import { mailParser } from '../../src/mail/parse-mail.ts';
import type { ParsedMail } from '../../src/model/parsed-mail.ts';
import type { StoredRequest } from '../../src/model/request.ts';
import { sample } from '../support/acknowledging.ts';
import { MemoryLog, request } from '../support/memory.ts';
import { parse } from '../support/parse.ts';

async function read(mail: Buffer | string, bytes = 65_536): Promise<ParsedMail> {
  const readable = await readMail(headPiece(Buffer.from(mail), bytes), parse);
  assert.ok(readable);
  return parseRequests(readable);
}

/** The reference that is taken out of a subject. */
async function referenceIn(subject: string): Promise<string | undefined> {
  return (await read(`Subject: ${subject}\r\n\r\nhello`)).reference;
}

function repeatable(messageId: string): string | undefined {
  return messageIdOf(fieldsOf(Buffer.from(`Message-ID: ${messageId}\r\n\r\n`)));
}

interface Expected extends Partial<Omit<ParsedMail, 'names' | 'problems'>> {
  /** U-labels. */
  readonly names: readonly string[];
  /** Line, field and code. */
  readonly problems?: readonly string[];
}

const unicode = ({ names }: ParsedMail): string[] => names.map((name) => name.unicode);
const places = ({ problems }: ParsedMail): string[] =>
  problems.map((each) => `${each.line} ${each.field} ${each.code}`);

const expected: Record<string, Expected> = {
  'afnic-create': {
    form: 'numbered',
    subject: 'REGSARL domain_create [TRID-20040511-0001]',
    names: ['boulangerie-dupre.fr'],
    reference: 'TRID-20040511-0001',
    operation: 'create',
  },
  'internic-new': {
    form: 'internic',
    subject: 'NEW DOMAIN saltmarsh.example',
    names: ['saltmarsh.example'],
    reference: undefined,
    operation: 'new',
  },
  'automaton-three-requests': {
    form: 'automaton',
    subject: 'TAG REQUEST',
    names: ['heron.example', 'egret.example', 'bittern.example'],
  },
  'rri-create': {
    form: 'rri',
    subject: 'create',
    names: ['mühlenbach.example'],
    reference: 'ORD-4711',
    operation: 'create',
  },
  'rpsl-object': { form: 'rpsl', subject: 'NEW', names: ['curlew.example'], reference: undefined, operation: 'new' },
  'free-text': { form: undefined, subject: 'je voudrais barrage.fr', names: [], reference: undefined },
  'multipart-html': {
    form: 'numbered',
    subject: 'Demande pour pluvier-doré.fr',
    names: ['pluvier-doré.fr'],
    reference: 'TRID-P-1',
  },
  'auto-reply': { form: undefined, subject: 'Out of office', names: [] },
  'no-headers-but-a-body': {
    form: 'numbered',
    subject: '',
    names: ['headerless.fr'],
    problems: ['1 1a missing-field'],
  },
  // {{constructor}}.fr is no name; the reference is quoted as it stands, and nothing evaluates it.
  'hostile-subject': {
    form: 'numbered',
    subject: '<![CDATA[</message></request>&amp;<fake/>]]>',
    names: [],
    reference: '${jndi:ldap://x}',
    problems: ['2 2a not-a-name'],
  },
};
for (const [name, wanted] of Object.entries(expected)) {
  test(`the sample requests: understands ${name}`, async () => {
    const understood = await read(await sample(name));
    const { names, problems = [], ...rest } = wanted;
    assert.deepEqual(unicode(understood), names);
    assert.deepEqual(places(understood), problems);
    assert.deepEqual({ ...understood, ...rest }, understood);
  });
}

test('the sample requests: never reads a password into anything', async () => {
  for (const name of ['afnic-create', 'rpsl-object']) {
    const understood = JSON.stringify(await read(await sample(name)));
    assert.doesNotMatch(understood, /not-for-logs/);
  }
});

test('odd mails: finds the form in a mail that is HTML only', async () => {
  const html =
    '<html><head><title>x</title><style>2a..: style.example</style></head><body>' +
    '<p>1a..: C<br/>1e..: T-7<br>2a..: pluvier-dor&eacute;.fr</p><!-- 2a..: comment.example --></body></html>';
  const understood = await read(`Subject: h\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${html}`);
  assert.deepEqual(unicode(understood), ['pluvier-doré.fr']);
  assert.equal(understood.reference, 'T-7');
});

test('odd mails: takes a reference out of the subject only where it is clearly one', async () => {
  assert.equal(await referenceIn('create [TRID-20040511-0001] x'), 'TRID-20040511-0001');
  assert.equal(await referenceIn('[External] create'), undefined);
  assert.equal(await referenceIn('[12345] create'), undefined);
  assert.equal(await referenceIn('[REFUND] create'), undefined);
});

test('odd mails: reads several numbered forms in one mail, and lists a name once', async () => {
  const understood = await read('Subject: s\r\n\r\n2a..: a.fr\r\n1e..: R1\r\n2a..: b.fr\r\n1e..: R2\r\n2a..: a.fr\r\n');
  assert.deepEqual(unicode(understood), ['a.fr', 'b.fr']);
  assert.deepEqual(
    understood.requests.map(({ names, reference }) => [names[0]?.ascii, reference]),
    [
      ['a.fr', 'R1'],
      ['b.fr', 'R2'],
      ['a.fr', undefined],
    ],
  );
  assert.equal(understood.reference, 'R1');
});

test('odd mails: cleans what could speak to a terminal, turn text around or end a line', async () => {
  const subject = Buffer.from('a\u0007b\u202ec\u2028d\u200be\u001b[31mf').toString('base64');
  const understood = await read(`Subject: =?utf-8?B?${subject}?=\r\n\r\ndomain: a\u202e.example\r\nsource: X\r\n`);
  assert.equal(understood.subject, 'a bc de [31mf');
  assert.deepEqual(unicode(understood), ['a.example']);
});

test('odd mails: cuts a piece at a line end', () => {
  assert.equal(headPiece(Buffer.from('ab\r\ncd\r\nef'), 7).toString(), 'ab\r\n');
  assert.equal(headPiece(Buffer.from('ab\r\ncd\r\n'), 8).toString(), 'ab\r\ncd\r\n');
  assert.equal(headPiece(Buffer.from('abcdef'), 4).toString(), 'abcd');
});

test('odd mails: repeats only identifiers that are fit for a header', () => {
  assert.equal(repeatable('<a@b.example>'), '<a@b.example>');
  assert.equal(repeatable(`<]]>"'&<x>@hostile.example>`), undefined);
  assert.equal(repeatable('<a@b.example> junk'), undefined);
  assert.equal(repeatable(`<${'a'.repeat(300)}@b>`), undefined);
  assert.equal(repeatable('<é@b.example>'), undefined);
  const fields = fieldsOf(Buffer.from('References: <1@a>\r\n <2@a> junk\r\n\t<3@a>\r\n\r\nReferences: <4@a>'));
  assert.deepEqual(referencesOf(fields), ['<1@a>', '<2@a>', '<3@a>']);
});

test('odd mails: takes nothing that a mail contains for a reason to stop', async () => {
  const pieces = constantFrom(
    'Content-Type: multipart/mixed; boundary="b"\r\n',
    'Content-Type: message/rfc822\r\n',
    'Content-Type: text/html; charset=x-unknown\r\n',
    'Content-Type: text/plain; charset=iso-2022-jp\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n',
    'Subject: =?utf-8?B?////?= =?x?Q?=00?= =?utf-8?Q?=\r\n',
    'List-__proto__: <x>\r\n',
    '__proto__: x\r\n',
    'Date: never\r\n',
    '--b\r\n',
    '--b--\r\n',
    '\r\n',
    ' folded\r\n',
    '2a..: a.example\r\n',
    '<p>&#xFFFFFF;&constructor;<style>',
    '=ZZ=\r\n',
    '\u0000\u0080\u00ff',
  );
  await check(
    asyncProperty(array(oneof(pieces, string()), { maxLength: 60 }), async (parts) => {
      const mail = Buffer.from(parts.join(''), 'latin1');
      const readable = await readMail(mail, parse);
      fieldsOf(mail);
      if (readable) JSON.stringify(parseRequests(readable));
    }),
    { numRuns: 300 },
  );
});

// Each of these made a parser or a pattern somewhere quadratic; at full size they took seconds to minutes.
const heavy: Record<string, [start: string, unit: string]> = {
  'comments that never close': ['Auto-Submitted: ', '('],
  'encoded words': ['Subject: ', '=?utf-8?Q?=C3=A9?= '],
  recipients: ['To: ', 'a@b,'],
  brackets: ['References: ', '<a@'],
  'a reference that never ends': ['Subject: [TRID-', 'a'],
  parts: ['Content-Type: multipart/mixed; boundary=b\r\n\r\n', '--b\r\n\r\nx\r\n'],
  styles: ['Content-Type: text/html\r\n\r\n', '<style>'],
  tags: ['Content-Type: text/html\r\n\r\n', '<'],
  names: ['Subject: x\r\n\r\n', 'domain: a-a-a-a-a-a-a-.a\r\n'],
};
for (const [name, [start, unit]] of Object.entries(heavy)) {
  test(`64 KB of ${name} are read within a second`, async () => {
    const mail = Buffer.from(start + unit.repeat(65_536 / unit.length));
    const began = performance.now();
    const readable = await readMail(mail, parse);
    const fields = fieldsOf(mail);
    messageIdOf(fields);
    referencesOf(fields);
    autoReplyReason('a@b', fields);
    if (readable) parseRequests(readable);
    assert.ok(performance.now() - began < 1_000);
  });
}

test('for a registry that pulls by name, two spellings of a name are one name', async () => {
  const log = new MemoryLog();
  log.add(request('Content-Type: text/plain; charset=iso-8859-1\r\n\r\n1a..: C\r\n2a..: M\u00dcHLENBACH.example\r\n'));
  log.add(
    request(
      'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nRG9tYWluOiBtw7xobGVuYmFjaC5leGFtcGxlDQpTb3VyY2U6IFgNCg==\r\n',
    ),
  );
  log.add(request('Subject: c\r\n\r\n2a..: xn--mhlenbach-q9a.example\r\n'));
  log.add(request('Subject: d\r\n\r\nno form at all\r\n'));
  const understandRequest = mailParser(65_536, () => parse);
  const namesOf = async (each: StoredRequest) => (await understandRequest(each)).names.map(({ ascii }) => ascii);
  const [upperCase, base64, aLabel, none] = await Promise.all(log.stored.map(namesOf));
  assert.deepEqual(base64, ['xn--mhlenbach-q9a.example']);
  assert.deepEqual(aLabel, base64);
  assert.deepEqual(none, []);
  assert.deepEqual(upperCase, base64);
});

test('an understanding is remembered', async () => {
  const log = new MemoryLog();
  log.add(request('Subject: a\r\n\r\n1a..: C\r\n2a..: a.example\r\n'));
  const understandRequest = mailParser(65_536, () => parse);
  const first = await understandRequest(log.stored[0]!);
  assert.equal(await understandRequest(log.stored[0]!), first);
});
