// DKIM signatures, judged by dkimpy (python3-dkim), which knows nothing of ours.

import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { dkimSigner } from '../../src/acknowledge/compose/dkim.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { Acknowledging, sample } from '../support/acknowledging.ts';
import { request } from '../support/memory.ts';
import { temporaryFolder } from '../support/spool.ts';
import { has, run } from '../support/tools.ts';

const verifier = ['/usr/bin/python3', '-c', 'import dkim, nacl.signing'];
const script = `
import dkim, sys
record = sys.argv[1].encode()
for path in sys.argv[2:]:
    mail = open(path, 'rb').read()
    print(dkim.verify(mail, dnsfunc=lambda name, timeout=5: record if name == b'day._domainkey.registry.example.' else None))
`;

/** What dkimpy says of each mail. */
async function verdicts(record: string, mails: readonly string[]): Promise<string[]> {
  const { stdout } = await run('/usr/bin/python3', ['-c', script, record, ...mails]);
  return stdout.trim().split('\n');
}

/** A key file and the DNS record that goes with it. */
async function keyPair(t: TestContext, type: 'rsa' | 'ed25519'): Promise<{ file: string; record: string }> {
  const { privateKey } =
    type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519');
  const file = join(await temporaryFolder(t), `${type}.pem`);
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  // RFC 8463 section 4: the 32 bytes of the key alone.
  const shown = type === 'rsa' ? spki : spki.subarray(-32);
  return { file, record: `v=DKIM1; k=${type}; p=${shown.toString('base64')}` };
}

const names = ['afnic-create', 'multipart-html', 'hostile-subject', 'no-headers-but-a-body', 'free-text'];

/** Acknowledges the samples into files, and gives their paths. */
async function acknowledge(t: TestContext, key: string): Promise<string[]> {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  for (const name of names) here.log.add(request(await sample(name)));
  here.log.add(request('Subject: Grüße aus Köln\r\n\r\nx', { envelope: { from: 'müller@käse.example', to: ['x@y'] } }));
  const dkim = { dkim_domain: 'registry.example', dkim_selector: 'day', dkim_key: key };
  const stage = await here.start({ ...dkim, from: 'Registrierung für alle <registry@registry.example>' });
  await here.turnUntil(() => here.replay().settledThrough === names.length + 1);
  await stage.stop();
  assert.doesNotMatch(JSON.stringify(here.lines), /PRIVATE KEY/);
  const folder = join(here.spool, 'acknowledgements', '000000');
  return (await nodeRuntime.disk.list(folder)).toSorted().map((name) => join(folder, name));
}

for (const type of ['rsa', 'ed25519'] as const) {
  test(`every acknowledgement bears a good ${type} signature, and a repeat is the same bytes`, async (t) => {
    if (!(await has(t, verifier))) return;
    const { file, record } = await keyPair(t, type);
    const mails = await acknowledge(t, file);
    assert.equal(mails.length, names.length + 1);
    assert.deepEqual(
      await verdicts(record, mails),
      Array.from(mails, () => 'True'),
    );
    const again = await acknowledge(t, file);
    for (const [index, path] of mails.entries()) assert.deepEqual(await readFile(again[index]!), await readFile(path));

    const [first = ''] = mails;
    const text = await readFile(first, 'latin1');
    const changed = [text.replace(/^Subject: /m, 'Subject: not '), text.replace(/received/g, 'registered')];
    const paths = changed.map((_, index) => `${first}.${index}`);
    for (const [index, mail] of changed.entries()) await writeFile(paths[index]!, mail, 'latin1');
    assert.deepEqual(await verdicts(record, paths), ['False', 'False']);
  });
}

test('a mail of awkward shapes is signed well: no body, white space at ends, empty lines, folded and tabbed fields', async (t) => {
  if (!(await has(t, verifier))) return;
  const { file, record } = await keyPair(t, 'ed25519');
  const signer = await dkimSigner(nodeRuntime.disk, { domain: 'registry.example', selector: 'day', keyFile: file });
  const header = 'From: <a@registry.example>\r\nSubject:  two\t words\r\n  and \t more  \r\nTo: <b@c.example>';
  const bodies = [
    '',
    '\r\n',
    '\r\n\r\n\r\n',
    ' \t\r\n',
    'x',
    'x \t y  \r\n\r\n \r\n',
    '\r\nx\r\n\t\r\n',
    '.\r\n..\r\n',
  ];
  const folder = await temporaryFolder(t);
  const paths: string[] = [];
  for (const [index, body] of bodies.entries()) {
    paths.push(join(folder, `${index}.eml`));
    await writeFile(paths[index]!, await signer(Buffer.from(`${header}\r\n\r\n${body}`)));
  }
  assert.deepEqual(
    await verdicts(record, paths),
    Array.from(paths, () => 'True'),
  );
});

test('a key that cannot be used is an error at the start that names the file and shows nothing of it', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'key.pem');
  const start = () => dkimSigner(nodeRuntime.disk, { domain: 'registry.example', selector: 'day', keyFile: file });
  await assert.rejects(start(), /ack\.dkim_key: .*key\.pem cannot be used \(ENOENT\)/);
  await writeFile(file, '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n');
  await assert.rejects(start(), (error: Error) => error.name === 'ConfigError' && !error.message.includes('c2Vj'));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(start(), /key\.pem holds ec .*wants RSA/);
  const small = generateKeyPairSync('rsa', { modulusLength: 512 });
  await writeFile(file, small.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(start(), /key\.pem holds rsa 512/);
});

test('a DKIM domain without a key is an error', async (t) => {
  const here = await Acknowledging.open();
  t.after(() => here.close());
  assert.throws(() => here.start({ dkim_domain: 'registry.example' }), /go together/);
});
