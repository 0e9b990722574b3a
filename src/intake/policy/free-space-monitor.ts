// The floor under the free room of the spool's file system. Looks every second, and when it is told to; says through
// `changed` why new mail has to wait, or that it need not any more, and logs each change once. What cannot be looked at
// (no spool yet) changes nothing. The floor is what lets a request on its way, the journals and a recovery still finish.

import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Runtime, Timer } from '../../ports/runtime.ts';

/** What the floor works with. */
export interface FloorParts {
  readonly spool: Config['spool'];
  readonly runtime: Pick<Runtime, 'clock' | 'disk'>;
  readonly log: Logger;
  /** Told whenever there begins to be too little room, and when there is enough again. */
  readonly changed: (below: boolean) => void;
}

const lookMs = 1_000;

export class FreeSpaceMonitor {
  readonly #parts: FloorParts;
  #below = false;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(parts: FloorParts) {
    this.#parts = parts;
  }

  /** Looks now, and from then on every second. */
  async start(): Promise<void> {
    await this.look();
    if (this.#stopped) return;
    this.#timer = this.#parts.runtime.clock.after(lookMs, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Looks now. Never rejects. */
  async look(): Promise<void> {
    const { spool, runtime, log, changed } = this.#parts;
    const { dir, floor_bytes: floorBytes, floor_inodes: floorInodes } = spool;
    if (floorBytes === 0 && floorInodes === 0) return;
    let free: { bytes: number; inodes: number };
    try {
      free = await runtime.disk.free(dir);
    } catch (error) {
      log.debug({ err: error }, 'the free room of the spool is not known');
      return;
    }
    const below = free.bytes < floorBytes || free.inodes < floorInodes;
    if (below === this.#below || this.#stopped) return;
    this.#below = below;
    changed(below);
    const found = { spool: dir, freeBytes: free.bytes, freeInodes: free.inodes, floorBytes, floorInodes };
    if (!below) log.warn(found, 'the disk has room again: new mail is taken');
    else
      log.error(
        found,
        'too little room on the disk: new mail gets 452. Make room below spool.dir, or lower spool.floor_bytes or spool.floor_inodes (0: no floor)',
      );
  }
}
