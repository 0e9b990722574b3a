// A disk that fails: strace attached to running processes answers their system calls with an error of our choice. Takes pids
// and what to inject, tells when the first call was hit, and lets go. Owns the strace process and its output file.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './crash-rehearsal.ts';

/** Which calls fail, and how. */
export interface Fault {
  readonly syscall: string;
  readonly error: string;
  /** `once` is once in each thread: strace counts by thread, and Node's file calls go through four. */
  readonly times: 'once' | 'always';
  /** Only calls on exactly these paths, or on descriptors of them. */
  readonly paths?: readonly string[];
}

/** Why there is no strace here, or undefined when it works. */
export async function straceMissing(): Promise<string | undefined> {
  try {
    await promisify(execFile)('strace', ['-qq', '-o', '/dev/null', '-e', 'inject=fsync:error=EIO', 'true']);
    return undefined;
  } catch (error) {
    return `strace cannot be used here: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

export class Strace {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #gone: Promise<void>;

  private constructor(child: ChildProcess, folder: string) {
    this.#process = child;
    this.#folder = folder;
    this.#gone = new Promise((resolve) => child.once('exit', () => resolve()));
  }

  /** Attaches to processes, and to whatever they start from now on. Resolves when it has all that still run. */
  static async attach(pids: readonly number[], { syscall, error, times, paths = [] }: Fault): Promise<Strace> {
    const folder = await mkdtemp(join(tmpdir(), 'seawall-strace-'));
    const inject = `inject=${syscall}:error=${error}${times === 'once' ? ':when=1' : ''}`;
    const args = ['-f', '-o', join(folder, 'calls'), '-e', `trace=${syscall}`, '-e', inject];
    for (const path of paths) args.push('-P', path);
    for (const pid of pids) args.push('-p', String(pid));
    const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const strace = new Strace(child, folder);
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    // A process may die while it is attached to; then the one that its supervisor starts is seen from its beginning.
    const has = (pid: number): boolean => said.includes(`Process ${pid} attached`) || !isAlive(pid);
    await eventually('strace has attached', 10, () => {
      if (child.exitCode !== null) throw new Error(`strace ended: ${said}`);
      return pids.every(has);
    });
    return strace;
  }

  /** The calls that were hit so far. */
  async hits(): Promise<string[]> {
    const text = await readFile(join(this.#folder, 'calls'), 'utf8');
    return text.split('\n').filter((line) => line.includes('(INJECTED)'));
  }

  /** Lets go: from now on the calls do what they do. */
  async detach(): Promise<void> {
    this.#process.kill('SIGINT');
    // It may hang when a process was being started just then; the kernel lets everything go when it dies.
    const late = setTimeout(() => this.#process.kill('SIGKILL'), 5_000);
    await this.#gone;
    clearTimeout(late);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
