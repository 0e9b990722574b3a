// A private Seawall for a rehearsal: free ports, a temporary spool, its own process. Takes settings, gives its addresses.
// One that has ended (or was killed) can be started again on the same spool and ports, as an init system would.

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
  /** The process of now: `again` replaces it. */
  readonly process: ChildProcess;
  /** Its environment, to run other verbs on the same spool. */
  readonly environment: NodeJS.ProcessEnv;
  /** What it has logged so far. */
  log(): string;
  /** Starts it again once its process has ended. Resolves when all of it works. */
  again(): Promise<void>;
  /** Ends it in order and removes its spool, unless the settings brought one or it is still to be looked at. Gives the exit code. */
  stop(options?: { keepSpool: boolean }): Promise<number | null>;
}

/** How the daemon is run. */
export interface DaemonOptions {
  /** Program and arguments in front of the command line: strace, prlimit … */
  readonly under?: readonly string[];
  /** What the log must say before it counts as started. */
  readonly ready?: string;
}

const cli = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** Command line of a verb, on the compiled program. */
export function seawall(...args: string[]): [string, string[]] {
  return [process.execPath, [cli, ...args]];
}

/**
 * Starts a private daemon and waits until all of it works.
 * @param stage one stage only, or undefined for the whole
 * @param settings environment variables on top of the defaults
 * @param options what it runs under, and when it counts as started
 */
export async function startDaemon(
  stage?: string,
  settings: Record<string, string> = {},
  { under = [], ready = stage === undefined ? 'Seawall is running' : 'the log is open' }: DaemonOptions = {},
): Promise<Daemon> {
  const given = settings['SEAWALL_SPOOL_DIR'];
  const spool = given ?? (await mkdtemp(join(tmpdir(), 'seawall-spool-')));
  const [smtpPort, soapPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const environment = {
    ...process.env,
    // What is configured for this machine is not ours.
    SEAWALL_CONFIG: '',
    SEAWALL_SPOOL_DIR: spool,
    // Here each spool is made for one purpose; the daemon itself tells a rehearsal's from the day's.
    SEAWALL_SPOOL_REHEARSAL_DIR: spool,
    SEAWALL_SMTP_PORT: String(smtpPort),
    SEAWALL_SOAP_PORT: String(soapPort),
    SEAWALL_ADMIN_PORT: String(adminPort),
    SEAWALL_TEMPLATES_DIR: fileURLToPath(new URL('../templates', import.meta.url)),
    SEAWALL_LOG_FORMAT: 'json',
    // Thousands come from one sender here, and each acknowledgement is counted.
    SEAWALL_ACK_UNVERIFIED_PER_MINUTE: '0',
    SEAWALL_ACK_UNVERIFIED_SHORT: 'false',
    ...settings,
  };
  let child: ChildProcess | undefined;
  let log = '';
  const launch = async (): Promise<ChildProcess> => {
    const [node, args] = seawall('serve', ...(stage === undefined ? [] : [stage]));
    const [file = node, ...rest] = [...under, node, ...args];
    const launched = spawn(file, rest, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    child = launched;
    log = '';
    await new Promise<void>((resolve, reject) => {
      const look = (chunk: Buffer): void => {
        log = `${log}${chunk.toString()}`.slice(-200_000);
        if (log.includes(ready)) resolve();
      };
      launched.stdout.on('data', look);
      launched.stderr.on('data', look);
      launched.once('error', reject);
      launched.once('exit', (code) => reject(new Error(`the daemon ended with ${code}:\n${log.slice(-4000)}`)));
    });
    return launched;
  };
  const ended = async (): Promise<void> => {
    if (child && child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => child?.once('exit', resolve));
    }
  };
  const stop = async ({ keepSpool } = { keepSpool: false }): Promise<number | null> => {
    child?.kill('SIGTERM');
    await ended();
    if (given === undefined && !keepSpool) await rm(spool, { recursive: true, force: true });
    return child?.exitCode ?? null;
  };
  try {
    const daemon = { process: await launch(), spool, smtpPort, soapPort, adminPort, environment, log: () => log, stop };
    const again = async (): Promise<void> => {
      await ended();
      daemon.process = await launch();
    };
    return Object.assign(daemon, { again });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Whether the compiled program is there. */
export async function assertBuilt(): Promise<void> {
  await readFile(cli).catch(() => {
    throw new Error(`${cli} is not there: run npm run build first`);
  });
}
