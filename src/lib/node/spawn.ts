// Starts other programs and our own threads. `runCommand` gives what a program printed, or undefined when it is missing, fails
// or takes too long. `startThread` gives a running thread, which belongs to the caller and reports its own failures.

import { execFile } from 'node:child_process';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Runs a program to its end. @returns its standard output; undefined when it is missing, fails or takes longer than `ms` */
export type RunCommand = (file: string, args: readonly string[], ms: number) => Promise<string | undefined>;

/** Runs it on this machine. */
export const runCommand: RunCommand = (file, args, ms) =>
  new Promise((resolve) => {
    const options = { timeout: ms, killSignal: 'SIGKILL', maxBuffer: 65_536 } as const;
    execFile(file, args, options, (error, stdout) => resolve(error ? undefined : stdout));
  });

/**
 * Starts a thread from one of our own source files.
 * @param name without its ending: TypeScript while developing, JavaScript once compiled
 * @param caller the caller's import.meta.url
 */
export function startThread(name: string, caller: string, options: WorkerOptions): Worker {
  const file = new URL(`${name}${caller.slice(-3)}`, caller);
  if (!file.pathname.endsWith('.ts')) return new Worker(file, options);
  // tsx, which runs us from the sources, does not reach into threads by itself.
  const boot = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(file.href)}); });`;
  return new Worker(boot, { ...options, eval: true });
}
