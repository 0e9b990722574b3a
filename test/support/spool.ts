// Spools on the real disk for tests: made in a temporary folder, removed afterwards.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { StoredRequest } from '../../src/model/request.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { RequestWriter } from '../../src/ports/request-log.ts';
import { lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { openReader } from '../../src/spool/mailbox/reader.ts';
import type { Rotation } from '../../src/spool/mailbox/mailbox-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';

export const largeMailboxes: Rotation = { bytes: 67_108_864, count: 20_000, seconds: 86_400 };

const cleanups = new WeakMap<TestContext, (() => Promise<unknown>)[]>();

/** Cleans up at the end of a test, the last thing first (node:test runs its hooks first to last). */
export function atEnd(t: TestContext, clean: () => Promise<unknown>): void {
  const known = cleanups.get(t);
  if (known) return void known.push(clean);
  const stack = [clean];
  cleanups.set(t, stack);
  t.after(async () => {
    for (const each of stack.toReversed()) await each();
  });
}

/** A temporary folder that goes when the test does. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'seawall-test-'));
  atEnd(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Opens the log for writing; it is closed with the test. */
export async function openWriter(t: TestContext, spool: string, rotation = largeMailboxes): Promise<RequestWriter> {
  const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, rotation);
  atEnd(t, () => writer.close());
  return writer;
}

/** Every durable request of a spool. */
export async function readAll(spool: string): Promise<StoredRequest[]> {
  const reader = openReader(nodeRuntime, spool);
  const all: StoredRequest[] = [];
  for (;;) {
    const batch = await reader.read(all.length, { count: 100, bytes: 1_000_000 });
    if (batch.length === 0) break;
    all.push(...batch);
  }
  await reader.close();
  return all;
}
