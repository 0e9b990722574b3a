// The supervisor: starts the stages as processes of their own, restarts one that dies, and stops them in order. Takes how to
// start each; gives an exit code when all is over. The child processes are its own. A stage behind the intake that cannot work
// is given up and the others go on; health, the log and the exit code say so, and SIGHUP tries it again. Without the intake,
// or when a stage finds at the first start that the configuration is wrong, the whole daemon ends.

import { type ChildProcess, spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { exitCode } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { deferred } from '../lib/async.ts';
import type { Clock } from '../ports/runtime.ts';

/** What a stage tells its supervisor once it works. */
export interface ReadyMessage {
  readonly ready: true;
  readonly address?: { readonly host: string; readonly port: number };
}

/** How the supervisor works. */
export interface SupervisorParts {
  /** In the order in which they are stopped; the first is the one that all depends on. */
  readonly stages: readonly string[];
  /** Program and arguments that run one stage. */
  readonly command: (stage: string) => { readonly file: string; readonly args: readonly string[] };
  readonly clock: Clock;
  readonly log: Logger;
  readonly stopSeconds: number;
  /** Restarts of one stage in ten minutes before it is given up. */
  readonly restarts: number;
  /** Called once, when the intake works and every other stage works or was given up; only those that work have an address. */
  readonly onReady: (addresses: ReadonlyMap<string, { host: string; port: number }>) => void;
}

/** How a stage fares, for `status` and `health`. */
export interface StageHealth {
  readonly stage: string;
  readonly state: 'starting' | 'working' | 'restarting' | 'given up' | 'stopped';
  readonly pid?: number;
  readonly restarts: number;
  /** What the process ended with that made the supervisor give the stage up. */
  readonly exitCode?: number;
}

/** Of the stages behind the intake: in the first seconds of a rush they get what it leaves, and catch up afterwards. */
const leastPriority = 19;

const windowMs = 600_000;
/** Pauses before a restart, in milliseconds, by how many lives in a row were short: the first is none, the last is kept. */
const pausesMs = [0, 100, 250, 500, 1_000, 2_000, 5_000];
/** A stage that has worked for so long was not in a loop of crashes, and is started again at once. */
const soundLifeMs = 1_000;
/** A stage that has never worked is given up after so many attempts. */
const firstAttempts = 5;
/** Exit codes that a restart would not change. */
const final: readonly (number | null)[] = [exitCode.damaged, exitCode.config];

/** What the operator can do about a stage that was given up, by its exit code. */
function adviceFor(code: number | null): string {
  if (code === exitCode.damaged)
    return 'its journal or the log is damaged: run seawall verify, restore the file that it names from a copy, then send SIGHUP to this process or start it again';
  if (code === exitCode.config)
    return 'mend the configuration that its last lines name, then send SIGHUP to this process or start it again';
  return 'see its last lines above; SIGHUP to this process tries it again';
}

class StageProcess {
  readonly stage: string;
  state: StageHealth['state'] = 'starting';
  child: ChildProcess | undefined;
  address: { host: string; port: number } | undefined;
  worked = false;
  /** Since when this life works; undefined while it starts. */
  worksSince: number | undefined;
  shortLives = 0;
  starts: number[] = [];
  total = -1;
  /** Undefined unless it was given up. */
  gaveUpWith: number | undefined;

  constructor(stage: string) {
    this.stage = stage;
  }
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #stages: readonly StageProcess[];
  readonly #ended = deferred<number>();
  #stopping = false;
  #announced = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    this.#stages = parts.stages.map((stage) => new StageProcess(stage));
  }

  /** Starts the stages. Resolves with the exit code, after `stop` or when nothing can go on. */
  run(): Promise<number> {
    for (const stage of this.#stages) this.#start(stage);
    return this.#ended.promise;
  }

  health(): StageHealth[] {
    return this.#stages.map(({ stage, state, child, total, gaveUpWith }) => ({
      stage,
      state,
      ...(child?.pid !== undefined && { pid: child.pid }),
      restarts: Math.max(total, 0),
      ...(gaveUpWith !== undefined && { exitCode: gaveUpWith }),
    }));
  }

  /** Has every stage read again what may change, and starts again those that were given up. */
  reload(): void {
    for (const stage of this.#stages) {
      stage.child?.kill('SIGHUP');
      if (stage.state !== 'given up') continue;
      Object.assign(stage, { state: 'restarting', gaveUpWith: undefined, starts: [], shortLives: 0 });
      this.#start(stage);
    }
  }

  #start(stage: StageProcess): void {
    if (this.#stopping) return;
    const { command, clock, log } = this.#parts;
    stage.starts = [...stage.starts.filter((at) => clock.elapsed() - at < windowMs), clock.elapsed()];
    stage.total++;
    const { file, args } = command(stage.stage);
    const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    stage.child = child;
    // The intake comes first: what follows it gives way when the processors are busy.
    if (stage !== this.#stages[0] && child.pid !== undefined) {
      try {
        setPriority(child.pid, leastPriority);
      } catch (error) {
        log.warn({ err: error, child: stage.stage }, 'the priority could not be lowered');
      }
    }
    child.on('message', (message) => this.#ready(stage, message as ReadyMessage));
    child.on('error', (error) => log.error({ err: error, child: stage.stage }, 'the stage could not be started'));
    child.once('close', (code, signal) => this.#died(stage, code, signal));
  }

  #ready(stage: StageProcess, message: ReadyMessage): void {
    stage.state = 'working';
    stage.worked = true;
    stage.worksSince = this.#parts.clock.elapsed();
    stage.address = message.address;
    this.#parts.log.info({ child: stage.stage, childPid: stage.child?.pid, ...message.address }, 'stage works');
    this.#announce();
  }

  #announce(): void {
    if (this.#announced || !this.#stages.every(({ worked, state }) => worked || state === 'given up')) return;
    this.#announced = true;
    this.#parts.onReady(new Map(this.#stages.flatMap(({ stage, address }) => (address ? [[stage, address]] : []))));
  }

  #died(stage: StageProcess, code: number | null, signal: string | null): void {
    stage.child = undefined;
    if (this.#stopping) {
      stage.state = 'stopped';
      return;
    }
    const { clock, log, restarts } = this.#parts;
    // What the disk does is no reason to give a stage up: the next start may find it well again.
    if (code === exitCode.disk) stage.starts.pop();
    const limit = stage.worked ? restarts : Math.min(firstAttempts, restarts);
    if (final.includes(code) || stage.starts.length > limit) {
      stage.state = 'given up';
      stage.gaveUpWith = code === null || code === exitCode.ok ? exitCode.failed : code;
      stage.address = undefined;
      const starts = stage.starts.length;
      log.fatal({ child: stage.stage, code, signal, starts }, `stage given up: ${adviceFor(code)}`);
      const everyonesTrouble = stage === this.#stages[0] || (!this.#announced && code === exitCode.config);
      if (everyonesTrouble) void this.#stop(stage.gaveUpWith);
      else this.#announce();
      return;
    }
    const sound = stage.worksSince !== undefined && clock.elapsed() - stage.worksSince >= soundLifeMs;
    const pause = sound ? 0 : (pausesMs[Math.min(stage.shortLives, pausesMs.length - 1)] ?? 0);
    stage.shortLives = sound ? 0 : stage.shortLives + 1;
    stage.worksSince = undefined;
    stage.state = 'restarting';
    log.error({ child: stage.stage, code, signal, pauseMs: pause }, 'stage died, starting it again');
    if (pause === 0) this.#start(stage);
    else clock.after(pause, () => this.#start(stage));
  }

  /** Stops the stages one after the other, in their order. What is not gone in time is killed. */
  stop(): Promise<void> {
    return this.#stop(exitCode.ok);
  }

  async #stop(code: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const { clock, log, stopSeconds } = this.#parts;
    const deadline = clock.after(stopSeconds * 1000, () => {
      for (const { child, stage } of this.#stages) {
        if (!child) continue;
        log.error({ child: stage }, 'the stage did not stop in time and is killed');
        child.kill('SIGKILL');
      }
    });
    // Whoever started the daemon hears at its end, too, of a stage that does not work.
    let result = code === exitCode.ok ? (this.#stages.find((each) => each.gaveUpWith)?.gaveUpWith ?? code) : code;
    for (const { child, stage } of this.#stages) {
      if (!child) continue;
      const gone = new Promise<number | null>((resolve) => {
        child.once('close', resolve);
      });
      child.kill('SIGTERM');
      const childCode = await gone;
      if (childCode !== 0 && result === exitCode.ok) result = exitCode.failed;
      log.info({ child: stage, code: childCode }, 'stage stopped');
    }
    deadline.cancel();
    this.#ended.resolve(result);
  }
}
