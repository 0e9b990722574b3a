import { request as askPlainly } from 'node:http';
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { Agent, request as askInClear } from 'node:http';
import { get, request as ask } from 'node:https';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { parseClientAccounts } from '../../src/deliver/access/client-accounts.ts';
import { hashPassword, isPassword } from '../../src/lib/auth/password-hash.ts';
import { AddressList } from '../../src/lib/address-list.ts';
import { LoginThrottle } from '../../src/lib/auth/login-throttle.ts';
import { call, envelope, openStage, operation, post, valueOf } from '../support/deliver.ts';
import { runtimeWith, settle, TurnedClock } from '../support/memory.ts';
import { temporaryFolder } from '../support/spool.ts';

const run = promisify(execFile);
const salt = Buffer.alloc(16, 7);
const hello = envelope(operation('Hello', '<clientId>x</clientId>'));
const basic = (name: string, password: string): { authorization: string } => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});

const security = (password: string, type = 'PasswordText'): string =>
  '<s:Header><o:Security s:mustUnderstand="1" xmlns:o="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">' +
  `<o:UsernameToken><o:Username>registry</o:Username><o:Password Type="urn:x#${type}">${password}</o:Password></o:UsernameToken>` +
  '</o:Security></s:Header>';

const locationAt = async (url: string, headers: Record<string, string>): Promise<string> =>
  /location="([^"]*)"/.exec(await (await fetch(`${url}?wsdl`, { headers })).text())?.[1] ?? '';

async function clientsFile(t: TestContext, ...lines: string[]): Promise<string> {
  const file = join(await temporaryFolder(t), 'clients');
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
}

test('a password hash fits its password and no other', async () => {
  const hash = await hashPassword('sésame', salt);
  match(hash, /^scrypt\$16384\$8\$1\$/);
  ok(!hash.includes('sésame'));
  equal(await isPassword('sésame', hash), true);
  equal(await isPassword('se\u0301same', hash), true);
  equal(await isPassword('sesame', hash), false);
  ok((await hashPassword('sésame', Buffer.alloc(16, 8))) !== hash);
});

test('a clients file is read strictly, and errors name the line', async () => {
  const hash = await hashPassword('x', salt);
  const [one, two] = parseClientAccounts(
    'c',
    `# us\n\nregistry consumer,reader ${hash}\nback operator - cn=back.example\n`,
  );
  deepEqual([one?.name, one?.roles, one?.certificate], ['registry', ['consumer', 'reader'], undefined]);
  deepEqual([two?.passwordHash, two?.certificate], [undefined, { by: 'cn', value: 'back.example' }]);
  for (const bad of [
    'a',
    'a king -',
    'a reader -',
    'a reader plain',
    'a reader - cn=',
    'a:b reader - cn=x',
    'a reader - cn=x y',
  ]) {
    throws(() => parseClientAccounts('c', `\n${bad}\n`), /^ConfigError: c, line 2: /, bad);
  }
  throws(() => parseClientAccounts('c', 'a reader - cn=x\na reader - cn=y'), /line 2: the client a is there twice/);
});

test('without clients the door is open to this machine only, and not to what was passed on', async (t) => {
  const { url, port } = await openStage(t, { toml: '[soap]\nhost = "0.0.0.0"\n' });
  equal((await call(url, 'Hello', { clientId: 'x' })).status, 200);
  for (const passedOn of [
    { origin: 'http://evil.example' },
    { 'x-forwarded-for': '192.0.2.9' },
    { forwarded: 'for=x' },
  ]) {
    const answer = await post(url, hello, passedOn);
    deepEqual([answer.status, answer.code], [403, 'NOT_ALLOWED']);
  }
  // A page whose name was made to lead here (DNS rebinding) has that name in the Host header.
  const statusFor = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { host, 'content-type': 'text/xml' };
      const sent = askPlainly({ host: '127.0.0.1', port, path: '/soap', method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.on('error', reject);
      sent.end(hello);
    });
  deepEqual([await statusFor('evil.example'), await statusFor(`localhost:${port}`)], [403, 200]);
  const other = Object.values(networkInterfaces())
    .flat()
    .find((each) => each?.family === 'IPv4' && !each.internal);
  if (!other) return t.diagnostic('this machine has no other address: not tried from outside');
  const outside = await call(`http://${other.address}:${port}/soap`, 'Hello', { clientId: 'x' });
  deepEqual([outside.status, outside.code], [403, 'NOT_ALLOWED']);
});

test('with clients everyone needs a name, a password and a role', async (t) => {
  const file = await clientsFile(
    t,
    `registry consumer ${await hashPassword('pull', salt)}`,
    `audit reader ${await hashPassword('look', salt)}`,
    'machine consumer - cn=machine',
  );
  const clock = new TurnedClock();
  const toml = `[soap]\nclients = ${JSON.stringify(file)}\n`;
  const { url } = await openStage(t, { toml, runtime: runtimeWith(clock) });
  const nobody = await post(url, hello);
  deepEqual([nobody.status, nobody.code], [401, 'NOT_ALLOWED']);
  equal((await post(url, hello, basic('registry', 'pull'))).status, 200);
  equal((await post(url, hello, basic('registry', 'pull'))).status, 200);
  const fetching = envelope(operation('Fetch', '<clientId>x</clientId><attemptId>a</attemptId><max>1</max>'));
  const role = await post(url, fetching, basic('audit', 'look'));
  deepEqual([role.status, role.code], [500, 'NOT_ALLOWED']);
  const status = envelope(operation('Status'));
  equal((await post(url, status, basic('audit', 'look'))).status, 200);
  for (const wrong of [basic('registry', 'look'), basic('nobody', 'pull'), basic('machine', '')]) {
    const refused = post(url, hello, wrong);
    await waitingFor(clock, refused);
    deepEqual([(await refused).status, (await refused).code], [401, 'NOT_ALLOWED']);
  }
  const bearer = await post(url, hello, { authorization: 'Bearer x' });
  equal(bearer.status, 401);
});

/** Turns the clock until a promise settles: somewhere on the way a password is hashed, in real time. */
async function waitingFor(clock: TurnedClock, promise: Promise<unknown>): Promise<void> {
  let settled = false;
  void promise.finally(() => (settled = true));
  while (!settled) await clock.turn(250);
}

test('connections that guess passwords lock out no first call, from elsewhere or from their own address', async (t) => {
  const names = Array.from({ length: 20 }, (_, i) => `client${i}`);
  const hash = await hashPassword('pull', salt);
  const file = await clientsFile(t, ...names.map((name) => `${name} consumer ${hash}`));
  const toml = `[soap]\nclients = ${JSON.stringify(file)}\nconnections = 400\n`;
  const { port } = await openStage(t, { toml });
  const say = (localAddress: string, name: string, password: string, agent?: Agent): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = {
        method: 'POST',
        path: '/soap',
        port,
        host: '127.0.0.1',
        localAddress,
        ...(agent && { agent }),
        headers: { 'content-type': 'text/xml', ...basic(name, password) },
      };
      const request = askInClear(options, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
      });
      request.on('error', reject).end(hello);
    });
  const guessers = Array.from({ length: 90 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  t.after(() => guessers.forEach((each) => each.destroy()));
  for (const [i, agent] of guessers.entries()) {
    const guessOn = async (): Promise<void> => {
      for (let n = 0; n < 100; n++) await say('127.0.0.9', names[i % 20]!, `guess ${i} ${n}`, agent);
    };
    void guessOn().catch(() => undefined);
  }
  for (const [i, name] of names.entries())
    equal(await say(i % 10 === 0 ? '127.0.0.9' : '127.0.0.2', name, 'pull'), 200, name);
});

test('a token is bound to the client that got it', async (t) => {
  const hash = await hashPassword('pw', salt);
  const file = await clientsFile(t, `one consumer ${hash}`, `two consumer ${hash}`);
  const { url } = await openStage(t, { toml: `[soap]\nclients = ${JSON.stringify(file)}\n` });
  const fetching = envelope(operation('Fetch', '<clientId>x</clientId><attemptId>a</attemptId><max>1</max>'));
  const leaseToken = valueOf((await post(url, fetching, basic('one', 'pw'))).text, 'leaseToken') ?? '';
  const inner = `<leaseToken>${leaseToken}</leaseToken><throughSequence>1</throughSequence>`;
  const confirming = envelope(operation('Confirm', inner));
  equal((await post(url, confirming, basic('two', 'pw'))).code, 'LEASE_LOST');
  equal((await post(url, confirming, basic('one', 'pw'))).status, 200);
});

test('a WS-Security UsernameToken is taken when nothing better came', async (t) => {
  const file = await clientsFile(t, `registry consumer ${await hashPassword('pull & push', salt)}`);
  const { url } = await openStage(t, { toml: `[soap]\nclients = ${JSON.stringify(file)}\n` });
  const inner = operation('Hello', '<clientId>x</clientId>');
  equal((await post(url, envelope(inner, security('pull &amp; push')))).status, 200);
  equal((await post(url, envelope(inner, security('pull')))).status, 401);
  equal((await post(url, envelope(inner, security('x', 'PasswordDigest')))).code, 'NOT_ALLOWED');
});

test('X-Forwarded headers count from trusted proxies only', async (t) => {
  const said = {
    'x-forwarded-host': 'soap.registry.example',
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '192.0.2.9',
  };
  const file = await clientsFile(t, `registry consumer ${await hashPassword('pull', salt)}`);
  const clients = `[soap]\nclients = ${JSON.stringify(file)}\n`;
  const direct = await openStage(t, { toml: clients });
  equal(await locationAt(direct.url, said), direct.url);
  const trusting = `${clients}trusted_proxies = ["127.0.0.0/8"]\n`;
  const { url } = await openStage(t, { toml: trusting });
  equal(await locationAt(url, said), 'https://soap.registry.example/soap');
  equal(await locationAt(url, { ...said, 'x-forwarded-host': '"><x' }), url.replace('http:', 'https:'));
  equal((await post(url, hello, { ...said, ...basic('registry', 'pull') })).status, 200);
  const clear = await post(url, hello, { ...said, 'x-forwarded-proto': 'http', ...basic('registry', 'pull') });
  deepEqual([clear.status, clear.code], [403, 'NOT_ALLOWED']);
  const listed = await openStage(t, { toml: `${trusting}allow = ["192.0.2.0/28"]\n` });
  equal((await post(listed.url, hello, { ...said, ...basic('registry', 'pull') })).status, 200);
  for (const hops of ['192.0.2.99', '192.0.2.9, 198.51.100.1', '198.51.100.1, 127.0.0.9']) {
    const answer = await post(listed.url, hello, { ...said, 'x-forwarded-for': hops, ...basic('registry', 'pull') });
    deepEqual([answer.status, answer.code], [403, 'NOT_ALLOWED'], hops);
  }
});

test('networks hold what is in them', () => {
  const list = new AddressList(['192.0.2.0/24', '2001:db8::/32', '198.51.100.7']);
  const inside = ['192.0.2.0', '192.0.2.255', '2001:db8::1', '198.51.100.7'];
  for (const address of inside) ok(list.has(address), address);
  for (const address of ['192.0.3.0', '2001:db9::1', '198.51.100.8', '', 'x']) ok(!list.has(address), address);
});

test('each failure makes the next answer later, for that address only', async () => {
  const clock = new TurnedClock();
  const throttle = new LoginThrottle(clock);
  const waits: number[] = [];
  for (let each = 0; each < 7; each++) {
    const began = clock.now();
    const over = throttle.failed('192.0.2.1').then(() => waits.push(clock.now() - began));
    await waitingFor(clock, over);
  }
  deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
  let other = false;
  void throttle.failed('192.0.2.2').then(() => (other = true));
  await clock.turn(250);
  equal(other, true);
  throttle.forget('192.0.2.1');
  let again = false;
  void throttle.failed('192.0.2.1').then(() => (again = true));
  await clock.turn(250);
  await settle();
  equal(again, true);
});

interface Pki {
  readonly folder: string;
  readonly path: (name: string) => string;
}

/** An authority, and certificates of it. */
async function makePki(t: TestContext): Promise<Pki | undefined> {
  const folder = await temporaryFolder(t);
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  try {
    await openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-subj',
      '/CN=test authority',
      '-days',
      '2',
    );
    for (const name of ['server', 'server2', 'machine', 'stranger']) {
      await openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      await openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-out',
        `${name}.pem`,
        '-days',
        '2',
      );
    }
  } catch (error) {
    if (process.env.CI !== undefined) throw error;
    t.skip('openssl does not work here: TLS is NOT tested');
    return undefined;
  }
  return { folder, path };
}

test('TLS: the certificate is read again, and client certificates name clients', async (t) => {
  const pki = await makePki(t);
  if (!pki) return;
  const { readFile } = await import('node:fs/promises');
  const read = (name: string): Promise<string> => readFile(pki.path(name), 'utf8');
  await writeFile(pki.path('tls.pem'), await read('server.pem'));
  await writeFile(pki.path('tls.key'), await read('server.key'));
  await writeFile(
    pki.path('clients'),
    `machine consumer - cn=machine\nregistry consumer ${await hashPassword('pull', salt)}\n`,
  );
  const paths = { clients: 'clients', tls_certificate: 'tls.pem', tls_key: 'tls.key', tls_client_ca: 'ca.pem' };
  const toml = Object.entries(paths).map(([key, name]) => `${key} = ${JSON.stringify(pki.path(name))}`);
  const { port } = await openStage(t, { toml: `[soap]\n${toml.join('\n')}\n` });
  const ca = await read('ca.pem');

  const say = (
    options: Record<string, unknown>,
  ): Promise<{ status: number | undefined; server: unknown; text: string }> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'text/xml', ...(options.headers as Record<string, string> | undefined) };
      const base = {
        host: '127.0.0.1',
        port,
        path: '/soap',
        method: 'POST',
        ca,
        agent: false,
        checkServerIdentity: () => undefined,
      };
      const sent = ask({ ...base, ...options, headers }, (response) => {
        const server: unknown =
          'getPeerCertificate' in response.socket &&
          (response.socket as never as { getPeerCertificate(): { subject: { CN: string } } }).getPeerCertificate()
            .subject.CN;
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode, server, text }));
      });
      sent.on('error', reject);
      sent.end(hello);
    });

  const own = async (name: string): Promise<object> => ({
    cert: await read(`${name}.pem`),
    key: await read(`${name}.key`),
  });
  equal((await say({ ...(await own('machine')) })).status, 200);
  equal((await say({ ...(await own('stranger')) })).status, 401);
  equal((await say({})).status, 401);
  const byPassword = await say({ headers: basic('registry', 'pull') });
  deepEqual([byPassword.status, byPassword.server], [200, 'server']);
  await rejects(post(`http://127.0.0.1:${port}/soap`, hello));
  match(
    (await say({ method: 'GET', path: '/soap?wsdl' })).text,
    new RegExp(`location="https://127.0.0.1:${port}/soap"`),
  );

  // A certificate that does not fit its key changes nothing; the right pair is taken without a restart.
  await writeFile(pki.path('tls.pem'), await read('server2.pem'));
  equal((await say({})).server, 'server');
  await writeFile(pki.path('tls.key'), await read('server2.key'));
  await new Promise<void>((resolve, reject) => {
    const look = (left: number): void => {
      get(
        { host: '127.0.0.1', port, path: '/soap', ca, agent: false, checkServerIdentity: () => undefined },
        (response) => {
          const { CN } = (
            response.socket as never as { getPeerCertificate(): { subject: { CN: string } } }
          ).getPeerCertificate().subject;
          response.resume();
          if (CN === 'server2') resolve();
          else if (left === 0) reject(new Error('the new certificate was not taken'));
          else look(left - 1);
        },
      ).on('error', reject);
    };
    look(2_000);
  });
});
