// The commit position: how far the log is on stable storage. The writer publishes it in the file `durable`, before it answers the
// registrar; followers read no further. A torn, damaged or missing line counts as "not known": readers then wait, and
// recovery decides from the mailboxes alone.

import { join } from 'node:path';
import type { Disk } from '../../ports/runtime.ts';
import type { FencedLock } from '../fencing/fencing.ts';
import { PublishedLine, readPublishedLine } from '../published-line.ts';

/** The end of what is on stable storage. */
export interface CommitPosition {
  readonly sequence: number;
  /** First sequence of the mailbox that was written last, and how many of its bytes are on stable storage. */
  readonly mailbox: number;
  readonly offset: number;
}

const fileName = 'durable';
const width = 128;
const pattern = /^sequence (\d+) mailbox (\d+) offset (\d+)$/;

/** A position in words, as it is published. */
export function positionText({ sequence, mailbox, offset }: CommitPosition): string {
  return `sequence ${sequence} mailbox ${mailbox} offset ${offset}`;
}

/** The published position, or undefined when there is none that can be read. */
export function readCommitPosition(disk: Disk, spool: string): CommitPosition | undefined {
  const match = pattern.exec(readPublishedLine(disk, join(spool, fileName)) ?? '');
  return match ? { sequence: Number(match[1]), mailbox: Number(match[2]), offset: Number(match[3]) } : undefined;
}

/** Whether a file of the spool folder, by name, is the one that holds the commit position. */
export function isCommitPositionFile(name: string): boolean {
  return name === fileName;
}

/** Begins to publish the commit position of a log. */
export function publishCommitPosition(
  disk: Disk,
  lock: FencedLock,
  spool: string,
  position: CommitPosition,
): Promise<PublishedLine> {
  return PublishedLine.create(disk, lock, join(spool, fileName), width, positionText(position));
}
