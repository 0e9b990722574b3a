// A small file in which a process says how it is, for whoever looks. Takes a state and replaces the file as a whole; while one
// write is under way only the newest state waits. It is a view, never an authority: the reader checks that the process that
// wrote it lives, and a disk that does not take the file is ignored.

import { errorCode } from './system-error.ts';
import type { Clock, ProcessIdentity, Runtime } from '../ports/runtime.ts';
import { GroupCommit } from './group-commit.ts';
import { replaceFile } from './replace-file.ts';

/** What stands beside each state. */
interface Said {
  /** When it was said, milliseconds since 1970 UTC. */
  readonly at: number;
  readonly process: ProcessIdentity;
}

export class StateFile<State extends object> {
  readonly #clock: Clock;
  readonly #process: ProcessIdentity;
  readonly #commit: GroupCommit<State & Said, undefined>;

  constructor({ clock, disk, processes }: Runtime, path: string) {
    this.#clock = clock;
    this.#process = processes.self();
    this.#commit = new GroupCommit(async (states) => {
      try {
        await replaceFile(disk, path, Buffer.from(`${JSON.stringify(states.at(-1))}\n`), { sync: false });
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
      }
      return states.map(() => undefined);
    });
  }

  /** Says how it is now. */
  say(state: State): void {
    void this.#commit.add({ ...state, at: this.#clock.now(), process: this.#process });
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#commit.idle();
  }
}

/** What a process said last, whether it is alive or not; undefined when none said anything. */
export async function lastState<State extends object>(
  runtime: Runtime,
  path: string,
): Promise<(State & Said) | undefined> {
  try {
    return JSON.parse((await runtime.disk.readFile(path)).toString('utf8')) as State & Said;
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** The same; undefined also when the process that said it is not alive. */
export async function readStateFile<State extends object>(
  runtime: Runtime,
  path: string,
): Promise<(State & Said) | undefined> {
  const said = await lastState<State>(runtime, path);
  return said && runtime.processes.state(said.process) === 'dead' ? undefined : said;
}
