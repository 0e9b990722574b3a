import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { visible, visibleWhenParsed } from '../../src/lib/visible.ts';

/** What must not reach a terminal: an escape sequence, C1, overrides, isolates, marks, separators, a tag. */
const unseen = '\u001b[2J\u0007\u007f\u009b\u202e\u2066\u2069\u200e\u061c\u200b\ufeff\u2028\u{e0041}';

test('what would move the cursor, turn or hide text is shown as its escape, and nothing else is touched', () => {
  assert.equal(visible('a\u202eb\u2066c\u001bd\re'), 'a\\u202eb\\u2066c\\u001bd\\u000de');
  assert.equal(visible('\u{e0041}'), '\\udb40\\udc41');
  for (const text of ['plain\n\ttext', 'Mühle, 日本, 👩‍👧', 'نامه\u200cای', 'C:\\u202e'])
    assert.equal(visible(text), text);
  const json = JSON.stringify({ text: unseen });
  assert.deepEqual(JSON.parse(visible(json)), { text: unseen });
});

test('in JSON whose texts are shown as they are the escapes stay escapes', () => {
  for (const text of [unseen, 'a\\u202e', 'back\\slash "quoted"\n\tline', '\\\u001b\\\\\u001b'])
    assert.equal((JSON.parse(visibleWhenParsed(JSON.stringify({ text }))) as { text: string }).text, visible(text));
  assert.equal(JSON.parse(visibleWhenParsed(JSON.stringify('\b\f\r'))), '\\b\\f\\r');
});

for (const format of ['json', 'pretty']) {
  test(`a log line holds none of it: ${format}`, () => {
    const program = `
      import { makeLogger } from './src/lib/logger.ts';
      const { log, flush } = makeLogger('intake', { level: 'info', format: ${JSON.stringify(format)} });
      const text = ${JSON.stringify(unseen)};
      log.info({ sender: text, deep: { [text]: text }, err: new Error(text) }, 'a message: ' + text);
      await flush();`;
    const text = execFileSync(process.execPath, [...process.execArgv, '--input-type=module', '--eval', program], {
      cwd: new URL('../..', import.meta.url),
      encoding: 'utf8',
    });
    assert.match(text, /a message/);
    assert.match(text, /u202e/);
    assert.equal(visible(text), text);
  });
}
