// Adds up the notes of several floods (processes, machines) into what one flood would have said at its end.

import { WrongUse } from './options.ts';
import { readFlood } from './records.ts';
import { Tally } from './tally.ts';

/** The notes file of process `i`: flood.notes, flood.2.notes, flood.3.notes … */
export function notesName(name: string, i: number): string {
  if (i === 1) return name;
  return /\.[^./]+$/.test(name) ? name.replace(/\.([^./]+)$/, `.${i}.$1`) : `${name}.${i}`;
}

/** Reads them all. Seconds are from the first request that was due to the last answer. */
export async function mergeNotes(files: readonly string[]): Promise<{ tally: Tally; seconds: number }> {
  if (files.length === 0) throw new WrongUse('--merge wants the names of notes files.');
  const tally = new Tally();
  let [first, last] = [Infinity, 0];
  for (const file of files) {
    await readFlood(file, ({ scheduled, replied, code }) => {
      tally.add(code, replied - scheduled);
      first = Math.min(first, scheduled);
      last = Math.max(last, replied);
    });
  }
  return { tally, seconds: last > first ? (last - first) / 1e6 : 0 };
}
