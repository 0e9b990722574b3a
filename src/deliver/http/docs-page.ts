// The page at /soap for a person with a browser: every operation, its fields, its faults, and an envelope to copy.
// Takes the endpoint's address, gives HTML without scripts. Fails on nothing.

import { faultCodes, namespace, operationNames, operationOf, type OperationName } from '../soap/contract.ts';
import { soapNamespace } from '../soap/fault.ts';
import type { Field } from '../soap/schema.ts';
import { escapeXml } from '../soap/xml-write.ts';

/** A value that an argument could have. */
function exampleOf({ name, type, least = 1 }: Field): string {
  if (name === 'leaseToken') return '1-4f0c2a-17.pX3…';
  if (name === 'place') return 'tail';
  if (type === 'dateTime') return '2026-11-21T09:00:00.000Z';
  if (type === 'string') return `my-${name}`;
  return String(name.endsWith('Ms') ? 30_000 : Math.max(least, 5));
}

function exampleEnvelope(name: OperationName): string {
  const given = operationOf(name).input.filter(({ optional, example }) => !optional || example);
  return [
    `<soap:Envelope xmlns:soap="${soapNamespace}">`,
    '  <soap:Body>',
    `    <${name} xmlns="${namespace}">`,
    ...given.map((field) => `      <${field.name}>${exampleOf(field)}</${field.name}>`),
    `    </${name}>`,
    '  </soap:Body>',
    '</soap:Envelope>',
  ].join('\n');
}

/** Fields as rows, those of a record below it. */
function rowsOf(fields: readonly Field[], above = ''): string {
  return fields
    .map((field) => {
      const type = typeof field.type === 'string' ? field.type : field.type.record;
      const often = field.many ? ', any number' : field.optional ? ', optional' : '';
      const row = `<tr><td><code>${above}${field.name}</code><td>${type}${often}<td>${escapeXml(field.help)}`;
      return typeof field.type === 'string' ? row : row + rowsOf(field.type.fields, `${above}${field.name}/`);
    })
    .join('\n');
}

const tableOf = (title: string, fields: readonly Field[]): string =>
  fields.length === 0 ? `<p>${title}: nothing.</p>` : `<table><caption>${title}</caption>${rowsOf(fields)}</table>`;

function sectionOf(name: OperationName): string {
  const { help, input, output, faults, roles } = operationOf(name);
  return `<section id="${name}"><h2>${name}</h2>
<p>${escapeXml(help)}</p>
${tableOf('In', input)}
${tableOf('Out', output)}
<p>Faults of its own: ${faults.join(', ') || 'none'}. Roles: ${roles.join(', ')}.</p>
<details><summary>An envelope to copy</summary><pre>SOAPAction: "${namespace}#${name}"

${escapeXml(exampleEnvelope(name))}</pre></details></section>`;
}

const style =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}' +
  'table{border-collapse:collapse;margin:.5rem 0}caption{text-align:left;font-weight:600}' +
  'td{border-top:1px solid #ccc;padding:.2rem .8rem .2rem 0;vertical-align:top}pre{overflow:auto;background:#f4f4f4;padding:1rem}';

/** @param address the URL of the endpoint as the browser reached it */
export function docsPage(address: string): string {
  const link = escapeXml(`${address}?wsdl`);
  const codes = Object.entries(faultCodes).map(
    ([code, meaning]) => `<dt><code>${code}</code><dd>${escapeXml(meaning)}`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Seawall: the registry’s SOAP endpoint</title><style>${style}</style></head>
<body><h1>Seawall: the registry’s SOAP endpoint</h1>
<p>SOAP 1.1, document/literal wrapped. The WSDL: <a href="${link}">${link}</a></p>
<p>The careful loop: <a href="#Fetch">Fetch</a> with an attemptId that you have written down, process each request in its
order, <a href="#Confirm">Confirm</a> through the last one. When a reply is lost, or after a crash, ask again with the same
attemptId: you get the same batch. Before you process a request, look whether you know its ticket already.</p>
<p>The order, as the operator has set it in <code>deliver.order</code>. <em>strict</em>: one lease at a time, at the head of
the queue; nothing is delivered before everything that came earlier is confirmed or parked. <em>by-name</em>: several leases
at a time; two requests for the same domain name are never out together, and the earlier one goes first; requests in which
no name was recognised keep their order among themselves. Whatever expires or is released goes back to its own place.</p>
<nav><p>${operationNames.map((name) => `<a href="#${name}">${name}</a>`).join(' · ')}</p></nav>
${operationNames.map(sectionOf).join('\n')}
<h2>Faults</h2><p>HTTP 500 and a Fault whose detail is a <code>QueueFault</code> with one of these codes:</p>
<dl>${codes.join('\n')}</dl>
</body></html>
`;
}
