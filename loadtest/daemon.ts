// A private Seawall for a rehearsal: free ports, a temporary spool, its own process. Takes settings, gives its addresses.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './postfix.ts';

export interface Daemon {
  readonly spool: string;
  readonly smtpPort: number;
  readonly soapPort: number;
  readonly adminPort: number;
  readonly process: ChildProcess;
  /** Its environment, to run other verbs on the same spool. */
  readonly environment: NodeJS.ProcessEnv;
  /** What it has logged so far. */
  log(): string;
  /** Ends it in order and removes its spool. Gives the exit code. */
  stop(): Promise<number | null>;
}

const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Command line of a verb, on the compiled program. */
export function seawall(...args: string[]): [string, string[]] {
  return [process.execPath, [cli, ...args]];
}

/**
 * Starts a private daemon and waits until all of it works.
 * @param stage one stage only, or undefined for the whole
 * @param settings environment variables on top of the defaults
 */
export async function startDaemon(stage?: string, settings: Record<string, string> = {}): Promise<Daemon> {
  const spool = await mkdtemp(join(tmpdir(), 'seawall-spool-'));
  const [smtpPort, soapPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const environment = {
    ...process.env,
    SEAWALL_SPOOL_DIR: spool,
    SEAWALL_SMTP_PORT: String(smtpPort),
    SEAWALL_SOAP_PORT: String(soapPort),
    SEAWALL_ADMIN_PORT: String(adminPort),
    SEAWALL_TEMPLATES_DIR: fileURLToPath(new URL('../templates', import.meta.url)),
    SEAWALL_LOG_FORMAT: 'json',
    ...settings,
  };
  const [file, args] = seawall('serve', ...(stage === undefined ? [] : [stage]));
  const child = spawn(file, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  const ready = new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer): void => {
      log = `${log}${chunk.toString()}`.slice(-200_000);
      if (log.includes('Seawall is running') || (stage !== undefined && log.includes('the log is open'))) resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}:\n${log.slice(-4000)}`)));
  });
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
    }
    await rm(spool, { recursive: true, force: true });
    return child.exitCode;
  };
  try {
    await ready;
  } catch (error) {
    await stop();
    throw error;
  }
  return { spool, smtpPort, soapPort, adminPort, process: child, environment, log: () => log, stop };
}

/** Whether the compiled program is there. */
export async function assertBuilt(): Promise<void> {
  await readFile(cli).catch(() => {
    throw new Error(`${cli} is not there: run npm run build first`);
  });
}
