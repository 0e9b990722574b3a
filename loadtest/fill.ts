// Fills a spool with so many requests through the real log, for measurements at size.
//   node --import tsx loadtest/fill.ts SPOOL COUNT [BYTES]

import { randomUUID } from 'node:crypto';
import { nodeRuntime } from '../src/lib/node/runtime.ts';
import { lockFiles } from '../src/spool/fencing/lock-file.ts';
import { openMailboxWriter } from '../src/spool/mailbox/writer.ts';

/** Appends `count` requests of about `bytes` each, in batches of 500. Tells how many are there, every 50,000. */
export async function fillSpool(
  spool: string,
  count: number,
  bytes = 4096,
  progress: (done: number) => void = () => undefined,
): Promise<void> {
  const rotation = { bytes: 67_108_864, count: 20_000, seconds: 86_400 };
  const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, rotation);
  const padding = `${'x'.repeat(76)}\r\n`.repeat(Math.max(0, Math.floor((bytes - 150) / 78)));
  for (let done = 0; done < count;) {
    const size = Math.min(500, count - done);
    await writer.append(
      Array.from({ length: size }, (_, i) => ({
        id: randomUUID(),
        receivedAt: Date.now(),
        envelope: { from: `ops@registrar${i % 40}.example`, to: ['domain@registry.example'] },
        client: { address: '192.0.2.7', port: 4711, helo: 'mail.example', protocol: 'ESMTP', session: 'fill' },
        message: Buffer.from(
          `Subject: create ${done + i}\r\n\r\n1a..: C\r\n2a..: name${done + i}.example\r\n${padding}`,
        ),
      })),
    );
    done += size;
    if (done % 50_000 === 0) progress(done);
  }
  await writer.close();
}

if (process.argv[1] === import.meta.filename) {
  const [spool, count, bytes] = process.argv.slice(2);
  if (spool === undefined || !(Number(count) > 0)) throw new Error('usage: fill.ts SPOOL COUNT [BYTES]');
  await fillSpool(spool, Number(count), bytes === undefined ? 4096 : Number(bytes), (done) =>
    console.log(`${done} requests`),
  );
}
