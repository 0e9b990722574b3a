// The deliver stage as a process of its own, to be killed, and a registry's client that survives it. Takes a spool, gives
// what the client saw. Owns the processes it starts and ends them by their id.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { call, valueOf } from './deliver.ts';

const cli = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Running {
  readonly url: string;
  /** Of the stage itself, not of what it runs under. */
  readonly pid: number;
  readonly gone: Promise<undefined>;
}

/** @param under a command line before ours, such as strace and its options */
async function start(spool: string, under: readonly string[]): Promise<Running | undefined> {
  const [file, ...args] = [...under, process.execPath, '--import', 'tsx', cli, 'serve', 'deliver'];
  // strace counts system calls by thread: one thread makes its count that of the stage.
  const settings = { SEAWALL_SPOOL_DIR: spool, SEAWALL_SOAP_PORT: '0', SEAWALL_LOG_FORMAT: 'json' };
  const env = { ...process.env, ...settings, UV_THREADPOOL_SIZE: '1' };
  const child = spawn(file ?? '', args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const gone = new Promise<undefined>((resolve) => child.once('close', () => resolve(undefined)));
  const ready = new Promise<{ pid: number; url: string }>((resolve) => {
    let log = '';
    child.stdout.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      const line = /"pid":(\d+),[^\n]*"port":(\d+)[^\n]*SOAP endpoint listens/.exec(log);
      if (line) resolve({ pid: Number(line[1]), url: `http://127.0.0.1:${line[2]}/soap` });
    });
  });
  const at = await Promise.race([ready, gone]);
  return at && { ...at, gone };
}

export interface Delivered {
  readonly sequence: number;
  readonly deliveryCount: number;
}

/**
 * Pulls and confirms everything through whatever happens to the stage.
 * @param plan for each life of the stage: after how many of the client's calls it is killed (while the next one is under
 *   way), or the command line under which it runs and dies by itself; when the plan is over it lives
 * @returns every delivery, and how often the stage died
 */
export async function pullThroughKills(
  spool: string,
  total: number,
  plan: readonly (number | readonly string[])[],
): Promise<{ deliveries: Delivered[]; deaths: number }> {
  const deliveries: Delivered[] = [];
  let confirmed = 0;
  let attempt = 1;
  let deaths = 0;
  for (let life = 0; confirmed < total; life++) {
    if (life > plan.length + 3) throw new Error('the stage dies without being killed');
    const fate = plan[life] ?? Number.POSITIVE_INFINITY;
    const stage = await start(spool, typeof fate === 'number' ? [] : fate);
    let calls = 0;
    const ask = async (name: string, args: Record<string, string | number>): Promise<string> => {
      const answer = call(stage?.url ?? '', name, args);
      if (++calls === fate && stage) process.kill(stage.pid, 'SIGKILL');
      const { status, text } = await answer;
      if (status !== 200) throw new Error(text);
      return text;
    };
    try {
      while (stage && confirmed < total) {
        const batch = await ask('Fetch', { clientId: 'c', attemptId: `${attempt}`, max: 5, leaseMs: 3_600_000 });
        const sequences = [...batch.matchAll(/<sequence>(\d+)<.*?<deliveryCount>(\d+)</g)];
        for (const [, sequence, count] of sequences) {
          deliveries.push({ sequence: Number(sequence), deliveryCount: Number(count) });
        }
        const throughSequence = Number(sequences.at(-1)?.[1] ?? confirmed);
        if (sequences.length > 0) {
          await ask('Confirm', { leaseToken: valueOf(batch, 'leaseToken') ?? '', throughSequence });
        }
        confirmed = throughSequence;
        attempt++;
      }
    } catch {
      // A connection that was cut: the next life of the stage is asked again, with the same attemptId.
      deaths++;
    }
    if (stage && confirmed >= total) process.kill(stage.pid, 'SIGTERM');
    await stage?.gone;
  }
  return { deliveries, deaths };
}

/** What is wrong with what a client saw; undefined when nothing is. Only what was not confirmed may come again. */
export function wrongWith(deliveries: readonly Delivered[], total: number): string | undefined {
  let highest = 0;
  for (const { sequence } of deliveries) {
    if (sequence > highest + 1) return `${sequence} came before ${highest + 1}`;
    if (sequence <= highest - 5) return `${sequence} came again after its confirmation`;
    highest = Math.max(highest, sequence);
  }
  return highest === total ? undefined : `the last one was ${highest}`;
}
