// Notes: what each part of a rehearsal wrote down, one short line an event behind one line of JSON that says whose notes they
// are. Times in a line are whole microseconds after the start that the first line names. A cut-off last line (its writer was
// killed) is left out; anything else that cannot be read is an error that names file and line.

import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Wall clock in microseconds, finer than Date.now: two processes on one machine agree within a fraction of a millisecond. */
export function wallMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

export type NoteKind = 'flood' | 'sink' | 'registry' | 'samples';

export interface NotesHead {
  readonly notes: NoteKind;
  readonly version: 1;
  /** Microseconds since 1970 that the times in the lines count from. */
  readonly start: number;
  /** Which of how many nodes wrote this. */
  readonly node: string;
  /** What was played, in words, for the report. */
  readonly about: string;
}

/** Writes notes without waiting for the disk at each line. */
export class NotesWriter {
  readonly #stream;
  readonly #start: number;
  #lines: string[] = [];
  #failed: Error | undefined;

  constructor(file: string, head: Omit<NotesHead, 'version'>) {
    this.#stream = createWriteStream(file, { encoding: 'latin1', highWaterMark: 1_048_576 });
    this.#stream.on('error', (error) => (this.#failed = error));
    this.#start = head.start;
    this.#lines.push(JSON.stringify({ ...head, version: 1 }));
  }

  /** Microseconds of a wall-clock time after the start. */
  at(micros: number): number {
    return micros - this.#start;
  }

  line(text: string): void {
    if (this.#lines.push(text) >= 2_000) this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    this.#stream.write(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }

  /** Resolves when everything is in the file. */
  async close(): Promise<void> {
    this.flush();
    this.#stream.end();
    if (!this.#failed) await Promise.race([once(this.#stream, 'finish'), once(this.#stream, 'error')]);
    if (this.#failed) throw new Error(`the notes could not be written: ${this.#failed.message}`);
  }
}

/** Reads notes of one kind; `each` gets the fields of a line. Gives the first line. */
export async function readNotes(
  file: string,
  kind: NoteKind,
  fields: number,
  each: (fields: string[], head: NotesHead) => void,
): Promise<NotesHead> {
  const lines = createInterface({ input: createReadStream(file, 'latin1'), crlfDelay: Infinity });
  let head: NotesHead | undefined;
  let bad: number | undefined;
  let line = 0;
  for await (const text of lines) {
    line++;
    if (bad !== undefined) break;
    if (!head) {
      head = headFrom(text, file, kind);
      continue;
    }
    const found = text.split(' ');
    if (found.length === fields) each(found, head);
    else bad = line;
  }
  if (!head) throw new Error(`${file} is empty: it wants the notes of a ${kind}.`);
  if (bad !== undefined && bad < line) {
    throw new Error(`${file}: line ${bad} wants ${fields} fields. Were these notes edited or joined?`);
  }
  return head;
}

function headFrom(text: string, file: string, kind: NoteKind): NotesHead {
  let head: Partial<NotesHead> | undefined;
  try {
    head = JSON.parse(text) as Partial<NotesHead>;
  } catch {
    // Told below.
  }
  if (head?.notes === kind && head.version === 1 && typeof head.start === 'number') return head as NotesHead;
  throw new Error(`${file} wants to begin with the first line of ${kind} notes, but begins with ${text.slice(0, 60)}`);
}
