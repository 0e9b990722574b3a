// CPU and memory of processes, read from /proc every half second. Takes the address of the daemon's health (which names the
// stages' pids, also after a restart) and pids of our own; writes samples into notes. Linux only: elsewhere there are none.

import { readFile } from 'node:fs/promises';
import { NotesWriter, wallMicros } from './notes.ts';
import { writeSample } from './records.ts';

/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const ticks = 100;

interface Usage {
  readonly cpuSeconds: number;
  readonly megabytes: number;
}

/** What a process uses now; undefined when it is gone. */
async function usageOf(pid: number): Promise<Usage | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold anything, so count from behind it: utime is the 12th field there, stime the 13th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const pages = Number(fields[21]);
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticks,
      megabytes: (pages * 4096) / 1e6,
    };
  } catch {
    return undefined;
  }
}

/** The pids of the stages that run now, by name. */
async function stagePids(adminPort: number): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/health`, { signal: AbortSignal.timeout(5_000) });
  const { stages } = (await answer.json()) as { stages: { stage: string; pid?: number }[] };
  return new Map(stages.flatMap(({ stage, pid }) => (pid === undefined ? [] : [[stage, pid] as const])));
}

export class Sampler {
  /** Processes to look at besides the stages. */
  readonly others = new Map<string, number>();
  readonly #notes: NotesWriter;
  readonly #adminPort: number;
  #stages: ReadonlyMap<string, number> = new Map();
  #stopped = false;
  readonly #over: Promise<void>;

  constructor(file: string, adminPort: number) {
    this.#adminPort = adminPort;
    this.#notes = new NotesWriter(file, { notes: 'samples', start: wallMicros(), node: '1/1', about: 'every 500 ms' });
    this.#over = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#over;
    await this.#notes.close();
  }

  async #run(): Promise<void> {
    for (let round = 0; !this.#stopped; round++) {
      // A stage that was restarted has another pid.
      if (round % 4 === 0) this.#stages = await stagePids(this.#adminPort).catch(() => this.#stages);
      for (const [name, pid] of [...this.#stages, ...this.others]) {
        const usage = await usageOf(pid);
        if (usage) writeSample(this.#notes, { at: wallMicros(), name, ...usage });
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}
