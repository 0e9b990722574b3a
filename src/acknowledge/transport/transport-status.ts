// What the acknowledge stage tells whoever looks at the spool: who carries the mails, and who of them cannot be reached. A
// state file, replaced when that changes.

import { join } from 'node:path';
import type { Runtime } from '../../ports/runtime.ts';
import { readStateFile, StateFile } from '../../lib/state-file.ts';
import type { Trouble } from './transport.ts';

/** Direct, there can be many; so many are told. */
const troublesMax = 20;

/** The file's content. */
export interface TransportStatus {
  /** `host:port` of each relay; `mx` or `files` without relays. */
  readonly carriers: readonly string[];
  /** Those longest in trouble, and how many there are in all. */
  readonly troubles: readonly Trouble[];
  readonly troubled: number;
}

const pathIn = (spool: string): string => join(spool, 'acknowledge.state');

export class TransportStatusFile {
  readonly #file: StateFile<TransportStatus>;

  constructor(runtime: Runtime, spool: string) {
    this.#file = new StateFile(runtime, pathIn(spool));
  }

  /** Says how it is now. */
  say(carriers: readonly string[], all: readonly Trouble[]): void {
    const troubles = all.toSorted((a, b) => a.since - b.since).slice(0, troublesMax);
    this.#file.say({ carriers, troubles, troubled: all.length });
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#file.idle();
  }
}

/** What the stage of `spool` said last; undefined when it said nothing, or is not alive. */
export function readTransportStatus(runtime: Runtime, spool: string) {
  return readStateFile<TransportStatus>(runtime, pathIn(spool));
}
