// Kills the deliver stage at each system call by which it writes its journal or its answers: before the write, between
// write and sync, before the answer, with half of an answer out. A client goes on pulling through each death; then the books
// are checked. Needs strace.
//   node --import tsx loadtest/crash-deliver.ts [--from 1] [--to 25] [--calls pwrite64,fdatasync,rename,writev,write]

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeRuntime } from '../src/lib/node/runtime.ts';
import { lockFiles } from '../src/spool/fencing/lock-file.ts';
import { openMailboxWriter } from '../src/spool/mailbox/writer.ts';
import { pullThroughKills, wrongWith } from '../test/support/deliver-process.ts';

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '1' },
    to: { type: 'string', default: '25' },
    calls: { type: 'string', default: 'pwrite64,fdatasync,rename,writev,write' },
  },
});

const total = 30;
const client = { address: '192.0.2.7', port: 4711, helo: 'mail.example', protocol: 'ESMTP', session: 'crash' };
const envelope = { from: 'ops@registrar.example', to: ['domain@registry.example'] };

let wrong = 0;
let died = 0;
for (const call of values.calls.split(',')) {
  for (let nth = Number(values.from); nth <= Number(values.to); nth++) {
    const spool = await mkdtemp(join(tmpdir(), 'seawall-crash-'));
    const rotation = { bytes: 67_108_864, count: 20_000, seconds: 86_400 };
    const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, rotation);
    const message = Buffer.from('Subject: x\r\n\r\nx\r\n');
    await writer.append(
      Array.from({ length: total }, () => ({ id: randomUUID(), receivedAt: Date.now(), envelope, client, message })),
    );
    await writer.close();
    const strace = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`];
    const inject = ['-e', `inject=${call}:signal=KILL:when=${nth}`];
    const { deliveries, deaths } = await pullThroughKills(spool, total, [[...strace, ...inject]]);
    const what = wrongWith(deliveries, total);
    died += deaths;
    if (what !== undefined) wrong++;
    console.log(
      `killed at ${call} number ${nth}: ${deaths === 0 ? 'not under way' : 'died'}; ${what ?? 'the books balance'}`,
    );
    await rm(spool, { recursive: true, force: true });
  }
}
console.log(`${died} deaths in the middle of the work, ${wrong} of them with something wrong`);
process.exitCode = wrong === 0 && died > 0 ? 0 : 1;
