// How far a journal has come, kept beside it in `NAME.position`: which of its files, how many bytes of it, of which log, and how far
// that log was then. So a journal that is missing, older or shorter is told from a new one, and a log that is shorter than what
// its journals have seen from the real one. Gives DamagedLogError in words; a position that cannot be read says nothing.

import { join } from 'node:path';
import { DamagedLogError } from '../model/errors.ts';
import type { Disk } from '../ports/runtime.ts';
import { readPublishedLine } from './published-line.ts';

/** Bytes of the line in the file. */
export const positionWidth = 256;

/** Where a journal stands. */
export interface JournalPosition {
  /** Which file it is: grows by one each time the file is replaced by a snapshot. */
  readonly generation: number;
  /** Bytes of that file that are on stable storage. */
  readonly length: number;
  /** Sequence up to which the log was on stable storage then. */
  readonly through: number;
  /** Name of the log; `none` before it had one. */
  readonly log: string;
}

const ending = '.position';
const pattern = /^generation (\d+) length (\d+) through (\d+) log (\S+)$/;

/** The file in which the journal `name` has its position. */
export function journalPositionPath(spool: string, name: string): string {
  return join(spool, `${name}${ending}`);
}

/** A position in words, as it is published. */
export function journalPositionText({ generation, length, through, log }: JournalPosition): string {
  return `generation ${generation} length ${length} through ${through} log ${log}`;
}

/** The position of a journal, or undefined when there is none that can be read. */
export function readJournalPosition(disk: Disk, spool: string, name: string): JournalPosition | undefined {
  const match = pattern.exec(readPublishedLine(disk, journalPositionPath(spool, name)) ?? '');
  if (!match) return undefined;
  const [, generation, length, through, log = ''] = match;
  return { generation: Number(generation), length: Number(length), through: Number(through), log };
}

/**
 * Halts when a journal has seen requests that the log does not hold: their numbers would be given again, and what gets them would
 * count as acknowledged and fetched.
 * @param lastSequence the end of the log that was recovered
 */
export async function assertJournalsCovered(
  disk: Disk,
  spool: string,
  logId: string,
  lastSequence: number,
): Promise<void> {
  for (const file of await disk.list(spool)) {
    if (!file.endsWith(ending)) continue;
    const name = file.slice(0, -ending.length);
    const position = readJournalPosition(disk, spool, name);
    if (position?.log !== logId || position.through <= lastSequence) continue;
    throw new DamagedLogError(
      `The log in ${spool} ends with request ${lastSequence}, but ${name}.journal was written when it held ${position.through}: mailboxes are missing or from an older copy, and their numbers must not be given again. Restore the newest copy of the mailboxes.`,
    );
  }
}
