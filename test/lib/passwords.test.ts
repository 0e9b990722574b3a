import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { seawall } from '../../loadtest/daemon.ts';
import { parseClientAccounts } from '../../src/deliver/access/client-accounts.ts';
import { isPassword } from '../../src/lib/auth/password-hash.ts';
import { temporaryFolder } from '../support/spool.ts';

async function passwd(file: string, input: string, ...args: string[]): Promise<{ code: number | null; text: string }> {
  const [node, all] = seawall('passwd', ...args);
  const child = spawn(node, all, { env: { ...process.env, SEAWALL_SOAP_CLIENTS: file } });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, text };
}

test('passwd adds a client, changes its password, and leaves the other lines alone', async (t) => {
  const file = join(await temporaryFolder(t), 'clients');
  assert.deepEqual((await passwd(file, 'first password\n', 'backend')).code, 0);
  const [line = ''] = (await readFile(file, 'utf8')).split('\n');
  await writeFile(file, `# who may call\n${line}\noffice operator - cn=office.registry.example\n`);
  const { code, text } = await passwd(file, 'second password', 'backend', '--roles', 'consumer,reader');
  assert.equal(code, 0);
  assert.ok(!text.includes('second password'));
  const after = await readFile(file, 'utf8');
  assert.match(
    after,
    /^# who may call\nbackend consumer,reader scrypt\$\S+ -\noffice operator - cn=office\.registry\.example\n$/,
  );
  const hash = parseClientAccounts(file, after)[0]!.passwordHash!;
  assert.ok((await isPassword('second password', hash)) && !(await isPassword('first password', hash)));
});

test('passwd refuses what makes no sense, and leaves the file as it is', async (t) => {
  const file = join(await temporaryFolder(t), 'clients');
  await writeFile(file, 'nonsense\n');
  for (const [input, args, pattern] of [
    ['long enough', ['backend'], /clients, line 1: wants: name roles/],
    ['short', ['backend'], /at least 8 characters/],
    ['long enough', [], /wants the name of a client/],
  ] as const) {
    const { code, text } = await passwd(file, input, ...args);
    assert.ok(code !== 0);
    assert.match(text, pattern);
    assert.equal(await readFile(file, 'utf8'), 'nonsense\n');
  }
  const { text } = await passwd('', 'long enough', 'backend');
  assert.match(text, /soap\.clients .* names no file/);
});
