// What an acknowledgement looks like on the wire, read back by a mail parser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simpleParser } from 'mailparser';
import { type RecipientOf, recipientOf } from '../../src/acknowledge/compose/recipient.ts';
import { composer } from '../../src/acknowledge/compose/compose.ts';
import { loadLanguages } from '../../src/acknowledge/compose/languages.ts';
import { fieldsOf } from '../../src/mail/header-fields.ts';
import { headerText, textPart } from '../../src/acknowledge/compose/mime.ts';
import { readMail } from '../../src/mail/read-text.ts';
import { parseRequests } from '../../src/mail/parse-mail.ts';
import type { StoredRequest } from '../../src/model/request.ts';
import type { RegistrarBook } from '../../src/config/registrar-book.ts';
import { unparsedMail } from '../../src/model/parsed-mail.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { sample, templates } from '../support/acknowledging.ts';
import { parseRegistrarBook } from '../../src/config/registrar-book-file.ts';
import { MemoryLog, request } from '../support/memory.ts';
import { parse } from '../support/parse.ts';

function stored(message: Buffer | string, from = 'ops@registres.example'): StoredRequest {
  const log = new MemoryLog();
  log.add(request(message, { envelope: { from, to: ['domain@registry.example'] } }));
  return log.stored[0]!;
}

const languages = await loadLanguages(nodeRuntime.disk, templates, 'en');
const toSender =
  (language: string): RecipientOf =>
  (kept) =>
    recipientOf(kept, undefined, language);

/** The acknowledgement of a request, as bytes. */
async function acknowledge(
  kept: StoredRequest,
  language = 'en',
  from = 'Régie <seawall@registry.example>',
): Promise<Buffer> {
  const compose = composer({ from, name: 'ack.registry.example', languages, recipientOf: toSender(language) });
  const readable = await readMail(kept.message, parse);
  const mail = compose(kept, readable ? parseRequests(readable) : unparsedMail, fieldsOf(kept.message));
  assert.ok(mail);
  return mail.bytes;
}

test('an acknowledgement says what was received, when, and where it stands', async () => {
  const kept = stored(await sample('afnic-create'));
  const mail = await simpleParser(await acknowledge(kept));
  assert.equal(mail.subject, `Received, not registered: ${kept.ticket} [TRID-20040511-0001]`);
  assert.equal(mail.from?.text, '"Régie" <seawall@registry.example>');
  assert.equal(mail.inReplyTo, '<20040511070000.1A2B@registres.example>');
  assert.deepEqual([mail.references].flat(), ['<20040511070000.1A2B@registres.example>']);
  assert.equal(mail.headers.get('auto-submitted'), 'auto-replied');
  assert.equal(mail.headers.get('seawall-ticket'), kept.ticket);
  assert.equal(mail.headers.get('seawall-sha256'), kept.sha256);
  assert.equal(mail.date?.getTime(), Date.UTC(2026, 10, 21, 9, 0, 0));
  assert.match(
    mail.messageId ?? '',
    new RegExp(`^<${kept.ticket.replace('*', '_')}\\.\\d+@ack\\.registry\\.example>$`),
  );
  for (const body of [mail.text ?? '', String(mail.html)]) {
    for (const fact of [
      kept.ticket,
      kept.sha256,
      '2026-11-21T09:00:00.123Z',
      'Saturday, November 21, 2026, 09:00:00.123 UTC',
      `${kept.size} bytes`,
      'boulangerie-dupre.fr',
      'TRID-20040511-0001',
      'REGSARL domain_create [TRID-20040511-0001]',
    ]) {
      assert.ok(body.includes(fact), `${fact} is missing in ${body}`);
    }
  }
  assert.match(mail.text ?? '', /^Seawall-Status: received\nSeawall-Ticket: SW-000000001-\S\nSeawall-Sequence: 1\n/);
  assert.match(
    mail.text ?? '',
    /^Seawall-Form: numbered\nSeawall-Operation: create\nSeawall-Reference: TRID-20040511-0001\nSeawall-Name: boulangerie-dupre\.fr\n\n/m,
  );
  assert.match(mail.text ?? '', /RECEIVED DOES NOT MEAN REGISTERED/);
});

test('three requests in one mail have one place and three names', async () => {
  const mail = await simpleParser(await acknowledge(stored(await sample('automaton-three-requests'))));
  assert.deepEqual(mail.text?.match(/^Seawall-Name: .*$/gm), [
    'Seawall-Name: heron.example',
    'Seawall-Name: egret.example',
    'Seawall-Name: bittern.example',
  ]);
});

test('the block and the headers list several requests in order, and what was not understood', async () => {
  const text = '1a..: C\r\n1e..: R 1\r\n2a..: ü.fr\r\n\r\n1a..: X\r\n1e..: R-é\r\n2a..: no name\r\n';
  const kept = stored(Buffer.from(`Content-Type: text/plain; charset=utf-8\r\n\r\n${text}`));
  const wanted = [
    'Seawall-Form: numbered',
    'Seawall-Request: 1',
    'Seawall-Operation: create',
    'Seawall-Reference: R 1',
    'Seawall-Name: xn--tda.fr',
    'Seawall-Request: 2',
    'Seawall-Reference: R-é',
    'Seawall-Problem: line 5, field 1a: unknown-operation: no operation of this form: X',
    'Seawall-Problem: line 7, field 2a: not-a-name: no domain name: no name',
  ];
  const bytes = await acknowledge(kept);
  const mail = await simpleParser(bytes);
  assert.deepEqual(mail.text?.split('\n\n')[0]?.split('\n').slice(6), wanted);
  // The parser puts fields of one name together; what it read of each is what the block says.
  assert.deepEqual(
    mail.headerLines
      .filter(({ key }) => /^seawall-(form|request|operation|name|problem)$/.test(key))
      .map(({ line }) => line.replace(/\r?\n /g, ' ')),
    wanted.filter((line) => !line.includes('Reference')),
  );
  assert.deepEqual(mail.headers.get('seawall-reference'), ['R 1', headerText('R-é')]);
});

/** Words of each language for what was not understood, for a name, and for several requests. */
const wordsOf: Record<string, readonly [subject: RegExp, problem: RegExp, several: RegExp]> = {
  en: [
    /^Received, not registered: SW-/,
    /^ {2}line 5, field 2a: .*not a domain name: no name$/m,
    /read in your mail: 2/,
  ],
  fr: [
    /^Reçue, pas enregistrée : SW-/,
    /^ {2}ligne 5, champ 2a\u00a0: .*nom de domaine\u00a0: no name$/m,
    /lues .*\u00a0: 2/,
  ],
  de: [/^Eingegangen, nicht registriert: SW-/, /^ {2}Zeile 5, Feld 2a: .*kein Domainname: no name$/m, /Anträge: 2/],
  es: [/^Recibida, no registrada: SW-/, /^ {2}línea 5, campo 2a: .*nombre de dominio: no name$/m, /mensaje: 2/],
};
for (const [language, [subject, problem, several]] of Object.entries(wordsOf)) {
  test(`an acknowledgement in ${language} says what was read and what was not`, async () => {
    const text = '1a..: C\r\n2a..: mühle.fr\r\n\r\n1a..: D\r\n2a..: no name\r\n';
    const kept = stored(Buffer.from(`Content-Type: text/plain; charset=utf-8\r\n\r\n${text}`));
    const mail = await simpleParser(await acknowledge(kept, language));
    assert.match(mail.subject ?? '', subject);
    assert.match(mail.text ?? '', problem);
    assert.match(mail.text ?? '', several);
    assert.match(mail.text ?? '', /^ {2}1\. create mühle\.fr \(xn--mhle-0ra\.fr\)$/m);
    assert.match(String(mail.html), new RegExp(`<html lang="${language}">[^]*mühle\\.fr \\(xn--mhle-0ra\\.fr\\)`));
    assert.doesNotMatch(`${mail.text}${String(mail.html)}`, /\{\{|undefined/);
  });
}

test('an acknowledgement lists a bounded number of requests and names, and counts the rest', async () => {
  const keys = Array.from({ length: 60 }, (_, index) => `key: n${index}.example\r\nfor: X\r\n`).join('\r\n');
  const mail = await simpleParser(await acknowledge(stored(`Subject: s\r\n\r\n${keys}`)));
  assert.equal(mail.text?.match(/^Seawall-Name: /gm)?.length, 50);
  assert.match(mail.text ?? '', /^Seawall-More-Requests: 10\nSeawall-More-Names: 10\n/m);
  assert.match(mail.text ?? '', /^ {2}50\. n49\.example\n {2}further requests: 10$/m);
  const one = `1a..: C\r\n${Array.from({ length: 60 }, (_, index) => `2a..: n${index}.fr\r\n`).join('')}`;
  assert.match(
    (await simpleParser(await acknowledge(stored(`\r\n${one}`)))).text ?? '',
    /^ {2}n49\.fr\n {2}further names: 10$/m,
  );
});

test('French reads as French, and accents survive', async () => {
  const mail = await simpleParser(await acknowledge(stored(await sample('multipart-html')), 'fr'));
  assert.match(mail.subject ?? '', /^Reçue, pas enregistrée : SW-/);
  assert.match(mail.text ?? '', /REÇUE NE VEUT PAS DIRE ENREGISTRÉE\u00a0:/);
  assert.match(mail.text ?? '', /samedi 21 novembre 2026, 09:00:00\.123 UTC/);
  assert.match(mail.text ?? '', /^ {2}pluvier-doré\.fr \(xn--pluvier-dor-lbb\.fr\)$/m);
  assert.match(mail.text ?? '', /Demande pour pluvier-doré\.fr/);
});

test('an acknowledgement says who sends it, where to ask, and the local time; people read one word for one thing', async () => {
  const sender = {
    registry: 'Registry of .example',
    contact: 'hostmaster@registry.example, +33 1 23 45 67 89',
    reply_to: 'Help <help@registry.example>',
    time_zone: 'Europe/Paris',
  };
  const compose = composer({ from: 'a@b.example', name: 'n', sender, languages, recipientOf: toSender('fr') });
  const kept = stored('Subject: s\r\n\r\noperation: request\r\nkey: a.example\r\nfor: X\r\n');
  const readable = await readMail(kept.message, parse);
  assert.ok(readable);
  const mail = await simpleParser(compose(kept, parseRequests(readable), fieldsOf(kept.message))?.bytes ?? '');
  assert.equal(mail.replyTo?.text, '"Help" <help@registry.example>');
  assert.match(mail.text ?? '', /^Heure locale\u00a0: +samedi 21 novembre 2026 à 10:00:00 UTC\+1$/m);
  assert.match(
    mail.text ?? '',
    /Les réponses vont à Help <help@registry\.example>\.\n\nRegistry of \.example\nhostmaster@/,
  );
  assert.match(mail.text ?? '', /^Nom lu dans votre demande\u00a0:$/m);
  assert.match(mail.text ?? '', /^Opération\u00a0: +create$/m);
  assert.match(mail.text ?? '', /^Seawall-Operation: request$/m);
  assert.doesNotMatch(mail.text ?? '', /[ \t]$/m);
  const of = (more: Partial<typeof sender>) => () =>
    composer({ from: 'a@b', name: 'n', sender: { ...sender, ...more }, languages, recipientOf: toSender('en') });
  assert.throws(of({ reply_to: 'nobody' }), /ack\.reply_to wants a mail address/);
  assert.throws(of({ time_zone: 'Mars/Olympus' }), /ack\.time_zone wants a zone such as Europe\/Paris/);
});

test('the same request gives the same bytes, another one does not', async () => {
  const message = await sample('rri-create');
  assert.deepEqual(await acknowledge(stored(message)), await acknowledge(stored(message)));
  assert.notDeepEqual(await acknowledge(stored(message)), await acknowledge(stored(await sample('internic-new'))));
});

test('a password in a request never reaches its acknowledgement', async () => {
  for (const name of ['afnic-create', 'rpsl-object']) {
    const bytes = await acknowledge(stored(await sample(name)));
    const mail = await simpleParser(bytes);
    assert.doesNotMatch(`${bytes.toString()}${mail.text}${String(mail.html)}`, /not-for-logs/);
  }
});

test('a hostile subject stays text', async () => {
  const mail = await simpleParser(await acknowledge(stored(await sample('hostile-subject'))));
  assert.equal(mail.inReplyTo, undefined);
  assert.ok(mail.text?.includes('Your subject:   <![CDATA[</message></request>&amp;<fake/>]]>'));
  assert.ok(mail.text?.includes('Your reference: ${jndi:ldap://x}'));
  const html = String(mail.html);
  assert.ok(html.includes('&lt;![CDATA[&lt;/message&gt;&lt;/request&gt;&amp;amp;&lt;fake/&gt;]]&gt;'));
  assert.doesNotMatch(html, /<fake|<!\[CDATA/);
});

test('nothing in a mail adds a header or a part to its acknowledgement', async () => {
  const evil = 'x\r\nBcc: victim@example.org\r\n\r\n--=_SW-000000001-_\r\nContent-Type: text/html';
  const subject = `=?utf-8?B?${Buffer.from(evil).toString('base64')}?=`;
  const kept = stored(
    `Subject: ${subject}\r\nMessage-ID: <a@b>\r\n Bcc: y@z\r\nReferences: <ok@a>\r\n\r\n1e..: --=_SW-000000001-_\r\n2a..: a.fr\r\n`,
  );
  const bytes = await acknowledge(kept);
  const mail = await simpleParser(bytes);
  assert.equal(mail.bcc, undefined);
  assert.equal(mail.attachments.length, 0);
  assert.match(mail.text ?? '', /Replies are not read/);
  assert.match(String(mail.html), /<\/html>/);
  const header = bytes.toString().split('\r\n\r\n')[0] ?? '';
  assert.doesNotMatch(header, /^(bcc|to: .*victim)/im);
  assert.doesNotMatch(bytes.toString(), /(^|[^\r])\n|\r(?!\n)/, 'line ends are CRLF');
});

test('every line is short enough and ASCII, whatever is quoted', async () => {
  const subject = Buffer.from(`${'ünïcödé '.repeat(40)}${'x'.repeat(300)}`).toString('base64');
  const references = Array.from({ length: 40 }, (_, each) => `<${'r'.repeat(150)}${each}@a.example>`).join(' ');
  for (const language of ['en', 'fr', 'de', 'es']) {
    const kept = stored(
      Buffer.from(
        `Subject: =?utf-8?B?${subject}?=\r\nMessage-ID: <m@a>\r\nReferences: ${references}\r\n\r\n2a..: ü.example`,
      ),
    );
    const bytes = await acknowledge(kept, language);
    for (const line of bytes.toString('latin1').split('\r\n')) {
      assert.match(line, /^[\t -~]{0,998}$/);
    }
    const mail = await simpleParser(bytes);
    assert.equal([mail.references].flat().length, 21);
    assert.match(mail.text ?? '', /^Seawall-Name: xn--tda\.example$/m);
  }
});

test('header text comes back as it was', async () => {
  for (const text of [
    'plain',
    '=?utf-8?B?eA==?= looks encoded',
    'é'.repeat(120),
    '😀'.repeat(40),
    `${'word '.repeat(60)}end`,
    '',
  ]) {
    const mail = await simpleParser(`Subject: ${headerText(text)}\r\n\r\nx`);
    assert.equal(mail.subject ?? '', text);
  }
});

test('text parts come back as they were, encoded or not', async () => {
  for (const text of [
    'a\n.\n..\nFrom x',
    'é=\n=20 \n',
    '=é'.repeat(200),
    'x'.repeat(2_000),
    'tab\tand\u0001control',
    'boundary-b',
  ]) {
    const mail = await simpleParser(textPart('plain', text, 'boundary-b'));
    assert.equal(mail.text?.trimEnd(), text.trimEnd());
  }
});

test('a sender address that cannot stand in a header gets no acknowledgement', async () => {
  const compose = composer({ from: 'a@b', name: 'n', languages, recipientOf: toSender('en') });
  const to = (from: string): unknown => compose(stored('x', from), unparsedMail, new Map())?.to;
  for (const bad of ['a b@c', 'a@b\r\nBcc: x@y', 'no-at-sign', '<a@b>', `${'a'.repeat(400)}@b`])
    assert.equal(to(bad), undefined);
  for (const good of ['a+b@c.example', '"quoted"@c.example', 'a@[192.0.2.1]', 'jörg@müller.example'])
    assert.equal(to(good), good);
});

const make = (from: string): unknown => composer({ from, name: 'n', languages, recipientOf: toSender('en') });

test('ack.from is checked at start', () => {
  assert.throws(() => make('Registry registry@'), { name: 'ConfigError', message: /ack\.from/ });
  assert.throws(() => make('R <a@b>\r\nBcc: c@d'), { name: 'ConfigError' });
  make('registry@example.org');
});

test('an acknowledgement says at which hour the request came, and that a rehearsal counts for nothing', async () => {
  const kept = stored(await sample('afnic-create'));
  const { client } = kept;
  const circumstances = [
    [
      { phase: 'a-f' },
      { en: /Phase\b.*a-f/, fr: /Phase\b.*a-f/, de: /Phase\b.*a-f/, es: /Fase\b.*a-f/ },
      'seawall-phase',
    ],
    [
      { early: true },
      { en: /before the opening/i, fr: /avant l'ouverture/i, de: /vor der öffnung/i, es: /antes de la apertura/i },
      'seawall-early',
    ],
    [
      { late: true },
      {
        en: /after the closing time/i,
        fr: /après la fermeture/i,
        de: /nach annahmeschluss/i,
        es: /después del cierre/i,
      },
      'seawall-late',
    ],
    [
      { rehearsal: true },
      {
        en: /this is a rehearsal/i,
        fr: /ceci est une répétition/i,
        de: /dies ist ein probelauf/i,
        es: /esto es un ensayo/i,
      },
      'seawall-rehearsal',
    ],
  ] as const;
  for (const [stamps, words, header] of circumstances) {
    for (const language of ['en', 'fr', 'de', 'es'] as const) {
      const plain = await simpleParser(await acknowledge(kept, language));
      assert.equal(plain.headers.get(header), undefined);
      assert.doesNotMatch(plain.text ?? '', words[language]);
      const mail = await simpleParser(await acknowledge({ ...kept, client: { ...client, ...stamps } }, language));
      assert.equal(mail.headers.get(header), 'phase' in stamps ? 'a-f' : 'yes');
      assert.match(mail.text ?? '', words[language]);
      assert.match(String(mail.html), words[language]);
      assert.equal(mail.subject?.startsWith('[REHEARSAL] '), 'rehearsal' in stamps);
    }
  }
});

for (const language of languages.keys()) {
  test(`an acknowledgement in ${language} says the same facts, its date in its own words`, async () => {
    const kept = stored(await sample('afnic-create'));
    const mail = await simpleParser(await acknowledge(kept, language));
    assert.equal(mail.headers.get('content-language'), language);
    const day = new Intl.DateTimeFormat(language, { dateStyle: 'full', timeZone: 'UTC' }).format(kept.receivedAt);
    for (const body of [mail.text ?? '', String(mail.html)]) {
      for (const fact of [kept.ticket, kept.sha256, '2026-11-21T09:00:00.123Z', day])
        assert.ok(body.includes(fact), `${fact} in ${body}`);
    }
  });
}

const entry = (id: string, extra: object): string =>
  `[[registrar]]\nid = "${id}"\nname = "R"\nsenders = ["ops@registres.example"]\n${Object.entries(extra)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
    .join('')}`;

const book = (extra: object, id = 'r'): RegistrarBook => parseRegistrarBook('book', entry(id, extra));

test('the book says in which language and to whom; without its word it is the house and the sender', () => {
  const kept = stored('x');
  const known = { ...kept, client: { ...kept.client, registrar: { id: 'r', by: 'network' as const } } };
  const full = book({ language: 'fr', contact: 'accuses@registres.example' });
  const sender = { to: 'ops@registres.example', language: 'en', contact: false };
  assert.deepEqual(recipientOf(known, full, 'en'), { to: 'accuses@registres.example', language: 'fr', contact: true });
  assert.deepEqual(recipientOf(known, book({ language: 'fr' }), 'en'), { ...sender, language: 'fr' });
  // Nobody known by the book, a book that no longer has the registrar, and no book.
  assert.deepEqual(recipientOf(kept, full, 'en'), sender);
  assert.deepEqual(recipientOf(known, book({ language: 'fr' }, 'other'), 'en'), sender);
  assert.deepEqual(recipientOf(known, undefined, 'en'), sender);
});
