import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultCodes, operationNames, operationOf } from '../../src/deliver/soap/contract.ts';
import { readXml } from '../../src/deliver/soap/xml-read.ts';
import { envelope, openStage, operation, post } from '../support/deliver.ts';

// More of it: FUZZ_RUNS=100000 FUZZ_SEED=7 node --import tsx --test test/deliver/fuzz.test.ts
const numRuns = Number(process.env.FUZZ_RUNS ?? 400);
const seed = process.env.FUZZ_SEED === undefined ? {} : { seed: Number(process.env.FUZZ_SEED) };

/** Pieces that mean something to XML, SOAP, HTTP or JavaScript. */
const pieces = [
  [
    '<',
    '>',
    '/>',
    '</',
    '&',
    '&amp;',
    '&#0;',
    '&#x110000;',
    '&lt;',
    '"',
    "'",
    '=',
    ':',
    ' ',
    '\n',
    '\0',
    '\uFEFF',
    '\uD800',
  ],
  ['<!--', '-->', '<![CDATA[', ']]>', '<?xml version="1.0"?>', '<?x ?>', '<!DOCTYPE x>', '<!ENTITY a "b">', '&a;'],
  ['id="__proto__"', 'href="#x"', '__proto__', 'constructor', 'toString', '$value', 'attributes', '_xml'],
  ['xmlns=""', 'xmlns:w="urn:x"', 'xsi:nil="true"', 's:mustUnderstand="1"', 'xsi:type="xsd:base64Binary"'],
  ['<s:Header/>', '<s:Body>', '</s:Body>', '<s:Fault/>', 'Envelope', '<w:Fetch/>', '<clientId>y</clientId>'],
  ['-1', '0', '1e9', '99999999999999999999', 'NaN', 'true', '2026-02-30T00:00:00Z', '{{x}}', '%n', "' OR 1=1"],
].flat();

const valid = fc.constantFrom(...operationNames).map((name) => {
  const inner = operationOf(name).input.map((field) => {
    const value = field.type === 'string' ? 'x' : field.type === 'dateTime' ? '2026-11-21T09:00:00Z' : '1';
    return `<${field.name}>${value}</${field.name}>`;
  });
  return envelope(operation(name, inner.join('')));
});

type Edit = readonly [kind: 'insert' | 'replace' | 'remove' | 'double', at: number, length: number, piece: string];

const edit: fc.Arbitrary<Edit> = fc.tuple(
  fc.constantFrom('insert' as const, 'replace' as const, 'remove' as const, 'double' as const),
  fc.nat({ max: 600 }),
  fc.integer({ min: 1, max: 40 }),
  fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 5 })),
);

function edited(text: string, [kind, place, length, piece]: Edit): string {
  const at = place % (text.length + 1);
  const cut = text.slice(at, at + length);
  const middle = { insert: piece + cut, replace: piece, remove: '', double: cut + cut }[kind];
  return text.slice(0, at) + middle + text.slice(at + length);
}

test('whatever is done to a message, the answer is whole and typed, and nothing of ours breaks', async (t) => {
  const { url } = await openStage(t);
  await fc.assert(
    fc.asyncProperty(valid, fc.array(edit, { minLength: 1, maxLength: 6 }), async (text, edits) => {
      const message = edits.reduce(edited, text);
      const { status, text: answer, code } = await post(url, message);
      ok([200, 500].includes(status), `${status}`);
      const body = readXml(answer).children[0]?.children[0];
      equal(body?.name === 'Fault', status === 500);
      if (status === 500) ok(code !== undefined && code in faultCodes && code !== 'INTERNAL', answer);
      equal(Object.keys(Object.prototype).length, 0);
    }),
    { numRuns, ...seed },
  );
});
