// What the intake tells whoever looks at the spool: its load level, and why. A state file, replaced at most once
// a second and only when something changed, or to say that it still holds.

import { join } from 'node:path';
import type { Clock, Runtime } from '../ports/runtime.ts';
import { lastState, readStateFile, StateFile } from '../lib/state-file.ts';
import type { Load } from './policy/admission.ts';
import type { ClockReport } from './clock/clock-sync.ts';
import type { RegistrarsState } from './policy/registrars.ts';

/** The file's content. */
export interface IntakeStatus extends Load {
  /** What MAIL gets just now, when it is not taken; `due`: by the opening, and nothing is wrong. */
  readonly answer?: { readonly code: number; readonly text: string; readonly due: boolean };
  /** The day, UTC, of the counts, as 2026-11-21: they go on when the intake is started again. */
  readonly day: string;
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

export class IntakeStatusFile {
  readonly #clock: Clock;
  readonly #file: StateFile<IntakeStatus>;
  #said = '';
  #saidAt = -Infinity;

  constructor(runtime: Runtime, spool: string) {
    this.#clock = runtime.clock;
    this.#file = new StateFile(runtime, join(spool, fileName));
  }

  /** Says how it is, if that is news. Call it once a second. */
  say(state: IntakeStatus): void {
    const said = JSON.stringify(state);
    const now = this.#clock.elapsed();
    if (said === this.#said && now - this.#saidAt < renewMs) return;
    this.#said = said;
    this.#saidAt = now;
    this.#file.say(state);
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#file.idle();
  }
}

/** What the intake of `spool` said last, whether it is alive or not; undefined when it said nothing. */
export function lastIntakeStatus(runtime: Runtime, spool: string) {
  return lastState<IntakeStatus>(runtime, join(spool, fileName));
}

/** What the intake of `spool` said last; undefined when it said nothing, or the process that said it is not alive. */
export function readIntakeStatus(runtime: Runtime, spool: string) {
  return readStateFile<IntakeStatus>(runtime, join(spool, fileName));
}
