// What is read in a form, whatever stands in its fields and however it is written, and what is said about the rest.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, constantFrom, oneof, property, string } from 'fast-check';
import { parseDomainName } from '../../src/mail/domain-name.ts';
import { parseRequests } from '../../src/mail/parse-mail.ts';
import type { ParsedMail } from '../../src/model/parsed-mail.ts';

const read = (text: string, subject = ''): ParsedMail => parseRequests({ subject, lines: text.split('\n') });

/** `create a.example b.example [R-1]` for each request. */
const requestsOf = ({ requests }: ParsedMail): string[] =>
  requests.map(({ operation = '-', names, reference = '-' }) =>
    [operation, ...names.map(({ unicode }) => unicode), `[${reference}]`].join(' '),
  );

/** `2 2a not-a-name: foo` for each problem. */
const problemsOf = ({ problems }: ParsedMail): string[] =>
  problems.map(({ line, field, code, value }) => `${line} ${field} ${code}${value && `: ${value}`}`);

interface Case {
  readonly text: string;
  readonly subject?: string;
  readonly form?: string | undefined;
  readonly requests?: readonly string[];
  readonly problems?: readonly string[];
}

const well: Record<string, Case> = {
  'numbered, other case, spaces, tabs, more and fewer dots': {
    text: '\t1A . . .. : m\n1e.: R 7\n  2a........................ :\tÉtang-Neuf.FR. ',
    form: 'numbered',
    requests: ['modify étang-neuf.fr [R 7]'],
  },
  'numbered, without any dots': { text: '1a: D\n2a: a.fr', form: 'numbered', requests: ['delete a.fr [-]'] },
  'numbered, with the dots that an editor made of them': {
    text: '1a…: C\n2a…: a.fr',
    form: 'numbered',
    requests: ['create a.fr [-]'],
  },
  'numbered, with no-break spaces and a zero-width one': {
    text: '1a..\u00a0: C\n\u200b2a..:\u00a0a.fr\u00a0',
    form: 'numbered',
    requests: ['create a.fr [-]'],
  },
  'numbered, several forms': {
    text: '1a..: C\n1e..: R1\n2a..: a.fr\n\n1a..: T\n1e..: R2\n2a..: b.fr\n1a..: D\n2a..: c.fr',
    form: 'numbered',
    requests: ['create a.fr [R1]', 'transfer b.fr [R2]', 'delete c.fr [-]'],
  },
  'numbered, several names under one operation': {
    text: '1a..: C\n2a..: a.fr\n2a..: b.fr\n2a..: A.FR',
    form: 'numbered',
    requests: ['create a.fr b.fr [-]'],
  },
  'numbered, and a signature that looks like one': {
    text: '1a..: C\n2a..: a.fr\n-- \n2a..: b.fr',
    form: 'numbered',
    requests: ['create a.fr [-]'],
  },
  'numbered, answering what was said before': {
    text: '> 1a..: D\n> 2a..: old.fr\n1a..: C\n2a..: new.fr',
    form: 'numbered',
    requests: ['create new.fr [-]'],
  },
  InterNIC: {
    text: 'Domain Version Number: 5.0\n0a. (N)EW (M)odify (D)elete: M\n2.Complete domain name ..: Fenland.Example.',
    form: 'internic',
    requests: ['modify fenland.example [-]'],
  },
  'InterNIC, several templates': {
    text: ['a', 'b']
      .map((each) => `0a. (N)ew (M)odify (D)elete...: N\n2. Complete Domain Name....: ${each}.example\n`)
      .join('\n'),
    form: 'internic',
    requests: ['new a.example [-]', 'new b.example [-]'],
  },
  'automaton, blank lines with spaces between requests': {
    text: 'KEY : Ruff.example\nFor : A\n \t\nkey: knot.example\noperation: Delete\nreference: 17\n\u00a0\nkey:dunlin.example\nfor: C',
    form: 'automaton',
    requests: ['- ruff.example [-]', 'delete knot.example [17]', '- dunlin.example [-]'],
  },
  'automaton, no blank line between requests': {
    text: 'key: ruff.example\nfor: A\nkey: knot.example\nfor: B',
    form: 'automaton',
    requests: ['- ruff.example [-]', '- knot.example [-]'],
  },
  'RRI, several orders': {
    text: 'ACTION: CREATE\nVersion: 5.0\nCTID: 1\nDOMAIN: straße.example\n=-=\nAction: chprov\nCtid: 2\nDomain: b.example\n=-=\n',
    form: 'rri',
    requests: ['create straße.example [1]', 'chprov b.example [2]'],
  },
  'RRI, no separator, both spellings of a name, a contact in a section': {
    text: 'Action: Create\nDomain: mühle.example\nDomain-Ace: xn--mhle-0ra.example\n[Holder]\nName: X\nDomain: no.example\n\nAction: Delete\nDomain: b.example',
    form: 'rri',
    requests: ['create mühle.example [-]', 'delete b.example [-]'],
  },
  'RRI, orders that are about no name': {
    text: 'Action: login\nVersion: 5.0\nUser: X\nPassword: s3cr3t\n=-=\nAction: create\nCtid: 3\nHandle: DENIC-1-A',
    form: 'rri',
    requests: ['login [-]', 'create [3]'],
  },
  'RPSL, continuation lines, comments, other objects, several domains': {
    text:
      '% a remark\ndomain:\n   snipe.example # in the marsh\ndescr: a\n+ : key: b\n\tdomain: no.example\nsource: EX\n\n' +
      'person: P\nsource: EX\nchanged: x\n\npassword: s3cr3t\n\nDomain : teal.example\nsource:EX\ndelete: over',
    form: 'rpsl',
    requests: ['- snipe.example [-]', 'delete teal.example [-]'],
  },
  'RPSL, all of it indented': {
    text: '  domain: snipe.example\n  descr: a\n  source: EX',
    subject: ' new ',
    form: 'rpsl',
    requests: ['new snipe.example [-]'],
  },
  'free text is no form, and that is no problem': {
    text: 'Bonjour,\n2 a. domain names: here\nkey: under the mat\n1. one\n-- \nDomain: a.example',
    form: undefined,
  },
};

const ill: Record<string, Case> = {
  'a numbered form without its name, its operation unknown': {
    text: 'Hello\n1a..: Z\n1e..: R\n3a..: x',
    requests: ['- [R]'],
    problems: ['2 1a unknown-operation: Z', '2 2a missing-field'],
  },
  'a name that is empty, one that is none, one with a long label, one too long': {
    text: `1a..: C\n2a..:\n1a..: C\n2a..: a b\u001b.fr\n1a..: C\n2a..: ${'a'.repeat(64)}.fr\n1a..: C\n2a..: ${'ab.'.repeat(100)}fr`,
    requests: ['create [-]', 'create [-]', 'create [-]', 'create [-]'],
    problems: [
      '2 2a missing-name',
      '4 2a not-a-name: a b .fr',
      `6 2a label-too-long: ${'a'.repeat(64)}.fr`,
      `8 2a name-too-long: ${'ab.'.repeat(100).slice(0, 79)}…`,
    ],
  },
  'a numbered line without its colon': {
    text: '1a..: C\n1e..: R\n2a.. a.fr\n1c.. s3cr3t',
    requests: ['create [R]'],
    problems: ['3 2a malformed-line', '4 1c malformed-line'],
  },
  'an InterNIC template without operation, its name without a colon': {
    text: 'Domain Version Number: 6.0\n\n2.  Complete Domain Name............ a.example\n0c. Auth Info.......... s3cr3t',
    requests: ['- [-]'],
    problems: ['1 0a missing-field', '3 2 malformed-line', '4 0c malformed-line'],
  },
  'an automaton request without a key, and one for nobody': {
    text: 'key: a.example\n\nfor: B\nnserver: x\n\nKey = c.example\nfor: C\n\noperation: fly\nkey: d.example\nfor: D',
    requests: ['- a.example [-]', '- [-]', '- [-]', '- d.example [-]'],
    problems: [
      '1 for missing-field',
      '3 key missing-field',
      '6 key malformed-line',
      '9 operation unknown-operation: fly',
    ],
  },
  'an RRI order without a name, one without an action, one that is not written well': {
    text: 'Action: Create\nVersion: 3.0\n=-=\nVersion: 3.0\nDomain: b.example\n=-=\nAction: Delete\nDomain c.example',
    requests: ['create [-]', '- b.example [-]', 'delete [-]'],
    problems: ['1 Domain missing-field', '4 Action missing-field', '8 Domain malformed-line'],
  },
  'an RPSL object without a name, one without a source': {
    text: 'descr: a\nchanged: x\nsource: EX\n\ndomain: 192.0.2.1\ndescr: b',
    requests: ['- [-]', '- [-]'],
    problems: ['1 domain missing-field', '5 domain not-a-name: 192.0.2.1', '5 source missing-field'],
  },
  'a form that is only quoted': {
    text: 'Any news of this?\n\n> Hello,\n> > 1a..: C\n> > 2a..: a.fr',
    form: undefined,
    problems: ['3 2a quoted-form'],
  },
};

for (const [name, { text, subject, form, requests = [], problems = [] }] of Object.entries({ ...well, ...ill })) {
  test(`understood: ${name}`, () => {
    const understood = read(text, subject);
    if (name in well || form) assert.equal(understood.form, form);
    assert.deepEqual(requestsOf(understood), requests);
    assert.deepEqual(problemsOf(understood), problems);
    assert.doesNotMatch(JSON.stringify(understood), /s3cr3t/);
  });
}

test('what all requests have in common stands for the mail', () => {
  const same = read('1a..: C\n1e..: R1\n2a..: a.fr\n1a..: C\n1e..: R2\n2a..: A.fr');
  assert.deepEqual([same.operation, same.reference, same.names.length], ['create', 'R1', 1]);
  assert.equal(read('1a..: C\n2a..: a.fr\n1a..: D\n2a..: b.fr').operation, undefined);
  assert.equal(read('1a..: C\n2a..: a.fr', 'x [TRID-5]').reference, 'TRID-5');
});

/** What it is written as in U-labels and A-labels; or what is wrong with it. */
const names: Record<string, readonly [unicode: string, ascii: string] | string> = {
  'heron.example': ['heron.example', 'heron.example'],
  'HERON.Example.': ['heron.example', 'heron.example'],
  '1-2--3.nl': ['1-2--3.nl', '1-2--3.nl'],
  'mühlenbach.example': ['mühlenbach.example', 'xn--mhlenbach-q9a.example'],
  'MÜHLENBACH.EXAMPLE': ['mühlenbach.example', 'xn--mhlenbach-q9a.example'],
  'mu\u0308hlenbach.example': ['mühlenbach.example', 'xn--mhlenbach-q9a.example'],
  'XN--MHLENBACH-Q9A.example': ['mühlenbach.example', 'xn--mhlenbach-q9a.example'],
  'xn--mhlenbach-q9a.mühle.example': ['mühlenbach.mühle.example', 'xn--mhlenbach-q9a.xn--mhle-0ra.example'],
  'mühle。example': ['mühle.example', 'xn--mhle-0ra.example'],
  'ｈｅｒｏｎ．example｡': ['heron.example', 'heron.example'],
  'straße.example': ['straße.example', 'xn--strae-oqa.example'],
  'مثال.إختبار': ['مثال.إختبار', 'xn--mgbh0fb.xn--kgbechtv'],
  'क्\u200dष.example': ['क्\u200dष.example', 'xn--11b2ezcw70k.example'],
  'l·l.example': ['l·l.example', 'xn--ll-0ea.example'],
  'a\u200db.example': 'not-a-name',
  heron: 'not-a-name',
  '.': 'not-a-name',
  'a..example': 'not-a-name',
  'a.example..': 'not-a-name',
  '.example': 'not-a-name',
  'a b.example': 'not-a-name',
  'a_b.example': 'not-a-name',
  '-a.example': 'not-a-name',
  'a-.example': 'not-a-name',
  '*.example': 'not-a-name',
  'a%41.example': 'not-a-name',
  'a.example:80': 'not-a-name',
  'http://a.example': 'not-a-name',
  'a.example/x': 'not-a-name',
  'you@a.example': 'not-a-name',
  '192.0.2.1': 'not-a-name',
  '1.2': 'not-a-name',
  'a.0x10': 'not-a-name',
  '[::1]': 'not-a-name',
  'xn--a.example': 'not-a-name',
  'xn--fr-.example': 'not-a-name',
  'xn--n3h.example': 'not-a-name',
  '☃.example': 'not-a-name',
  '\u0301e.example': 'not-a-name',
  '{{constructor}}.example': 'not-a-name',
  [`${'a'.repeat(63)}.example`]: [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
  [`${'a'.repeat(64)}.example`]: 'label-too-long',
  [`${'ü'.repeat(60)}.example`]: 'label-too-long',
  [`${'a.'.repeat(126)}a`]: [`${'a.'.repeat(126)}a`, `${'a.'.repeat(126)}a`],
  [`${'a.'.repeat(126)}ab`]: 'name-too-long',
  [`${'ü.'.repeat(60)}example`]: 'name-too-long',
};

for (const [text, wanted] of Object.entries(names)) {
  test(`a name: ${text.slice(0, 40)} is ${typeof wanted === 'string' ? wanted : wanted[1].slice(0, 40)}`, () => {
    const found = parseDomainName(text);
    const shown = typeof found === 'string' ? found : [found.unicode, found.ascii];
    assert.deepEqual(shown, wanted);
    if (typeof found === 'string') return;
    for (const spelling of [found.ascii, found.unicode]) assert.deepEqual(parseDomainName(spelling), found);
  });
}

test('of many problems the first twenty are told and the rest counted', () => {
  const {
    problems,
    moreProblems,
    names: many,
  } = read(Array.from({ length: 300 }, (_, index) => `2a..: n${index}.fr`).join('\n1a..: ?\n'));
  assert.equal(problems.length, 20);
  // Each request lacks a known operation: the first has none, the others an unknown one.
  assert.equal(problems.length + moreProblems, 300);
  assert.equal(many.length, 300);
});

// Each at sizes of which one is eight times the other: what is linear takes about eight times as long. Quadratic would be 64.
const heavy: Record<string, (size: number) => string> = {
  'one line of spaces': (size) => `2a..:${' '.repeat(size)}x`,
  'one line of dots': (size) => `2a${'.'.repeat(size)}x`,
  'one line of dots and spaces': (size) => `2a${'. '.repeat(size / 2)}x`,
  'one line of hyphens': (size) => `2a..: ${'a-'.repeat(size / 2)}.fr`,
  'one line of labels': (size) => `2a..: ${'a.'.repeat(size / 2)}`,
  'one line of combining marks': (size) => `2a..: e${'\u0301'.repeat(size)}.fr`,
  'one line of quotes': (size) => `${'>'.repeat(size)} x`,
  'one line of separators': (size) => `Action: x\nCtid: 1\n${'=-'.repeat(size / 2)}x`,
  'one word and spaces': (size) => `domain: a.fr\ndomain${' '.repeat(size)}= x`,
  'names, one a line': (size) => 'key: a.fr\nfor: x\n\n'.repeat(size / 18),
  'IDNs, one a line': (size) => '2a..: ü.fr\n'.repeat(size / 11),
  'continuation lines': (size) => `domain:\n${' a.fr\n'.repeat(size / 6)}`,
  'brackets in the subject': (size) => '[TRID-'.repeat(size / 6),
  'broken lines': (size) => '2a.. x\n'.repeat(size / 7),
  'InterNIC labels': (size) => `2.  domain name${' '.repeat(size)}...: a.fr\n2. ${'x'.repeat(size)}...`,
};

/** The least of several rounds, in milliseconds of this process's own time: what others do on the machine is not in it. */
function costOf(text: string): number {
  const lines = text.split('\n');
  // The system counts that time in steps: what is short is done so often that a step does not matter.
  const times = Math.max(1, Math.round(524_288 / text.length));
  const round = (): number => {
    const before = process.cpuUsage().user;
    for (let each = 0; each < times; each++) parseRequests({ subject: text, lines });
    return (process.cpuUsage().user - before) / 1_000 / times;
  };
  return Math.min(...Array.from({ length: 5 }, round));
}

for (const [name, make] of Object.entries(heavy)) {
  test(`the time grows with the length of the mail and no faster: ${name}`, () => {
    costOf(make(65_536));
    const small = costOf(make(65_536));
    const large = costOf(make(524_288));
    assert.ok(large < 24 * Math.max(small, 2), `64 KB took ${small} ms, 512 KB ${large} ms`);
  });
}

const fieldsOfForms = [
  '1a,1e,2a,1c,2.,0a. (N)ew (M)odify (D)elete,2. Complete Domain Name,Domain Version Number,key,for,operation,reference',
  'Action,Version,Domain,Domain-Ace,Ctid,Handle,domain,source,changed,descr,delete,password,person',
].flatMap((words) => words.split(','));
const between = [
  '..',
  ':',
  ': ',
  '=',
  ' ',
  '\t',
  '\u00a0',
  '\n',
  '\n\n',
  '\n> ',
  '\n-- \n',
  '\n=-=\n',
  '\n[x]\n',
  '+',
  '#',
  '\r',
];
const values = [
  'a.fr',
  'ü.fr',
  'xn--a.fr',
  'C',
  'create',
  '192.0.2.1',
  '\u202e',
  '\u0000',
  '\ud800',
  '__proto__',
  '%00',
  '😀',
];

test('whatever a mail holds, what is read of it is clean and bounded, and nothing throws', () => {
  const pieces = oneof(constantFrom(...fieldsOfForms), constantFrom(...between), constantFrom(...values));
  const runs = property(array(oneof({ arbitrary: pieces, weight: 6 }, string()), { maxLength: 120 }), (parts) => {
    const text = parts.join('');
    const understood = read(text, text);
    const { problems, requests, names: found, reference = '' } = understood;
    assert.ok(problems.length <= 20 && reference.length <= 200);
    assert.equal(new Set(found.map(({ ascii }) => ascii)).size, found.length);
    for (const { line, value } of problems) {
      assert.ok(line >= 1 && line <= text.split('\n').length && Array.from(value).length <= 80);
    }
    for (const { ascii } of found) assert.match(ascii, /^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$/);
    assert.ok(requests.flatMap(({ names: its }) => its).length <= text.split('\n').length);
    const shown = [understood.subject, reference, ...problems.map(({ value }) => value)];
    for (const each of shown) assert.doesNotMatch(each, /[\p{Cc}\p{Cs}\u202e]/u);
  });
  check(runs, { numRuns: 3_000, seed: 20_040_511 });
});
