// How fast the registry can pull: Fetch of 100 requests of 4 KB and Confirm (synced), end to end over HTTP, at a backlog of
// 1,000 and of 1,000,000; with the start-up time and the memory of the deliver stage. Spools are made in a temporary folder.
//   npm run build && node --import tsx loadtest/pull.ts [--backlog 1000,1000000] [--pull 50000] [--batch 100] [--rounds 3]

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeRuntime } from '../src/lib/node/runtime.ts';
import type { RequestWriter } from '../src/ports/request-log.ts';
import { lockFiles } from '../src/spool/fencing/lock-file.ts';
import { openMailboxWriter } from '../src/spool/mailbox/writer.ts';
import { assertBuilt, seawall } from './daemon.ts';
import { inside, SoapCaller } from './parts/soap-call.ts';
import { freePort } from './postfix.ts';

const message = Buffer.from(
  `Subject: landrush\r\n\r\n${'name: heron.example, holder: Heron Ltd\r\n'.repeat(104)}`,
).subarray(0, 4_096);
const client = { address: '192.0.2.7', port: 4711, helo: 'mail.example', protocol: 'ESMTP', session: 'load' };
const envelope = { from: 'ops@registrar.example', to: ['domain@registry.example'] };

/** Whether somebody wants it to end: then it ends and removes what it started. */
let ended = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (ended = true));

async function fill(writer: RequestWriter, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1_000) {
    if (ended) throw new Error('ended by a signal');
    const batch = Array.from({ length: Math.min(left, 1_000) }, () => ({
      id: randomUUID(),
      receivedAt: Date.now(),
      envelope,
      client,
      message,
    }));
    await writer.append(batch);
  }
}

async function startStage(
  spool: string,
): Promise<{ soap: SoapCaller; pid: number; startMs: number; stop: () => Promise<void> }> {
  const port = await freePort();
  const [file, args] = seawall('serve', 'deliver');
  const environment = {
    ...process.env,
    SEAWALL_SPOOL_DIR: spool,
    SEAWALL_SOAP_PORT: String(port),
    SEAWALL_LOG_FORMAT: 'json',
  };
  const began = performance.now();
  const child = spawn(file, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${file} did not start`);
  const soap = new SoapCaller(port);
  for (;;) {
    try {
      await soap.call('Hello', '<clientId>load</clientId>');
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (child.exitCode !== null) throw new Error('the deliver stage ended');
    }
  }
  child.stdout.resume();
  const stop = (): Promise<void> => {
    soap.close();
    child.kill('SIGTERM');
    return exit;
  };
  return { soap, pid, startMs: performance.now() - began, stop };
}

/** Pulls and confirms; gives the milliseconds that it took. */
async function pull(soap: SoapCaller, count: number, batch: number): Promise<number> {
  const began = performance.now();
  for (let pulled = 0; pulled < count;) {
    if (ended) throw new Error('ended by a signal');
    const inner = `<clientId>load</clientId><attemptId>${randomUUID()}</attemptId><max>${batch}</max>`;
    const answer = await soap.call('Fetch', inner);
    const token = inside(answer, 'leaseToken') ?? '';
    const last = inside(answer, 'sequence', answer.lastIndexOf('<sequence>')) ?? '';
    const before = pulled;
    pulled += answer.split('<sequence>').length - 1;
    if (pulled === before) throw new Error('nothing is left to pull');
    await soap.call('Confirm', `<leaseToken>${token}</leaseToken><throughSequence>${last}</throughSequence>`);
  }
  return performance.now() - began;
}

async function memoryOf(pid: number): Promise<{ now: number; most: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  const megabytes = (name: string): number =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1_024);
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}

const { values } = parseArgs({
  options: {
    backlog: { type: 'string', default: '1000,1000000' },
    pull: { type: 'string', default: '50000' },
    batch: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
  },
});

await assertBuilt();
const [count, batch] = [Number(values.pull), Number(values.batch)];
const rotation = { bytes: 67_108_864, count: 20_000, seconds: 86_400 };
const houses: { backlog: number; spool: string; writer: RequestWriter }[] = [];
try {
  for (const backlog of values.backlog.split(',').map(Number)) {
    const spool = await mkdtemp(join(tmpdir(), 'seawall-pull-'));
    const { writer } = await openMailboxWriter(nodeRuntime, lockFiles, spool, rotation);
    houses.push({ backlog, spool, writer });
    const began = performance.now();
    await fill(writer, backlog);
    console.log(`${backlog} spooled in ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  }
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const { backlog, spool, writer } of houses) {
      const stage = await startStage(spool);
      try {
        await pull(stage.soap, Math.min(backlog, 1_000), batch);
        await fill(writer, Math.min(backlog, 1_000));
        let ms = 0;
        for (let pulled = 0; pulled < count; pulled += 1_000) {
          ms += await pull(stage.soap, 1_000, batch);
          // The backlog stays what it is; this is not in the time.
          await fill(writer, 1_000);
        }
        const memory = await memoryOf(stage.pid);
        const rate = Math.round(count / (ms / 1_000));
        const about = `start-up ${stage.startMs.toFixed(0)} ms, memory ${memory.now} MB, at most ${memory.most} MB`;
        console.log(`round ${round}, backlog ${backlog}: ${rate} requests/s; ${about}`);
      } finally {
        await stage.stop();
      }
    }
  }
} finally {
  for (const { writer, spool } of houses) {
    await writer.close();
    await rm(spool, { recursive: true, force: true });
  }
}
