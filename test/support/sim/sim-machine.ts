// A simulated machine: processes that share one file system and one clock. Every disk call waits until its turn is drawn, and can
// fail, fail after it has worked, or be cut off by the death of its process. Nothing happens but through `step`.

import type { Timer } from '../../../src/ports/runtime.ts';
import { Random } from './random.ts';
import { SimFileSystem, systemError } from './sim-file-system.ts';

/** One program on the machine. */
export interface SimProcess {
  readonly pid: number;
  readonly boot: number;
  readonly name: string;
  state: 'running' | 'stalled' | 'dead';
}

/** A call on its way: first it takes effect, then, perhaps much later, its caller hears of it. */
interface Call {
  readonly process: SimProcess;
  readonly what: string;
  isDone(): boolean;
  perform(): void;
  fail(error: Error): void;
  /** Does what may have happened of it when it fails. */
  part(): void;
  /** Does what may have happened of it when its process dies. */
  cut(): void;
  tell(): void;
}

interface WaitingTimer {
  readonly at: number;
  readonly process: SimProcess;
  readonly run: () => void;
}

const traceKept = 80;
const nothing = (): void => undefined;

export class SimMachine {
  readonly random: Random;
  fileSystem: SimFileSystem;
  /** Share of calls that fail. */
  faults = 0;
  /** Bytes that may still be written. */
  room = Infinity;
  /** When true, every lock looks as if it had been left behind: the clock has jumped. */
  locksFail = false;
  /** Who took which lock folder last, and when. */
  readonly locks = new Map<string, { readonly process: SimProcess; readonly since: number }>();
  boot = 1;
  elapsed = 1_000;
  wall = Date.UTC(2026, 10, 21, 9, 0, 0);
  /** The last things that happened, oldest first. */
  readonly trace: string[] = [];
  #calls: Call[] = [];
  #timers: WaitingTimer[] = [];
  #processes = new Map<string, SimProcess>();
  #lastPid = 100;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.fileSystem = new SimFileSystem(this.random.pick([32, 128, 512, 4096]));
  }

  note(text: string): void {
    this.trace.push(text);
    if (this.trace.length > traceKept) this.trace.shift();
  }

  start(name: string): SimProcess {
    const process: SimProcess = { pid: ++this.#lastPid, boot: this.boot, name, state: 'running' };
    this.#processes.set(`${process.boot}/${process.pid}`, process);
    return process;
  }

  isAlive(boot: string, pid: number): boolean {
    const found = this.#processes.get(`${boot}/${pid}`);
    return found !== undefined && found.state !== 'dead';
  }

  /**
   * Queues a call; it settles when its turn has come, or never when its process dies first.
   * @param part does what may be left of it when it fails
   * @param cut does what may be left of it when its process dies
   */
  call<T>(process: SimProcess, what: string, effect: () => T, part = nothing, cut = part): Promise<T> {
    return new Promise((resolve, reject) => {
      let outcome: (() => void) | undefined;
      if (process.state === 'dead') return;
      this.#calls.push({
        process,
        what,
        part,
        cut,
        isDone: () => outcome !== undefined,
        perform: () => {
          try {
            const result = effect();
            outcome = () => resolve(result);
          } catch (error) {
            outcome = () => reject(error);
          }
        },
        fail: (error) => (outcome = () => reject(error)),
        tell: () => outcome?.(),
      });
    });
  }

  /** Lets one call go on, or the next timer fire. False when nothing is left to happen. */
  step(): boolean {
    const ready = this.#calls.filter(({ process }) => process.state === 'running');
    if (ready.length === 0) return this.#fireTimer();
    const call = this.random.pick(ready);
    if (!call.isDone()) {
      this.#perform(call);
      if (this.random.chance(0.2)) return true;
    }
    this.#calls.splice(this.#calls.indexOf(call), 1);
    call.tell();
    return true;
  }

  #perform(call: Call): void {
    const who = `${call.process.name}#${call.process.pid} ${call.what}`;
    if (!this.random.chance(this.faults)) {
      this.note(who);
      call.perform();
      return;
    }
    const error = systemError(this.random.pick(['EIO', 'ENOSPC', 'EDQUOT']), call.what, '');
    const persisted = this.random.chance(0.4);
    this.note(`${who}: fails${persisted ? ' after it has worked' : ''}`);
    if (persisted) call.perform();
    else call.part();
    call.fail(error);
  }

  /** For calls that cannot wait: throws when it is their turn to fail. */
  now<T>(process: SimProcess, what: string, effect: () => T): T {
    if (this.random.chance(this.faults / 4)) {
      this.note(`${process.name}#${process.pid} ${what}: fails`);
      throw systemError('EIO', what, '');
    }
    return effect();
  }

  after(process: SimProcess, ms: number, run: () => void): Timer {
    const timer = { at: this.elapsed + ms, process, run };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  #fireTimer(): boolean {
    let next: WaitingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.process.state === 'running' && (!next || timer.at < next.at)) next = timer;
    }
    if (!next) return false;
    this.#timers.splice(this.#timers.indexOf(next), 1);
    this.turn(Math.max(0, next.at - this.elapsed));
    next.run();
    return true;
  }

  /** A running process that is about to do something, as its call begins: `rename`, `sync` … */
  whoIsAbout(verb: string): SimProcess | undefined {
    const about = (call: Call): boolean =>
      call.process.state === 'running' && call.what.startsWith(`${verb} `) && !call.isDone();
    return this.#calls.find(about)?.process;
  }

  turn(ms: number): void {
    this.elapsed += ms;
    this.wall += ms;
  }

  /** SIGKILL. What the kernel was doing for the process may still be done, wholly or in part; the page cache stays. */
  kill(process: SimProcess): void {
    this.note(`--- ${process.name}#${process.pid} is killed`);
    process.state = 'dead';
    for (const call of this.#calls.filter((each) => each.process === process && !each.isDone())) {
      const fate = this.random.below(3);
      if (fate === 0) continue;
      this.note(`    ${call.what} ${fate === 1 ? 'is done' : 'is done in part'} all the same`);
      if (fate === 1) call.perform();
      else call.cut();
    }
    this.#calls = this.#calls.filter((call) => call.process !== process);
    this.#timers = this.#timers.filter((timer) => timer.process !== process);
  }

  /** Everything that runs ends, with the page cache as it is. */
  killAll(): void {
    for (const process of this.#processes.values()) if (process.state !== 'dead') this.kill(process);
  }

  /** The power goes. */
  crash(): void {
    this.killAll();
    this.note('--- the power goes');
    this.fileSystem.crash(this.random);
    this.boot++;
  }
}
