import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { namespace, operationNames, operationOf } from '../../src/deliver/soap/contract.ts';
import { wsdl } from '../../src/deliver/soap/wsdl.ts';
import { readXml, type XmlElement } from '../../src/deliver/soap/xml-read.ts';
import { sanitizeText, escapeXml, writeFields } from '../../src/deliver/soap/xml-write.ts';

const wsdlSpace = 'http://schemas.xmlsoap.org/wsdl/';
const soapSpace = 'http://schemas.xmlsoap.org/wsdl/soap/';
const xsdSpace = 'http://www.w3.org/2001/XMLSchema';

const attributeOf = (element: XmlElement, name: string): string | undefined =>
  element.attributes.find((each) => each.name === name)?.value;

function* everyElement(element: XmlElement): Generator<XmlElement> {
  yield element;
  for (const child of element.children) yield* everyElement(child);
}

// The reader of hostile messages has a cap on elements that a whole WSDL exceeds: it is read in its parts.
const text = wsdl('http://registry.example:8025/soap');
const [schemaText = ''] = /<xsd:schema[^]*<\/xsd:schema>/.exec(text) ?? [];
const schema = [...schemaText.matchAll(/^<xsd:(?:element|complexType)[^]*?$/gm)].map(([line]) =>
  readXml(line.replace('>', ` xmlns:xsd="${xsdSpace}">`)),
);
const rest = readXml(text.replace(/^<xsd:(?:element|complexType).*$/gm, ''));
const all = [...everyElement(rest)];
const named = (name: string, space = wsdlSpace): XmlElement[] =>
  all.filter((each) => each.name === name && each.namespace === space);

test('the schema is one, qualified, and uses only what every toolkit knows', () => {
  const [root, ...others] = named('schema', xsdSpace);
  ok(root && others.length === 0);
  equal(attributeOf(root, 'targetNamespace'), namespace);
  equal(attributeOf(root, 'elementFormDefault'), 'qualified');
  equal(schema.length, schemaText.split('\n').length - 2);
  const known = ['element', 'complexType', 'sequence', 'annotation', 'documentation'];
  const types = ['string', 'unsignedInt', 'unsignedLong', 'boolean', 'dateTime', 'double', 'base64Binary'];
  const records = schema.filter(({ name }) => name === 'complexType').map((each) => attributeOf(each, 'name'));
  for (const element of schema.flatMap((each) => [...everyElement(each)])) {
    equal(element.namespace, xsdSpace);
    ok(known.includes(element.name), element.name);
    ok(attributeOf(element, 'nillable') === undefined);
    const [prefix, type] = attributeOf(element, 'type')?.split(':') ?? [];
    if (prefix === 'xsd') ok(types.includes(type ?? ''), type);
    if (prefix === 'tns') ok(records.includes(type), type);
  }
});

test('optional is minOccurs 0, many is unbounded, everything else is required', () => {
  for (const operation of operationNames) {
    for (const [name, fields] of [
      [operation, operationOf(operation).input],
      [`${operation}Response`, operationOf(operation).output],
    ] as const) {
      const wrapper = schema.find((each) => attributeOf(each, 'name') === name);
      const sequence = wrapper?.children[0]?.children[0]?.children ?? [];
      deepEqual(
        sequence.map((each) => [
          attributeOf(each, 'name'),
          attributeOf(each, 'minOccurs'),
          attributeOf(each, 'maxOccurs'),
        ]),
        fields.map((each) => [
          each.name,
          each.optional || each.many ? '0' : undefined,
          each.many ? 'unbounded' : undefined,
        ]),
      );
    }
  }
});

// The rules of WS-I Basic Profile 1.1 that bear on a document/literal service.
const rules: Record<string, () => void> = {
  'R2201, R2204: one part a message, and it names an element': () => {
    for (const message of named('message')) {
      equal(message.children.length, 1);
      ok(attributeOf(message.children[0] ?? message, 'element')?.startsWith('tns:'));
    }
  },
  'R2303, R2304: no solicit-response, no overloading': () => {
    const operations = named('portType')[0]?.children ?? [];
    deepEqual(
      operations.map((each) => attributeOf(each, 'name')),
      operationNames,
    );
    for (const each of operations) {
      deepEqual(
        each.children.map(({ name }) => name),
        ['documentation', 'input', 'output', 'fault'],
      );
    }
  },
  'R2401, R2701, R2702: a SOAP binding over HTTP': () => {
    const [binding, ...others] = named('binding', soapSpace);
    ok(binding && others.length === 0);
    equal(attributeOf(binding, 'transport'), 'http://schemas.xmlsoap.org/soap/http');
  },
  'R2705, R2706: document and literal throughout': () => {
    for (const each of named('operation', soapSpace)) equal(attributeOf(each, 'style'), 'document');
    for (const each of [...named('body', soapSpace), ...named('fault', soapSpace)])
      equal(attributeOf(each, 'use'), 'literal');
  },
  'R2716, R2721, R2754: no namespace on a body, a fault bears the name of its fault': () => {
    for (const each of named('body', soapSpace)) equal(attributeOf(each, 'namespace'), undefined);
    for (const fault of named('fault').filter(({ children }) => children.length > 0)) {
      equal(attributeOf(fault, 'name'), attributeOf(fault.children[0] ?? fault, 'name'));
    }
  },
  'R2718: the binding has every operation of the port type': () => {
    const bound = named('binding')[0]?.children.filter(({ name }) => name === 'operation') ?? [];
    deepEqual(
      bound.map((each) => attributeOf(each, 'name')),
      operationNames,
    );
  },
  'R2744, R2745: soapAction is written out': () => {
    deepEqual(
      named('operation', soapSpace).map((each) => attributeOf(each, 'soapAction')),
      operationNames.map((name) => `${namespace}#${name}`),
    );
  },
  'R2001, R2007: nothing is imported': () => {
    equal(all.filter(({ name }) => name === 'import' || name === 'include').length, 0);
  },
  'R2023, R2028: types, messages, port type, binding, service, in this order': () => {
    deepEqual(
      [...new Set(rest.children.map(({ name }) => name))],
      ['types', 'message', 'portType', 'binding', 'service'],
    );
  },
};

for (const [rule, check] of Object.entries(rules)) test(`WS-I Basic Profile 1.1 ${rule}`, check);

test('every tns name leads to something', () => {
  const elements = schema.filter(({ name }) => name === 'element').map((each) => attributeOf(each, 'name'));
  for (const part of named('part')) ok(elements.includes(attributeOf(part, 'element')?.slice(4)));
  const messages = named('message').map((each) => attributeOf(each, 'name'));
  for (const each of [...named('input'), ...named('output'), ...named('fault')]) {
    const message = attributeOf(each, 'message');
    if (message !== undefined) ok(messages.includes(message.slice(4)), message);
  }
});

test('text is cleaned of what XML cannot carry, and nothing else', () => {
  equal(sanitizeText('a\u0000\u0001\u000B\uFFFE\uD800b\uDC00'), 'a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDb\uFFFD');
  equal(sanitizeText('é😀\t\n'), 'é😀\t\n');
  equal(escapeXml('<![CDATA[x]]>&"\'\r'), '&lt;![CDATA[x]]&gt;&amp;&quot;&apos;&#13;');
});

test('elements come in the order of the schema, absent ones not at all', () => {
  const fields = [
    { name: 'a', type: 'string', help: '' },
    { name: 'b', type: 'dateTime', optional: true, help: '' },
    { name: 'c', type: 'base64Binary', many: true, help: '' },
  ] as const;
  equal(
    writeFields(fields, { c: [Buffer.from('x'), Buffer.from('y')], b: 0, a: 'z' }),
    '<a>z</a><b>1970-01-01T00:00:00.000Z</b><c>eA==</c><c>eQ==</c>',
  );
  equal(writeFields(fields, { b: undefined, a: '', c: [] }), '<a></a>');
});
