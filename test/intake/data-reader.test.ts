import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DataReader } from '../../src/intake/smtp/data-reader.ts';

/** What RFC 5321 section 4.5.2 makes of the bytes behind 354, all at once. */
function wanted(wire: string): { message: string; rest: string } {
  const end = `\r\n${wire}`.indexOf('\r\n.\r\n');
  return { message: wire.slice(0, end).replace(/(^|\r\n)\./g, '$1'), rest: wire.slice(end + 3) };
}

function read(wire: string, sizes: readonly number[]): { message: string; rest: string } {
  const reader = new DataReader();
  const bytes = Buffer.from(wire, 'latin1');
  let message = '';
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const to = at + (sizes[i % sizes.length] ?? 1);
    const piece = reader.read(bytes.subarray(at, to));
    message += piece.bytes.toString('latin1');
    if (piece.rest) return { message, rest: piece.rest.toString('latin1') + bytes.toString('latin1', to) };
    at = to;
  }
  throw new Error('the end was not seen');
}

test('the end of the data is found, and dots are taken out, however the bytes are cut', () => {
  const piece = fc.constantFrom(
    'a',
    'bc',
    '.',
    '..',
    '\r',
    '\n',
    '\r\n',
    '\r\n.',
    '\r\n..',
    '\n.',
    '.\r',
    '.\r\n',
    'x y ',
    'l'.repeat(70),
  );
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => `${pieces.join('')}\r\n.\r\nNOOP\r\n`);
  const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(text, cuts, (wire, sizes) => assert.deepEqual(read(wire, sizes), wanted(wire))),
    { numRuns: 5_000 },
  );
});

test('a leading dot that the client did not double is taken out, as RFC 5321 section 4.5.2 has it', () => {
  assert.equal(read('.x\r\n...\r\n..\r\ny.\r\n.\r\n', [4]).message, 'x\r\n..\r\n.\r\ny.\r\n');
});

/** Milliseconds of processor time for 20 MB of one line. */
function costOf(line: string): number {
  const chunk = Buffer.from(line.repeat(65_536 / line.length));
  const reader = new DataReader();
  const { user } = process.cpuUsage();
  for (let i = 0; i < 320; i++) reader.read(chunk);
  return process.cpuUsage({ user, system: 0 }).user / 1000;
}

test('a line of dots costs no more than another: bytes are what counts', () => {
  // The library took five seconds and more for the dots, in five million turns of the event loop.
  const costs = [costOf('..\r\n'), costOf('.\r\r\n'), costOf('.y\r\n')];
  assert.ok(Math.max(...costs) < 1_000, `${costs.join(', ')} ms`);
});
