// Verbs as real processes on the spool of a private daemon.

import { type Daemon, seawall } from '../../loadtest/daemon.ts';
import { run } from './tools.ts';

/** Runs a verb on a daemon's spool; gives what it printed, and its exit code when it is not 0. */
export async function verb(
  on: Pick<Daemon, 'environment'>,
  ...args: string[]
): Promise<{ stdout: string; stderr: string; code: number }> {
  const [file, all] = seawall(...args);
  try {
    return { ...(await run(file, all, { env: on.environment, encoding: 'latin1', maxBuffer: 1e8 })), code: 0 };
  } catch (error) {
    const { stdout, stderr, code } = error as { stdout: string; stderr: string; code: number };
    return { stdout, stderr, code };
  }
}

/** Looks until the condition holds: a process of its own gives us no event to wait for. */
export async function until<T>(look: () => Promise<T>, holds: (value: T) => boolean, seconds = 30): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    // Between two looks others get a turn, on this machine too.
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (performance.now() > deadline) throw new Error(`not so after ${seconds} s: ${JSON.stringify(value)}`);
  }
}
