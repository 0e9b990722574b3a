// A small file in the spool in which a process says how it is, for whoever looks. Takes a state, replaces the file as a whole;
// while one is being written the newest waits. Nobody's authority: the reader asks whether the process that wrote it
// lives, and a disk that does not take the file is no trouble of the process's. Owns the file.

import { errorCode, type ProcessIdentity, type Runtime } from '../ports/runtime.ts';

/** What stands beside each state. */
interface Said {
  /** When it was said, milliseconds since 1970 UTC. */
  readonly at: number;
  readonly process: ProcessIdentity;
}

export class StateFile<State extends object> {
  readonly #runtime: Runtime;
  readonly #path: string;
  readonly #process: ProcessIdentity;
  #next: (State & Said) | undefined;
  #writing: Promise<void> | undefined;

  constructor(runtime: Runtime, path: string) {
    this.#runtime = runtime;
    this.#path = path;
    this.#process = runtime.processes.self();
  }

  /** Says how it is now. */
  say(state: State): void {
    this.#next = { ...state, at: this.#runtime.clock.now(), process: this.#process };
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    const { disk } = this.#runtime;
    for (let said = this.#next; said; said = this.#next) {
      this.#next = undefined;
      try {
        const file = await disk.open(`${this.#path}.new`, 'replace');
        try {
          await file.write(Buffer.from(`${JSON.stringify(said)}\n`), 0);
        } finally {
          await file.close();
        }
        await disk.rename(`${this.#path}.new`, this.#path);
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
      }
    }
  }
}

/** What a process said last; undefined when none said anything, or the one that did is not alive. */
export async function readStateFile<State extends object>(
  runtime: Runtime,
  path: string,
): Promise<(State & Said) | undefined> {
  let said: State & Said;
  try {
    said = JSON.parse((await runtime.disk.readFile(path)).toString('utf8')) as State & Said;
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) !== undefined) return undefined;
    throw error;
  }
  return runtime.processes.state(said.process) === 'dead' ? undefined : said;
}
