// Plays a landrush with all its parts, each a process of its own: a private daemon, the sink, the registry, the flood; then asks
// reconcile whether the books balance. Takes their options, leaves their notes in a folder, tells how it goes. Ends only
// what it started, and removes the spool.

import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { assertBuilt, type Daemon, startDaemon } from '../daemon.ts';
import { Sampler } from './sampler.ts';

/** How far it is. */
export interface Progress {
  readonly seconds: number;
  readonly due: number;
  readonly accepted: number;
  readonly refused: number;
  readonly acknowledged: number;
  readonly confirmed: number;
}

export interface Play {
  /** Where the notes go. */
  readonly folder: string;
  /** Options of each part, as on its command line. */
  readonly flood: readonly string[];
  readonly sink: readonly string[];
  readonly registry: readonly string[];
  /** Environment of the daemon besides its ports and spool. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether to sample CPU and memory. */
  readonly sample: boolean;
  /** Gives up when it takes longer. */
  readonly seconds: number;
  readonly onProgress: (progress: Progress) => void;
  /** Told when all is played, and the books are about to be read. */
  readonly onPlayed?: () => void;
}

export interface Played {
  readonly floodWords: string;
  /** What reconcile said, and whether it was content. */
  readonly books: string;
  readonly balances: boolean;
  readonly progress: Progress;
}

interface Part {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly gone: Promise<number | null>;
}

const tool = (name: string): string => join(import.meta.dirname, `../${name}.ts`);

function start(name: string, args: readonly string[], onMessage: (message: Record<string, unknown>) => void): Part {
  const child = fork(tool(name), [...args], {
    execArgv: process.execArgv,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-20_000)));
  child.on('message', (message) => onMessage(message as Record<string, unknown>));
  const gone = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, output: () => output, gone };
}

/** The files that a play leaves. */
export function filesOf(folder: string) {
  const file = (name: string): string => join(folder, `${name}.notes`);
  return { flood: file('flood'), sink: file('sink'), registry: file('registry'), samples: file('samples') };
}

export async function play(plan: Play): Promise<Played> {
  await assertBuilt();
  const files = filesOf(plan.folder);
  const began = performance.now();
  const counts = { due: 0, accepted: 0, refused: 0, acknowledged: 0, confirmed: 0 };
  const progress = (): Progress => ({ seconds: (performance.now() - began) / 1000, ...counts });
  const overdue = (): boolean => interrupted.signal.aborted || performance.now() - began > plan.seconds * 1000;
  const parts: Part[] = [];
  let daemon: Daemon | undefined;
  let sampler: Sampler | undefined;
  const shown = setInterval(() => plan.onProgress(progress()), 1_000);
  // Whoever ends us ends all of it: nothing of ours may be left running.
  const interrupted = new AbortController();
  const end = (): void => {
    interrupted.abort();
    for (const { child } of parts) child.kill('SIGTERM');
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  try {
    const sinkPort = await new Promise<number>((resolve, reject) => {
      const sink = start('sink', ['--notes', files.sink, ...plan.sink], (message) => {
        if (typeof message['port'] === 'number') resolve(message['port']);
        counts.acknowledged = (message['progress'] as { tickets: number } | undefined)?.tickets ?? counts.acknowledged;
      });
      parts.push(sink);
      void sink.gone.then((code) => reject(new Error(`the sink ended with ${code}: ${sink.output()}`)));
    });
    daemon = await startDaemon(undefined, {
      SEAWALL_SERVE_REHEARSAL: 'true',
      SEAWALL_ACK_RELAYS: `smtp://127.0.0.1:${sinkPort}`,
      ...plan.settings,
    });
    const registry = start(
      'registry',
      ['--port', String(daemon.soapPort), '--notes', files.registry, ...plan.registry],
      (message) => {
        counts.confirmed = (message['progress'] as { confirmed: number } | undefined)?.confirmed ?? counts.confirmed;
      },
    );
    const target = ['--target', `127.0.0.1:${daemon.smtpPort}`];
    const flood = start('flood', [...target, '--notes', files.flood, ...plan.flood], (message) => {
      const { due, accepted, refused } = (message['progress'] ?? message['end']) as typeof counts;
      Object.assign(counts, { due, accepted, refused });
    });
    parts.push(registry, flood);
    if (plan.sample) {
      sampler = new Sampler(files.samples, daemon.adminPort);
      const pids = {
        flood: flood.child.pid,
        sink: parts[0]?.child.pid,
        registry: registry.child.pid,
        kit: process.pid,
      };
      for (const [name, pid] of Object.entries(pids)) if (pid !== undefined) sampler.others.set(name, pid);
    }
    const limit = setTimeout(
      () => flood.child.kill('SIGTERM'),
      Math.max(0, plan.seconds * 1000 - (performance.now() - began)),
    );
    const floodCode = await flood.gone;
    clearTimeout(limit);
    if (floodCode !== 0 && floodCode !== 1) throw new Error(`the flood ended with ${floodCode}: ${flood.output()}`);
    registry.child.send({ until: counts.accepted });
    const alive = (part: Part): boolean => part.child.exitCode === null && part.child.signalCode === null;
    while (!overdue() && (alive(registry) || counts.acknowledged < counts.accepted)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      // A registry that has ended early has said why; the acknowledgements are not waited for.
      if (!alive(registry) && (await registry.gone) !== 0) break;
    }
    clearInterval(shown);
    plan.onProgress(progress());
    plan.onPlayed?.();
    for (const { child } of parts) child.kill('SIGTERM');
    await Promise.all(parts.map(({ gone }) => gone));
    await sampler?.stop();
    sampler = undefined;
    const stopped = await daemon.stop({ keepSpool: true });
    const reconcile = start(
      'reconcile',
      ['--spool', daemon.spool, '--flood', files.flood, '--sink', files.sink, '--registry', files.registry],
      () => undefined,
    );
    const balances = (await reconcile.gone) === 0 && stopped === 0;
    const ended = stopped === 0 ? '' : `\nPROBLEM: the daemon ended with ${stopped}:\n${daemon.log().slice(-2_000)}`;
    return {
      floodWords: flood.output().trim().split('\n').slice(-3).join('\n'),
      books: reconcile.output().trimEnd() + ended,
      balances,
      progress: progress(),
    };
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
    clearInterval(shown);
    await sampler?.stop();
    for (const { child } of parts) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await Promise.all(parts.map(({ gone }) => gone));
    await daemon?.stop();
  }
}

/** The progress as one line. */
export function progressLine({ seconds, due, accepted, refused, acknowledged, confirmed }: Progress): string {
  const refusals = refused > 0 ? `   refused ${refused}` : '';
  return `${seconds.toFixed(0).padStart(5)} s   due ${due}   accepted ${accepted}${refusals}   acknowledged ${acknowledged}   confirmed ${confirmed}`;
}

/** Shows a line in place of the last one on a terminal, below it elsewhere. */
export function show(line: string): void {
  process.stdout.write(process.stdout.isTTY ? `\r${line}\u001b[K` : `${line}\n`);
}
