// Asking another program. Takes a command line, gives what it printed, or undefined when it is not there, fails or is slow.

import { execFile } from 'node:child_process';

/** Runs a program to its end. @returns its standard output; undefined when it is missing, fails or takes longer than `ms` */
export type RunCommand = (file: string, args: readonly string[], ms: number) => Promise<string | undefined>;

/** Runs it on this machine. */
export const runCommand: RunCommand = (file, args, ms) =>
  new Promise((resolve) => {
    const options = { timeout: ms, killSignal: 'SIGKILL', maxBuffer: 65_536 } as const;
    execFile(file, args, options, (error, stdout) => resolve(error ? undefined : stdout));
  });
