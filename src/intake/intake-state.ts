// What the intake tells whoever looks at the spool: where it stands on the ladder, and why. A small file, replaced at most once
// a second and only when something changed, or to say that it still holds. Nobody's authority: the reader asks whether the
// process that wrote it lives, and a disk that does not take the file is no trouble of the intake's.

import { join } from 'node:path';
import { errorCode, type ProcessIdentity, type Runtime } from '../ports/runtime.ts';
import type { Load } from './admission.ts';
import type { ClockReport } from './clock-sync.ts';
import type { RegistrarsState } from './registrars.ts';

/** The file's content. Times in milliseconds since 1970 UTC. */
export interface IntakeState extends Load {
  readonly at: number;
  readonly process: ProcessIdentity;
  /** Since this process began. */
  readonly counts: IntakeCounts;
  /** Where there is a registrar book. */
  readonly registrars?: RegistrarsState;
  readonly clock: ClockReport;
  /** Why the opening waits for the clock. */
  readonly clockTrouble?: string;
}

/** What came of the messages and connections so far. */
export interface IntakeCounts {
  readonly kept: number;
  /** Copies of kept requests, which were told the first ticket. */
  readonly repeated: number;
  /** Refusals for now (4xx) and for good (5xx). */
  readonly deferred: number;
  readonly refused: number;
}

const fileName = 'intake.state';
/** Even if nothing changes the file is written after so many milliseconds: an old one means that the process stands still. */
const renewMs = 10_000;

export class StatePublisher {
  readonly #runtime: Runtime;
  readonly #path: string;
  readonly #process: ProcessIdentity;
  #said = '';
  #saidAt = -Infinity;
  #writing: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(runtime: Runtime, spool: string) {
    this.#runtime = runtime;
    this.#path = join(spool, fileName);
    this.#process = runtime.processes.self();
  }

  /** Says how it is, if that is news. Call it once a second. */
  say(state: Omit<IntakeState, 'at' | 'process'>): void {
    const { clock } = this.#runtime;
    const said = JSON.stringify(state);
    if (this.#busy || (said === this.#said && clock.elapsed() - this.#saidAt < renewMs)) return;
    this.#said = said;
    this.#saidAt = clock.elapsed();
    this.#busy = true;
    this.#writing = this.#write({ ...state, at: clock.now(), process: this.#process }).finally(() => {
      this.#busy = false;
    });
  }

  async #write(state: IntakeState): Promise<void> {
    const { disk } = this.#runtime;
    try {
      const file = await disk.open(`${this.#path}.new`, 'replace');
      try {
        await file.write(Buffer.from(`${JSON.stringify(state)}\n`), 0);
      } finally {
        await file.close();
      }
      await disk.rename(`${this.#path}.new`, this.#path);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }
}

/** What the intake of `spool` said last; undefined when it said nothing, or the process that said it is not alive. */
export async function readIntakeState(runtime: Runtime, spool: string): Promise<IntakeState | undefined> {
  let state: IntakeState;
  try {
    state = JSON.parse((await runtime.disk.readFile(join(spool, fileName))).toString('utf8')) as IntakeState;
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) !== undefined) return undefined;
    throw error;
  }
  return runtime.processes.state(state.process) === 'dead' ? undefined : state;
}
