import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

test('what is called a secret is not logged: at the top, one level deeper, and in an error', () => {
  const program = `
    import { makeLogger } from './src/lib/logger.ts';
    const { log, flush } = makeLogger('intake', { level: 'info', format: 'json' });
    log.info({ token: 's3cr3t', relay: { host: 'h', pass: 's3cr3t' }, from: 'a@b.example' }, 'one');
    log.info({ err: Object.assign(new Error('went wrong'), { code: 'EX', auth: { user: 's3cr3t' } }) }, 'two');
    await flush();`;
  const text = execFileSync(process.execPath, [...process.execArgv, '--input-type=module', '--eval', program], {
    cwd: new URL('../..', import.meta.url),
    encoding: 'utf8',
  });
  assert.doesNotMatch(text, /s3cr3t/);
  const [one, two] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, Record<string, unknown>>);
  assert.deepEqual(one?.['relay'], { host: 'h', pass: '[redacted]' });
  assert.equal(one?.['token'], '[redacted]');
  assert.equal(one?.['from'], 'a@b.example');
  assert.equal(two?.['err']?.['message'], 'went wrong');
  assert.equal(two?.['err']?.['code'], 'EX');
  assert.match(String(two?.['err']?.['stack']), /went wrong/);
});
