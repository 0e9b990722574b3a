// The page at /soap for a person with a browser. Takes the endpoint's address, gives HTML. Fails on nothing.

import { operationNames, operationOf } from './contract.ts';
import { escapeXml } from './xml-write.ts';

/** @param address the URL of the endpoint as the browser reached it */
export function page(address: string): string {
  const rows = operationNames.map((name) => `<dt>${name}</dt><dd>${escapeXml(operationOf(name).help)}</dd>`);
  const link = escapeXml(`${address}?wsdl`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Seawall: SOAP</title></head>
<body><h1>Seawall</h1>
<p>This is a SOAP 1.1 endpoint. Its WSDL is at <a href="${link}">${link}</a>.</p>
<dl>${rows.join('\n')}</dl>
</body></html>
`;
}
