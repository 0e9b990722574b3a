// What stands in the notes of each part, as records and as lines: the one place that knows both forms. A dash stands for
// nothing. Text that comes from outside is cut and cleaned, so that a line stays a line.

import { type NotesHead, type NotesWriter, readNotes } from './notes.ts';

/** One request as the flood saw it. Times in microseconds since 1970; 0 when it did not come to that. */
export interface FloodRecord {
  readonly reference: string;
  readonly sender: string;
  readonly scheduled: number;
  /** When the final dot was written: the server cannot have read it earlier. */
  readonly sent: number;
  readonly replied: number;
  /** The reply's code; 0 when the connection went away first. */
  readonly code: number;
  readonly ticket: string | undefined;
  readonly stranger: boolean;
}

/** One acknowledgement as the sink saw it. */
export interface SinkRecord {
  readonly at: number;
  readonly ticket: string;
  readonly to: string;
  /** What the sink said; 0 when it dropped the connection. */
  readonly code: number;
}

/** One request in the hands of the registry: pulled, or confirmed. */
export interface RegistryRecord {
  readonly at: number;
  readonly what: 'pulled' | 'confirmed';
  readonly worker: number;
  readonly sequence: number;
  readonly ticket: string;
  /** What the registrar calls it, read out of the message. */
  readonly reference: string;
  readonly deliveryCount: number;
}

/** CPU and memory of a process at one moment. */
export interface SampleRecord {
  readonly at: number;
  readonly name: string;
  /** Seconds of CPU that it has used so far. */
  readonly cpuSeconds: number;
  readonly megabytes: number;
}

const word = (text: string): string => (text === '' ? '-' : text.replace(/[^\x21-\x7e]/g, '?').slice(0, 320));
const read = (text: string): string => (text === '-' ? '' : text);

export function writeFlood(notes: NotesWriter, record: FloodRecord): void {
  const { reference, sender, scheduled, sent, replied, code, ticket, stranger } = record;
  const times = [scheduled, sent, replied].map((each) => (each === 0 ? '-' : notes.at(each)));
  notes.line(`${reference} ${word(sender)} ${times.join(' ')} ${code} ${ticket ?? '-'} ${stranger ? 's' : 'g'}`);
}

export function writeSink(notes: NotesWriter, { at, ticket, to, code }: SinkRecord): void {
  notes.line(`${notes.at(at)} ${word(ticket)} ${word(to)} ${code}`);
}

export function writeRegistry(notes: NotesWriter, record: RegistryRecord): void {
  const { at, what, worker, sequence, ticket, reference, deliveryCount } = record;
  notes.line(
    `${notes.at(at)} ${what[0]} ${worker} ${sequence} ${word(ticket)} ${word(reference)} ${String(deliveryCount)}`,
  );
}

export function writeSample(notes: NotesWriter, { at, name, cpuSeconds, megabytes }: SampleRecord): void {
  notes.line(`${notes.at(at)} ${word(name)} ${cpuSeconds.toFixed(2)} ${megabytes.toFixed(1)}`);
}

export function readFlood(file: string, each: (record: FloodRecord) => void): Promise<NotesHead> {
  return readNotes(file, 'flood', 8, (fields, { start }) => {
    const [reference = '', sender = '', scheduled = '', sent = '', replied = '', code, ticket = '', who] = fields;
    const time = (text: string): number => (text === '-' ? 0 : start + Number(text));
    each({
      reference,
      sender: read(sender),
      scheduled: time(scheduled),
      sent: time(sent),
      replied: time(replied),
      code: Number(code),
      ticket: ticket === '-' ? undefined : ticket,
      stranger: who === 's',
    });
  });
}

export function readSink(file: string, each: (record: SinkRecord) => void): Promise<NotesHead> {
  return readNotes(file, 'sink', 4, ([at, ticket = '', to = '', code], { start }) =>
    each({ at: start + Number(at), ticket: read(ticket), to: read(to), code: Number(code) }),
  );
}

export function readRegistry(file: string, each: (record: RegistryRecord) => void): Promise<NotesHead> {
  return readNotes(file, 'registry', 7, ([at, what, worker, sequence, ticket = '', reference = '', count], { start }) =>
    each({
      at: start + Number(at),
      what: what === 'c' ? 'confirmed' : 'pulled',
      worker: Number(worker),
      sequence: Number(sequence),
      ticket: read(ticket),
      reference: read(reference),
      deliveryCount: Number(count),
    }),
  );
}

export function readSamples(file: string, each: (record: SampleRecord) => void): Promise<NotesHead> {
  return readNotes(file, 'samples', 4, ([at, name = '', cpu, megabytes], { start }) =>
    each({ at: start + Number(at), name: read(name), cpuSeconds: Number(cpu), megabytes: Number(megabytes) }),
  );
}
