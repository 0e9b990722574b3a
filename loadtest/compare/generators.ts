// What drives a contender: smtp-source where it can (C, cheap, nobody's favourite), the flood where it cannot (STARTTLS, quantiles).
// Takes a port and a count, gives a rate. The generator shares the cores with the server; that is the same for everybody.

import { fork, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TallyData } from '../parts/tally.ts';

/** Runs a program to its end, without looking at what it says unless it fails. */
function runToEnd(file: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = `${said}${chunk.toString()}`.slice(-1_000);
    });
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${file} ended with ${code}: ${said}`))));
  });
}

export interface Source {
  readonly count: number;
  readonly bytes: number;
  readonly sessions: number;
  readonly kept: boolean;
  /** Refusals are what is wanted. */
  readonly refused?: boolean;
  readonly to?: string;
}

/** Messages a second that a server on `port` takes (or refuses), by smtp-source. */
export async function smtpSource(port: number, source: Source): Promise<number> {
  const { count, bytes, sessions, kept, refused = false, to = 'domain@registry.example' } = source;
  const flags = [...(kept ? ['-d'] : []), ...(refused ? ['-A'] : [])];
  const sizes = ['-s', String(sessions), '-m', String(count), '-l', String(bytes)];
  const began = performance.now();
  await runToEnd('smtp-source', [...flags, ...sizes, '-f', 'ops@registrar.example', '-t', to, `127.0.0.1:${port}`]);
  return (count / (performance.now() - began)) * 1000;
}

export interface FloodEnd extends TallyData {
  /** From its start to its last answer. */
  readonly seconds: number;
}

/** Runs a flood in a process of its own, against a private server that measures as on the day. */
export function runFlood(port: number, args: readonly string[]): Promise<FloodEnd> {
  const all = ['--target', `127.0.0.1:${port}`, '--not-a-rehearsal', '--notes', '/dev/null', ...args];
  const options = { execArgv: process.execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] as const };
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, '../flood.ts'), all, { ...options, stdio: [...options.stdio] });
    let end: FloodEnd | undefined;
    child.on('message', (message) => (end = (message as { end?: FloodEnd }).end ?? end));
    child.once('exit', (code) => {
      if (end) resolve(end);
      else reject(new Error(`the flood ended with ${code} and without a result`));
    });
  });
}
