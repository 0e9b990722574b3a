// A spool with a million requests: how long a start takes until the first `250`, what knowing their copies costs in memory,
// and how many copies a second are recognised. Bounded: about 1 GB below the temporary folder, removed afterwards.
//   npm run million [-- --requests 1000000]

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fingerprintOf } from '../src/spool/dedup/fingerprint.ts';
import type { NewRequest } from '../src/model/request.ts';
import { nodeRuntime } from '../src/lib/node/runtime.ts';
import type { RequestWriter } from '../src/ports/request-log.ts';
import { lockFiles } from '../src/spool/fencing/lock-file.ts';
import { mailboxFolder } from '../src/spool/mailbox/mailbox-file.ts';
import { openMailboxWriter } from '../src/spool/mailbox/writer.ts';
import { SmtpClient } from '../test/support/smtp-client.ts';
import { assertBuilt, startDaemon } from './daemon.ts';

const { values } = parseArgs({ options: { requests: { type: 'string', default: '1000000' } } });
const count = Number(values.requests);
if (!Number.isSafeInteger(count) || count < 1_000 || count > 5_000_000) throw new Error('--requests: 1000 to 5000000');
await assertBuilt();

const rotation = { bytes: 67_108_864, count: 20_000, seconds: 86_400 };
const now = Date.now();

function message(i: number): Buffer {
  const text = `Message-ID: <${i}@registrar.example>\r\nSubject: create [R${i}]\r\n\r\n1a..: C\r\n2a..: n${i}.example\r\n`;
  return Buffer.from(`${text}${'x'.repeat(200)}\r\n`);
}

function made(i: number): NewRequest {
  const request = {
    id: `i${i}`,
    receivedAt: now,
    envelope: { from: 'ops@registrar.example', to: ['domain@registry.example'] },
    client: { address: '127.0.0.1', port: 1, helo: 'x', protocol: 'ESMTP', session: 's' },
    message: message(i),
  };
  return { ...request, fingerprint: fingerprintOf(request) };
}

async function opened(spool: string, repeatMs: number): Promise<RequestWriter> {
  return (await openMailboxWriter(nodeRuntime, lockFiles, spool, rotation, repeatMs)).writer;
}

/** Resident and array-buffer bytes, after a collection where that can be had. */
function memory(): { rss: number; arrays: number } {
  globalThis.gc?.();
  const { rss, arrayBuffers } = process.memoryUsage();
  return { rss: rss / 1e6, arrays: arrayBuffers / 1e6 };
}

/** Milliseconds from starting the daemon to its first `250` after DATA. */
async function firstAnswer(spool: string): Promise<{ ms: number; reply: string }> {
  const began = performance.now();
  const daemon = await startDaemon('intake', { SEAWALL_SPOOL_DIR: spool });
  try {
    const smtp = new SmtpClient(daemon.smtpPort);
    await smtp.hello();
    const reply = await smtp.send(message(1), 'ops@registrar.example');
    const ms = performance.now() - began;
    smtp.end();
    return { ms, reply };
  } finally {
    await daemon.stop();
  }
}

const spool = await mkdtemp(join(tmpdir(), 'seawall-million-'));
try {
  let writer = await opened(spool, 86_400_000);
  let began = performance.now();
  for (let i = 1; i <= count; i += 1_000) {
    await writer.append(Array.from({ length: Math.min(1_000, count - i + 1) }, (_, k) => made(i + k)));
  }
  console.log(`${count} requests kept in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  await writer.close();

  for (const [what, repeatMs] of [
    ['without a window', 0],
    ['knowing copies', 86_400_000],
  ] as const) {
    const before = memory();
    began = performance.now();
    writer = await opened(spool, repeatMs);
    const ms = performance.now() - began;
    const after = memory();
    console.log(
      `open ${what}: ${ms.toFixed(0)} ms, memory +${(after.rss - before.rss).toFixed(0)} MB resident, +${(after.arrays - before.arrays).toFixed(0)} MB in arrays`,
    );
    if (repeatMs > 0) {
      began = performance.now();
      const copies = Array.from({ length: 5_000 }, (_, i) => ((i * 7_919) % count) + 1);
      for (let i = 0; i < copies.length; i += 500) {
        const batch = copies.slice(i, i + 500);
        const numbers = await writer.append(batch.map(made));
        if (numbers.some((each, k) => each !== batch[k])) throw new Error('a copy was not given its first number');
      }
      console.log(`copies recognised: ${(5_000 / ((performance.now() - began) / 1000)).toFixed(0)}/s`);
    }
    await writer.close();
  }
  const warm = await firstAnswer(spool);
  console.log(`start to the first 250: ${warm.ms.toFixed(0)} ms (${warm.reply})`);
  const folder = mailboxFolder(spool);
  for (const name of await nodeRuntime.disk.list(folder))
    if (name.endsWith('.fpr')) await nodeRuntime.disk.remove(join(folder, name));
  const bare = await firstAnswer(spool);
  console.log(`start to the first 250 without any fingerprint file: ${bare.ms.toFixed(0)} ms (${bare.reply})`);
} finally {
  await rm(spool, { recursive: true, force: true });
}
