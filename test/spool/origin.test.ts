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
  ['7:100', { inode: '7', at: '100' }, false],
  ['7:100', { inode: '7', at: '200' }, true],
  ['7:100', { inode: '8', at: '100' }, true],
  // Without a time of birth the inode decides, and nothing that is done to the file makes a copy of it.
  ['7:100', { inode: '7', at: undefined }, false],
  ['7:', { inode: '7', at: '200' }, false],
  ['7:', { inode: '8', at: undefined }, true],
];
for (const [note, { inode, at }, copy] of cases)
  test(`noted as ${note}, now inode ${inode} born at ${at ?? 'no known time'}: ${copy ? 'a copy' : 'the spool itself'}`, async () => {
    assert.equal(await isCopy(spoolOf(note, { inode, at }), '/nowhere'), copy);
  });
