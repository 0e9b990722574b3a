import { equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { operationNames } from '../../src/deliver/soap/contract.ts';
import { openStage, post } from '../support/deliver.ts';

const unescape = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');

test('the page explains each operation, and each envelope on it is taken', async (t) => {
  const { url } = await openStage(t);
  const response = await fetch(url);
  equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  const html = await response.text();
  match(html, new RegExp(`href="${url}\\?wsdl"`));
  ok(!/<script/i.test(html));
  const envelopes = [...html.matchAll(/<pre>SOAPAction: (\S+)\n\n([^]*?)<\/pre>/g)];
  equal(envelopes.length, operationNames.length);
  for (const [, soapaction = '', text = ''] of envelopes) {
    const answer = await post(url, unescape(text), { soapaction });
    // What is wrong with an example can only be that its token or its request is not real.
    ok(
      answer.status === 200 || ['LEASE_LOST', 'NOT_FOUND'].includes(answer.code ?? ''),
      `${soapaction}: ${answer.text}`,
    );
  }
});

test('the WSDL is given under both names by which clients ask for it', async (t) => {
  const { url } = await openStage(t);
  const wsdl = await (await fetch(`${url}?wsdl`)).text();
  match(wsdl, /<wsdl:definitions|<definitions/);
  const single = await fetch(`${url}?singleWsdl`);
  equal(single.headers.get('content-type'), 'text/xml; charset=utf-8');
  equal(await single.text(), wsdl);
  ok(!/<(xs|xsd|wsdl):(import|include)/.test(wsdl));
});
