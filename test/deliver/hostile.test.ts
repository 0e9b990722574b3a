import { equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { call, envelope, filledLog, openStage, operation, post, valueOf } from '../support/deliver.ts';
import { JournalStore, MemoryLog, request } from '../support/memory.ts';
import { temporaryFolder } from '../support/spool.ts';
import { hashPassword } from '../../src/lib/auth/password-hash.ts';
import { DamagedLogError } from '../../src/model/errors.ts';
import type { DeliverEvent } from '../../src/deliver/leases/lease-state.ts';

let stop = async (): Promise<void> => undefined;
const later = { after: (run: () => Promise<void>): void => void (stop = run) };
after(() => stop());

let url = '';
let port = 0;

before(async () => {
  ({ url, port } = await openStage(later, {
    toml: '[soap]\nidle_seconds = 1\nbody_bytes = 65536\nconnections = 20\n',
  }));
});

const hello = operation('Hello', '<clientId>x</clientId>');

/** Every refusal is a whole SOAP 1.1 Fault with our detail; none tells where our code lies. */
function isFault(answer: Awaited<ReturnType<typeof post>>, code: string, status = 500): void {
  equal(answer.code, code, answer.text);
  equal(answer.status, status);
  equal(answer.type, 'text/xml; charset=utf-8');
  match(answer.text, /^<\?xml version="1.0" encoding="utf-8"\?><soap:Envelope .*<\/soap:Envelope>$/);
  match(valueOf(answer.text, 'faultcode') ?? '', /^soap:(Client|Server|VersionMismatch|MustUnderstand)$/);
  ok((valueOf(answer.text, 'faultstring') ?? '').startsWith(`${code}: `));
  ok(!/\.(ts|js):|node_modules| at /.test(answer.text), answer.text);
}

const header = (inner: string): string => `<s:Header>${inner}</s:Header>`;
const deep = `${'<a>'.repeat(100)}${'</a>'.repeat(100)}`;
const manyAttributes = Array.from({ length: 1_000 }, (_, each) => ` a${each}="1"`).join('');
const manyElements = '<clientId>x</clientId>'.repeat(2_000);

const refused: Record<
  string,
  [body: string | Buffer, code: string, headers?: Record<string, string>, status?: number]
> = {
  'nothing at all': ['', 'BAD_MESSAGE'],
  'no XML': ['hello', 'BAD_MESSAGE'],
  'XML cut off': [envelope(hello).slice(0, -5), 'BAD_MESSAGE'],
  'two roots': [`${envelope(hello)}<x/>`, 'BAD_MESSAGE'],
  'tags that cross': [envelope('<w:Hello xmlns:w="urn:seawall:registry:1"><a></w:Hello></a>'), 'BAD_MESSAGE'],
  'a document type': [`<!DOCTYPE x>${envelope(hello)}`, 'BAD_MESSAGE'],
  'an entity bomb': [
    `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>${envelope(operation('Hello', '<clientId>&b;</clientId>'))}`,
    'BAD_MESSAGE',
  ],
  'an entity nobody defined': [envelope(operation('Hello', '<clientId>&b;</clientId>')), 'BAD_MESSAGE'],
  'an entity named after a method of objects': [
    envelope(operation('Hello', '<clientId>&constructor;</clientId>')),
    'BAD_MESSAGE',
  ],
  'an ampersand alone': [envelope(operation('Hello', '<clientId>a & b</clientId>')), 'BAD_MESSAGE'],
  'a reference to a character that XML has not': [
    envelope(operation('Hello', '<clientId>&#0;</clientId>')),
    'BAD_MESSAGE',
  ],
  'a control character': [envelope(operation('Hello', '<clientId>\u0001</clientId>')), 'BAD_MESSAGE'],
  'a processing instruction': [`<?php echo 1 ?>${envelope(hello)}`, 'BAD_MESSAGE'],
  'a processing instruction inside': [envelope(`<?x y?>${hello}`), 'BAD_MESSAGE'],
  'a comment that never ends': [envelope(`<!-- ${hello}`), 'BAD_MESSAGE'],
  'an attribute twice': [envelope(operation('Hello', '<clientId a="1" a="2">x</clientId>')), 'BAD_MESSAGE'],
  'an attribute without quotes': [envelope(operation('Hello', '<clientId a=1>x</clientId>')), 'BAD_MESSAGE'],
  'a prefix nobody declared': [envelope('<q:Hello/>'), 'BAD_MESSAGE'],
  'deep nesting': [envelope(deep), 'BAD_MESSAGE'],
  'a thousand attributes': [envelope(operation('Hello', `<clientId${manyAttributes}>x</clientId>`)), 'BAD_MESSAGE'],
  'thousands of elements': [envelope(operation('Hello', manyElements)), 'BAD_MESSAGE'],
  'an id that would poison': [envelope(operation('Hello', '<clientId id="__proto__">x</clientId>')), 'BAD_MESSAGE'],
  'a reference in place of a value': [envelope(operation('Hello', '<clientId href="#1"/>')), 'BAD_MESSAGE'],
  'an element that would poison': [envelope(operation('Hello', '<__proto__>x</__proto__>')), 'BAD_MESSAGE'],
  'no Body': ['<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>', 'BAD_MESSAGE'],
  'an empty Body': [envelope(''), 'BAD_MESSAGE'],
  'two children in the Body': [envelope(hello + hello), 'BAD_MESSAGE'],
  'text in the Body': [envelope(`x${hello}`), 'BAD_MESSAGE'],
  'a Header behind the Body': [
    `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>${hello}</s:Body><s:Header/></s:Envelope>`,
    'BAD_MESSAGE',
  ],
  'no envelope': [hello, 'BAD_MESSAGE'],
  'a SOAP 1.2 envelope': [
    envelope(hello).replaceAll('http://schemas.xmlsoap.org/soap/envelope/', 'http://www.w3.org/2003/05/soap-envelope'),
    'VERSION_MISMATCH',
    { 'content-type': 'application/soap+xml' },
  ],
  'a header that must be understood': [
    envelope(hello, header('<t:T xmlns:t="urn:t" s:mustUnderstand="1"/>')),
    'MUST_UNDERSTAND',
  ],
  'an unknown operation': [envelope(operation('Nuke')), 'UNKNOWN_OPERATION'],
  'an operation named like a method of objects': [envelope(operation('constructor')), 'UNKNOWN_OPERATION'],
  'an answer in place of a call': [envelope(operation('HelloResponse')), 'UNKNOWN_OPERATION'],
  'another namespace': [envelope('<Hello xmlns="urn:other"><clientId>x</clientId></Hello>'), 'UNKNOWN_OPERATION'],
  'a SOAPAction that contradicts': [envelope(hello), 'BAD_MESSAGE', { soapaction: '"urn:seawall:registry:1#Fetch"' }],
  'an argument missing': [envelope(operation('Hello')), 'BAD_ARGUMENT'],
  'an argument empty': [envelope(operation('Hello', '<clientId/>')), 'BAD_ARGUMENT'],
  'an argument twice': [envelope(operation('Hello', '<clientId>a</clientId><clientId>b</clientId>')), 'BAD_ARGUMENT'],
  'an argument unknown': [envelope(operation('Hello', '<clientId>x</clientId><more>1</more>')), 'BAD_ARGUMENT'],
  'an argument with elements': [envelope(operation('Hello', '<clientId><b/></clientId>')), 'BAD_ARGUMENT'],
  'an argument of another namespace': [
    envelope(operation('Hello', '<clientId xmlns="urn:other">x</clientId>')),
    'BAD_ARGUMENT',
  ],
  'an argument too long': [envelope(operation('Hello', `<clientId>${'x'.repeat(5_000)}</clientId>`)), 'BAD_ARGUMENT'],
  'a number that is none': [
    envelope(operation('Confirm', '<leaseToken>x</leaseToken><throughSequence>NaN</throughSequence>')),
    'BAD_ARGUMENT',
  ],
  'a number below': [
    envelope(operation('Confirm', '<leaseToken>x</leaseToken><throughSequence>-1</throughSequence>')),
    'BAD_ARGUMENT',
  ],
  'a number beyond': [
    envelope(operation('Confirm', '<leaseToken>x</leaseToken><throughSequence>9007199254740993</throughSequence>')),
    'BAD_ARGUMENT',
  ],
  'a body too large': [envelope(hello) + ' '.repeat(70_000), 'TOO_LARGE', {}, 413],
  'a gzip bomb': [gzipSync(Buffer.alloc(50_000_000, 32)), 'TOO_LARGE', { 'content-encoding': 'gzip' }, 413],
  'broken gzip': [Buffer.from('this is no gzip'), 'BAD_MESSAGE', { 'content-encoding': 'gzip' }, 400],
  'cut-off gzip': [gzipSync(envelope(hello)).subarray(0, 40), 'BAD_MESSAGE', { 'content-encoding': 'gzip' }, 400],
  'another compression': [envelope(hello), 'BAD_MESSAGE', { 'content-encoding': 'br' }, 415],
  'another content': ['{}', 'BAD_MESSAGE', { 'content-type': 'application/json' }, 415],
  'another encoding': [envelope(hello), 'BAD_MESSAGE', { 'content-type': 'text/xml; charset=utf-7' }, 415],
  'bytes that are not UTF-8': [Buffer.from(envelope(hello.replace('>x<', '>\xff<')), 'latin1'), 'BAD_MESSAGE'],
};

for (const [name, [body, code, headers, status]] of Object.entries(refused)) {
  test(`refused with a typed Fault: ${name}`, async () => {
    isFault(await post(url, body, headers), code, status);
    equal((await call(url, 'Hello', { clientId: 'x' })).status, 200);
    equal(Object.keys(Object.prototype).length, 0);
  });
}

const utf16 = Buffer.from(`\uFEFF${envelope(hello)}`, 'utf16le');
const taken: Record<string, [body: string | Buffer, headers?: Record<string, string>]> = {
  'unqualified children': [envelope('<w:Hello xmlns:w="urn:seawall:registry:1"><clientId>x</clientId></w:Hello>')],
  'an XML declaration': [`<?xml version='1.0' encoding='UTF-8'?>\n${envelope(hello)}\n`],
  'a quoted SOAPAction': [envelope(hello), { soapaction: '"urn:seawall:registry:1#Hello"' }],
  'a bare SOAPAction': [envelope(hello), { soapaction: 'urn:seawall:registry:1#Hello' }],
  'an empty SOAPAction': [envelope(hello), { soapaction: '""' }],
  'a blank line before the declaration': [`\r\n <?xml version="1.0" encoding="UTF-8"?>${envelope(hello)}`],
  'UTF-8 that calls itself UTF-16': [`<?xml version="1.0" encoding="utf-16"?>${envelope(hello)}`],
  'UTF-8 that calls itself UTF-16 in the header': [envelope(hello), { 'content-type': 'text/xml; charset=utf-16' }],
  'UTF-16 with a mark': [utf16, { 'content-type': 'text/xml; charset=utf-16' }],
  'UTF-16 without a mark': [utf16.subarray(2), {}],
  'UTF-16, big end first': [Buffer.from(utf16).swap16(), {}],
  'UTF-8 with a mark': [`\uFEFF${envelope(hello)}`],
  gzip: [gzipSync(envelope(hello)), { 'content-encoding': 'gzip' }],
  'xsi:type on an argument': [
    envelope(
      operation(
        'Hello',
        '<clientId xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xsd:string" xmlns:xsd="http://www.w3.org/2001/XMLSchema">x</clientId>',
      ),
    ),
  ],
  'CDATA, comments and references': [
    envelope(
      `<!-- SoapUI -->${operation('Hello', '<!-- required --><clientId>a<![CDATA[<&>]]><!-- b -->&#x41;&lt;</clientId>')}`,
    ),
  ],
  'an unknown header that need not be understood': [
    envelope(hello, header('<t:T xmlns:t="urn:t" s:mustUnderstand="0"/>')),
  ],
  'a header for somebody else': [
    envelope(hello, header('<t:T xmlns:t="urn:t" s:mustUnderstand="1" s:actor="urn:other"/>')),
  ],
};

for (const [name, [body, headers]] of Object.entries(taken)) {
  test(`taken: ${name}`, async () => {
    const answer = await post(url, body, headers);
    equal(answer.status, 200, answer.text);
    equal(answer.type, 'text/xml; charset=utf-8');
    equal(valueOf(answer.text, 'serverVersion'), '0.0.0-test');
  });
}

/** Sends bytes as they are, and gives all that comes back until the other side closes. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

const close = 'Host: localhost\r\nConnection: close\r\n';
const rawTable: Record<string, [bytes: string, status: number]> = {
  'GET //': [`GET // HTTP/1.1\r\n${close}\r\n`, 404],
  'GET of a broken URL': [`GET http://[ HTTP/1.1\r\n${close}\r\n`, 404],
  'another path': [`POST /other HTTP/1.1\r\n${close}Content-Length: 0\r\n\r\n`, 404],
  'another method': [`DELETE /soap HTTP/1.1\r\n${close}\r\n`, 405],
  'a length twice over': [
    `POST /soap HTTP/1.1\r\n${close}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  'two different lengths': [`POST /soap HTTP/1.1\r\n${close}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, 400],
  'no HTTP': ['EHLO localhost\r\n\r\n', 400],
  'headers without an end': [`GET /soap HTTP/1.1\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
  'a message that never comes': [`POST /soap HTTP/1.1\r\n${close}Content-Length: 500\r\n\r\n<`, 408],
  'a chunked trickle that stops': [`POST /soap HTTP/1.1\r\n${close}Transfer-Encoding: chunked\r\n\r\n1\r\n<\r\n`, 408],
  'headers that never end': ['GET /soap HTTP/1.1\r\nHost: localhost\r\n', 408],
};

for (const [name, [bytes, status]] of Object.entries(rawTable)) {
  test(`answered and survived: ${name}`, async () => {
    match(await raw(bytes), new RegExp(`^HTTP/1.1 ${status} `));
    equal((await call(url, 'Hello', { clientId: 'x' })).status, 200);
  });
}

test('a thousand connections that say nothing make room for those that do', async () => {
  const idle = await Promise.all(
    Array.from(
      { length: 1_000 },
      () =>
        new Promise<ReturnType<typeof connect>>((resolve) => {
          const socket = connect(port, '127.0.0.1', () => resolve(socket));
          socket.on('error', () => undefined);
        }),
    ),
  );
  equal((await call(url, 'Hello', { clientId: 'x' })).status, 200);
  for (const socket of idle) socket.destroy();
});

test('a client that pipelines without end is cut off, not served', async () => {
  const message = envelope(operation('Fetch', '<clientId>p</clientId><attemptId>p</attemptId><max>1</max>'));
  const one = `POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: ${message.length}\r\n\r\n${message}`;
  const answers = await raw(one.repeat(400)).catch(() => '');
  ok(answers.split('HTTP/1.1 200').length < 100);
  equal((await call(url, 'Hello', { clientId: 'x' })).status, 200);
});

test('clients that do not read are cut off, and what they leave unread is bounded', async (t) => {
  const log = new MemoryLog();
  const message = Buffer.alloc(1_048_576, 'x');
  for (let each = 0; each < 16; each++) log.add(request(message));
  const slow = await openStage(t, { log, toml: '[soap]\nidle_seconds = 1\n' });
  const inner = '<clientId>s</clientId><attemptId>s</attemptId><max>16</max>';
  const body = envelope(operation('Fetch', inner));
  const head = `POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: ${body.length}\r\n\r\n`;
  const sockets = Array.from({ length: 5 }, () => {
    const socket = connect(slow.port, '127.0.0.1', () => socket.write(head + body));
    return socket.on('error', () => undefined).pause();
  });
  const ask = (): ReturnType<typeof post> => call(slow.url, 'Hello', { clientId: 'x' });
  let answer = await ask();
  while (answer.code !== 'BUSY') answer = await ask();
  isFault(answer, 'BUSY', 503);
  while (answer.status !== 200) answer = await ask();
  for (const socket of sockets) socket.destroy();
});

test('the WSDL tells the address that the client used, when it can be one', async () => {
  const ask = async (host: string): Promise<string> =>
    /location="([^"]*)"/.exec(
      await raw(`GET /soap?wsdl HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    )?.[1] ?? '';
  equal(await ask('registry.example:8025'), 'http://registry.example:8025/soap');
  equal(await ask('[::1]:8025'), 'http://[::1]:8025/soap');
  equal(await ask('x"><evil'), `http://127.0.0.1:${port}/soap`);
  match(await raw(`GET /soap?WSDL HTTP/1.1\r\n${close}\r\n`), /<wsdl:definitions/);
  match(await raw(`GET /soap HTTP/1.1\r\n${close}\r\n`), /text\/html[^]*href="http:\/\/localhost\/soap\?wsdl"/);
});

test('a damaged request is a Fault of the server, and stays one', async (t) => {
  const log = filledLog(3);
  log.read = () => Promise.reject(new DamagedLogError('sequence 1 in /secret/place'));
  const damaged = await openStage(t, { log });
  const args = { clientId: 'x', attemptId: 'a', max: 1 };
  for (let again = 0; again < 2; again++) {
    const answer = await call(damaged.url, 'Fetch', args);
    isFault(answer, 'DAMAGED');
    equal(valueOf(answer.text, 'faultcode'), 'soap:Server');
    ok(!answer.text.includes('secret'));
  }
});

test('a journal that cannot be written ends the service, not with a promise', async (t) => {
  const store = new JournalStore<DeliverEvent>();
  const failing = await openStage(t, { store });
  store.failure = new Error('EIO');
  const args = { clientId: 'x', attemptId: 'a', max: 1 };
  isFault(await call(failing.url, 'Fetch', args), 'UNAVAILABLE', 503);
  equal((await failing.stage.failed).message, 'EIO');
  store.failure = undefined;
  isFault(await call(failing.url, 'Fetch', args), 'UNAVAILABLE', 503);
});

test('clients that stop half way and never close do not keep their connections', async (t) => {
  const stage = await openStage(t, { toml: '[soap]\nidle_seconds = 1\nconnections = 5\n' });
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => {
      const socket = connect({ port: stage.port, host: '127.0.0.1', allowHalfOpen: true });
      t.after(() => socket.destroy());
      socket.write('POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n<');
      return new Promise<string>((resolve, reject) => {
        let text = '';
        socket.on('data', (piece: Buffer) => (text += piece.toString()));
        socket.on('end', () => resolve(text));
        socket.on('error', reject);
      });
    }),
  );
  for (const answer of answers) match(answer, /^HTTP\/1\.1 408 /);
  equal((await call(stage.url, 'Hello', { clientId: 'x' })).status, 200);
});

/** Opens connections that say that they will send more than they do, and waits until they are being listened to. */
async function halfSent(t: TestContext, to: number, count: number): Promise<void> {
  for (let each = 0; each < count; each++) {
    const socket = connect({ port: to, host: '127.0.0.1' });
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.write('POST /soap HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n');
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    socket.write('<');
  }
}

test('whoever sends half a message and has not said who he is makes room for who comes next', async (t) => {
  const log = new MemoryLog();
  const read = log.read.bind(log);
  const polled = new Promise<void>((resolve) => {
    log.read = (...how) => {
      resolve();
      return read(...how);
    };
  });
  const stage = await openStage(t, { log, toml: '[soap]\nconnections = 20\n' });
  // A long poll is known, and stays.
  const waiting = call(stage.url, 'Fetch', { clientId: 'x', attemptId: 'a', max: 1, waitMs: 20_000 });
  await polled;
  await halfSent(t, stage.port, 60);
  for (let each = 0; each < 5; each++) equal((await call(stage.url, 'Hello', { clientId: 'x' })).status, 200);
  log.add(request('Subject: x\r\n\r\n'));
  equal((await waiting).status, 200);
});

test('a wrong password in a header is refused before the message is read', async (t) => {
  const file = join(await temporaryFolder(t), 'clients');
  await writeFile(file, `registry consumer ${await hashPassword('pull', Buffer.alloc(16, 7))}\n`);
  const stage = await openStage(t, { toml: `[soap]\nclients = ${JSON.stringify(file)}\n` });
  const wrong = `Basic ${Buffer.from('registry:guess').toString('base64')}`;
  // Were it read and parsed first, the answer would be BAD_MESSAGE.
  const answer = await post(stage.url, '<not xml', { authorization: wrong });
  isFault(answer, 'NOT_ALLOWED', 401);
});

test('who has not said who he is sends no more than 64 KB', async (t) => {
  const file = join(await temporaryFolder(t), 'clients');
  await writeFile(file, `registry consumer ${await hashPassword('pull', Buffer.alloc(16, 7))}\n`);
  const stage = await openStage(t, { toml: `[soap]\nclients = ${JSON.stringify(file)}\n` });
  const large = envelope(operation('Hello', `<clientId>x</clientId>${' '.repeat(100_000)}`));
  isFault(await post(stage.url, large), 'TOO_LARGE', 413);
  const right = `Basic ${Buffer.from('registry:pull').toString('base64')}`;
  equal((await post(stage.url, large, { authorization: right })).status, 200);
});

test('what unpacks to many times its size is not unpacked, and entities are counted', async (t) => {
  const stage = await openStage(t, {});
  const ampersands = envelope(operation('Hello', `<clientId>${'&amp;'.repeat(150_000)}</clientId>`));
  const packed = gzipSync(ampersands);
  isFault(await post(stage.url, packed, { 'content-encoding': 'gzip' }), 'TOO_LARGE', 413);
  isFault(await post(stage.url, ampersands), 'BAD_MESSAGE');
  const honest = envelope(operation('Hello', `<clientId>${'&amp;'.repeat(20)}</clientId>${'\n'.repeat(40_000)}`));
  equal((await post(stage.url, gzipSync(honest), { 'content-encoding': 'gzip' })).status, 200);
});
