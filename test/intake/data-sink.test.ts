import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { DataSink, passOn } from '../../src/intake/smtp/message.ts';

/** What a parser makes of some chunks of DATA: the message, and the commands after it. */
async function parsed(
  chunks: readonly Buffer[],
  quick: boolean,
): Promise<{ message: string; after: string; passed: number }> {
  const parser = new SMTPStream();
  const sink = new DataSink();
  const bytes: Buffer[] = [];
  let passed = 0;
  let after = '';
  sink.taker = {
    chunk: (each) => bytes.push(each),
    end: () => void setImmediate(() => parser.continue()),
    lost: () => undefined,
  };
  parser.oncommand = (command, callback) => {
    after += `${command.toString('latin1')}|`;
    callback?.();
  };
  parser._dataMode = true;
  parser._maxBytes = Infinity;
  parser._atDataStart = true;
  parser._dataStream = sink as unknown as NonNullable<SMTPStream['_dataStream']>;
  const feed = parser._feedDataStream.bind(parser);
  parser._feedDataStream = (chunk, done) => {
    if (!quick || !passOn(parser, chunk)) return feed(chunk, done);
    passed++;
    done();
  };
  for (const chunk of chunks) await new Promise((resolve) => parser.write(chunk, resolve));
  return { message: Buffer.concat(bytes).toString('latin1'), after, passed };
}

test('chunks without a dot at the start of a line are passed on as the library would', async () => {
  let passed = 0;
  const piece = fc.constantFrom(
    'a',
    'bcdefgh',
    '.',
    '..',
    '\r',
    '\n',
    '\r\n',
    '\r\n.',
    '\r\n..',
    '\n.',
    '.\r\n',
    'word '.repeat(9),
  );
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => `${pieces.join('')}\r\n.\r\nNOOP\r\n`);
  const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(text, cuts, async (whole, sizes) => {
      const chunks: Buffer[] = [];
      for (let at = 0, i = 0; at < whole.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        chunks.push(Buffer.from(whole.slice(at, at + size), 'latin1'));
        at += size;
      }
      const [theirs, ours] = [await parsed(chunks, false), await parsed(chunks, true)];
      passed += ours.passed;
      assert.deepEqual({ ...ours, passed: 0 }, theirs);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(passed > 500, `only ${passed} chunks took the short way`);
});
