// Starts a thread from one of our own files. Takes the file's name beside the caller; gives the thread, which is the caller's.

import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
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
