// What counts as a copy of a spool, on file systems that say when a file was made and on those that do not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Birth, Disk } from '../../src/ports/runtime.ts';
import { isCopy } from '../../src/spool/origin.ts';

/** A spool whose note says `file`, and whose log-id was born so. */
const spoolOf = (file: string, birth: Birth): Disk => ({
  ...nodeRuntime.disk,
  readFile: async () => Buffer.from(JSON.stringify({ file })),
  birthOf: async () => birth,
});

const cases: [note: string, birth: Birth, copy: boolean][] = [
  ['7:100', { inode: '7', at: '100', sure: true }, false],
  ['7:100', { inode: '7', at: '200', sure: true }, true],
  ['7:100', { inode: '8', at: '100', sure: true }, true],
  // Made at once, and given another owner later.
  ['7:100?', { inode: '7', at: '100', sure: true }, false],
  ['7:100?', { inode: '7', at: '200', sure: true }, true],
  // Without a time of birth the inode decides, and nothing that is done to the file makes a copy of it.
  ['7:100?', { inode: '7', at: '200', sure: false }, false],
  ['7:0?', { inode: '7', at: '0', sure: false }, false],
  ['7:0?', { inode: '8', at: '0', sure: false }, true],
];
for (const [note, birth, copy] of cases)
  test(`noted as ${note}, now ${JSON.stringify(birth)}: ${copy ? 'a copy' : 'the spool itself'}`, async () => {
    assert.equal(await isCopy(spoolOf(note, birth), '/nowhere'), copy);
  });
