// A whole landrush in small, to be disturbed: a private daemon under load from clients who note everything, a real SMTP sink
// for the acknowledgements, and a registry in a process of its own that can be killed. Whoever disturbs it calls `settle`
// at the end, which lets everything be worked off, and gets the audit. Owns all of these processes.

import { type ChildProcess, execFile, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MailSink } from '../test/support/mail-sink.ts';
import { readBook } from './careful-registry.ts';
import { type Daemon, type DaemonOptions, seawall, startDaemon } from './daemon.ts';
import { NotingClients } from './noting-clients.ts';
import { type Arrived, type Audit, reconcile } from './crash-audit.ts';

/** A stage as the operations endpoint tells of it. */
export interface StageAt {
  readonly stage: string;
  readonly state: string;
  readonly pid?: number;
}

/** How a rehearsal is set up. */
export interface RehearsalOptions extends DaemonOptions {
  readonly seed: number;
  readonly sessions: number;
  readonly thinkMs: number;
  readonly settings?: Record<string, string>;
  /** The longest that everything may take to be worked off at the end. */
  readonly settleSeconds?: number;
}

const registryProgram = fileURLToPath(new URL('careful-registry.ts', import.meta.url));

/** Waits for what a real process gives no event for. @throws after `seconds`, saying what did not come */
export async function eventually(what: string, seconds: number, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`after ${seconds} s still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Rehearsal {
  readonly daemon: Daemon;
  readonly clients: NotingClients;
  readonly #sink: MailSink;
  readonly #folder: string;
  readonly #settleSeconds: number;
  readonly #arrived: Arrived[] = [];
  readonly #tickets = new Set<string>();
  readonly #troubles: string[] = [];
  #registry: ChildProcess;
  #confirmed = 0;
  #over = false;

  private constructor(daemon: Daemon, sink: MailSink, folder: string, options: RehearsalOptions) {
    const { seed, sessions, thinkMs, settleSeconds = 120 } = options;
    this.daemon = daemon;
    this.#sink = sink;
    this.#folder = folder;
    this.#settleSeconds = settleSeconds;
    this.#registry = this.#startRegistry();
    this.clients = new NotingClients({ port: daemon.smtpPort, sessions, seed, thinkMs });
  }

  static async start(options: RehearsalOptions): Promise<Rehearsal> {
    const folder = await mkdtemp(join(tmpdir(), 'seawall-rehearsal-'));
    const sink = await MailSink.open();
    try {
      const settings = {
        SEAWALL_ACK_RELAYS: sink.url,
        SEAWALL_ACK_RETRY_SECONDS: '1',
        SEAWALL_SERVE_RESTARTS: '10000',
        SEAWALL_SPOOL_MAILBOX_COUNT: '200',
        SEAWALL_LOG_LEVEL: 'warn',
        ...options.settings,
      };
      return new Rehearsal(await startDaemon(undefined, settings, options), sink, folder, options);
    } catch (error) {
      await sink.close();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The registry's process of now; when it dies, another one goes on with its book. */
  get registry(): ChildProcess {
    return this.#registry;
  }

  #startRegistry(): ChildProcess {
    const wsdl = `http://127.0.0.1:${this.daemon.soapPort}/soap?wsdl`;
    const child = fork(registryProgram, [wsdl, join(this.#folder, 'book')], { execArgv: process.execArgv });
    child.on('message', (message: { confirmed?: number; trouble?: string }) => {
      if (message.confirmed !== undefined) this.#confirmed = message.confirmed;
      if (message.trouble !== undefined) this.#troubles.push(`registry: ${message.trouble}`);
    });
    child.once('exit', (_code, signal) => {
      if (!this.#over && signal === 'SIGKILL') this.#registry = this.#startRegistry();
    });
    return child;
  }

  /** The stages and where they run; undefined while there is no supervisor to ask. */
  async stages(): Promise<StageAt[] | undefined> {
    this.#takeMail();
    try {
      const response = await fetch(`http://127.0.0.1:${this.daemon.adminPort}/health`);
      return ((await response.json()) as { stages: StageAt[] }).stages;
    } catch {
      return undefined;
    }
  }

  async pidOf(stage: string): Promise<number> {
    const pid = (await this.stages())?.find((each) => each.stage === stage)?.pid;
    if (pid === undefined) throw new Error(`${stage} does not run`);
    return pid;
  }

  /** Resolves when every stage works, in other processes than those that are gone. */
  async healthy(gone: readonly number[] = []): Promise<void> {
    await eventually('every stage works', 60, async () => {
      const stages = await this.stages();
      return stages?.every(({ state, pid }) => state === 'working' && !gone.includes(pid ?? 0)) ?? false;
    });
  }

  /** Keeps of each acknowledgement what the audit needs: a long run has too many to keep whole. */
  #takeMail(): void {
    for (const { text, ticket, to } of this.#sink.taken.splice(0)) {
      const messageId = /^Message-ID: (.*)\r$/m.exec(text)?.[1] ?? '';
      this.#arrived.push({ ticket, to, messageId, digest: createHash('sha256').update(text).digest('hex') });
      this.#tickets.add(ticket);
    }
  }

  /** Ends the load, lets acknowledgements and registry catch up, stops the daemon, and audits. Everything is gone then. */
  async settle(): Promise<Audit> {
    const problems: string[] = [];
    try {
      await this.clients.stop();
      await this.healthy();
      const kept = await this.#kept();
      await eventually(`all ${kept} requests are acknowledged and confirmed`, this.#settleSeconds, () => {
        this.#takeMail();
        return this.#tickets.size >= kept && this.#confirmed >= kept;
      }).catch((error: unknown) => problems.push(String(error)));
      this.#endRegistry();
      const { spool, environment, process } = this.daemon;
      // What a crash left of the lock and of processes must not keep it from a stop in order.
      process.kill('SIGTERM');
      const code = await new Promise((resolve) => process.once('exit', resolve));
      if (code !== 0) problems.push(`the daemon ended with ${String(code)}: ${this.daemon.log().slice(-2_000)}`);
      const [file, args] = seawall('verify');
      await promisify(execFile)(file, args, { env: environment }).catch((error: unknown) =>
        problems.push(`verify: ${(error as { stdout?: string }).stdout ?? String(error)}`),
      );
      this.#takeMail();
      const book = readBook(join(this.#folder, 'book'));
      const audit = await reconcile({ attempts: this.clients.attempts, spool, book, arrived: this.#arrived });
      return { ...audit, problems: [...audit.problems, ...problems, ...this.#troubles] };
    } finally {
      await this.end();
    }
  }

  async #kept(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.daemon.adminPort}/status`);
    return ((await response.json()) as { kept: number }).kept;
  }

  #endRegistry(): void {
    this.#over = true;
    this.#registry.kill('SIGTERM');
  }

  /** Ends whatever still runs, and removes what it left. */
  async end(): Promise<void> {
    this.#endRegistry();
    await Promise.all([this.daemon.stop(), this.clients.stop(), this.#sink.close()]);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
