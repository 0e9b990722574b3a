// Whether the machine's clock is right, as far as the program that keeps it knows. Takes a way to run commands, gives the
// first answer of chrony, ntpd and the kernel (through timedatectl); none of them there, and nobody knows. Never rejects.

import type { RunCommand } from '../../lib/node/spawn.ts';

/** What is known of the clock. */
export interface ClockReport {
  /** Undefined: nobody knows. */
  readonly synchronised: boolean | undefined;
  /** How far our clock is ahead, in milliseconds; negative: behind. Absent: not known. */
  readonly offsetMs?: number;
  /** Who says so; '' when nobody does. */
  readonly source: string;
}

export const unknownClock: ClockReport = { synchronised: undefined, source: '' };

/** The longest that each of the programs may take, in milliseconds. */
const patienceMs = 2_000;

interface Source {
  readonly file: string;
  readonly args: readonly string[];
  /** What its output says; undefined when that is nothing. */
  readonly read: (output: string) => Omit<ClockReport, 'source'> | undefined;
}

const sources: readonly Source[] = [
  {
    file: 'chronyc',
    args: ['-n', 'tracking'],
    read(output) {
      const leap = /^Leap status\s*: (.+)$/m.exec(output)?.[1]?.trim();
      if (leap === undefined) return undefined;
      if (leap === 'Not synchronised') return { synchronised: false };
      const [, seconds, way] = /^System time\s*: ([\d.]+) seconds (fast|slow) of NTP time$/m.exec(output) ?? [];
      return { synchronised: true, ...offset(seconds, way === 'fast' ? 1_000 : -1_000) };
    },
  },
  {
    file: 'ntpq',
    args: ['-n', '-c', 'rv'],
    read(output) {
      if (/\bleap_alarm\b|\bsync_unspec\b/.test(output)) return { synchronised: false };
      if (!/\bleap_(?:none|add_sec|del_sec)\b/.test(output)) return undefined;
      // Its offset is what has to be added to our clock.
      return { synchronised: true, ...offset(/\boffset=([+-]?[\d.]+)/.exec(output)?.[1], -1) };
    },
  },
  {
    file: 'timedatectl',
    args: ['show', '-p', 'NTPSynchronized', '--value'],
    read(output) {
      const said = output.trim();
      return said === 'yes' || said === 'no' ? { synchronised: said === 'yes' } : undefined;
    },
  },
];

/** To the microsecond; and no minus zero. */
function offset(text: string | undefined, factor: number): { offsetMs?: number } {
  const value = Math.round(Number(text) * factor * 1_000) / 1_000;
  return Number.isFinite(value) ? { offsetMs: value + 0 } : {};
}

/** Asks the programs in turn until one knows. */
export async function askClock(run: RunCommand): Promise<ClockReport> {
  for (const { file, args, read } of sources) {
    const output = await run(file, args, patienceMs);
    const said = output === undefined ? undefined : read(output);
    if (said) return { ...said, source: file };
  }
  return unknownClock;
}
