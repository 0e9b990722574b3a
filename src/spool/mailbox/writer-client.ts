// The log's writer as the intake's main thread holds it: implements the port by messages to the thread that writes
// (writer-worker.ts). Takes requests, gives their numbers; errors come across with their class and their system code. It owns
// the thread; a thread that ends by itself counts as a lost writer.

import type { Worker } from 'node:worker_threads';
import { ConfigError, DamagedLogError, FencedError, InUseError } from '../../model/errors.ts';
import type { NewRequest } from '../../model/request.ts';
import type { RequestWriter } from '../../ports/request-log.ts';
import { deferred } from '../../lib/async.ts';
import { startThread } from '../../lib/node/spawn.ts';
import type { Rotation } from './mailbox-file.ts';

/** What the thread is begun with. */
export interface Open {
  readonly spool: string;
  readonly rotation: Rotation;
  /** How long a kept request is known when it comes again, in milliseconds; 0: not at all. */
  readonly duplicateMs: number;
  /** Whether it is a rehearsal's log, and is to be begun as one. */
  readonly rehearsal: boolean;
}

/** Requests on their way across: their messages one behind the other in one piece of memory, which moves and is not copied. */
interface Parcel {
  readonly type: 'append';
  /** JSON: each request without its message, and its message's length in bytes. One text crosses faster than its objects. */
  readonly heads: string;
  readonly messages: Uint8Array;
}

export type ToThread = Parcel | { readonly type: 'close' };

/** An error on its way across: its class by name, and its system code. */
export interface Trouble {
  readonly name: string;
  readonly message: string;
  readonly code?: string | undefined;
}

/** What was cut away when the log was recovered. */
type Cut = { readonly name: string; readonly bytes: number };

export type FromThread =
  | { readonly type: 'open'; readonly lastSequence: number; readonly epoch: string; readonly cut?: Cut }
  | { readonly type: 'kept'; readonly sequences: number[] }
  | ({ readonly type: 'failed' } & Trouble)
  | ({ readonly type: 'lost' } & Trouble);

type Head = Omit<NewRequest, 'message'> & { readonly size: number };

function parcelOf(requests: readonly NewRequest[]): Parcel {
  const messages = new Uint8Array(requests.reduce((sum, { message }) => sum + message.length, 0));
  const heads: Head[] = [];
  let at = 0;
  for (const { message, ...rest } of requests) {
    messages.set(message, at);
    at += message.length;
    heads.push({ ...rest, size: message.length });
  }
  return { type: 'append', heads: JSON.stringify(heads), messages };
}

/** The requests of a parcel. */
export function requestsIn({ heads, messages }: Parcel): NewRequest[] {
  let at = messages.byteOffset;
  return (JSON.parse(heads) as Head[]).map(({ size, ...rest }) => {
    const message = Buffer.from(messages.buffer, at, size);
    at += size;
    return { ...rest, message };
  });
}

const classes = { ConfigError, DamagedLogError, FencedError, InUseError };

function revived({ name, message, code }: Trouble): Error {
  const Class = name in classes ? classes[name as keyof typeof classes] : Error;
  return code === undefined ? new Class(message) : Object.assign(new Class(message), { code });
}

class WriterClient implements RequestWriter {
  readonly #worker: Worker;
  readonly #lost = deferred<Error>();
  readonly #ended = deferred<void>();
  #answer: { kept: (sequences: number[]) => void; failed: (error: Error) => void } | undefined;
  #stopped: Error | undefined;
  #closing = false;
  lastSequence: number;

  constructor(worker: Worker, lastSequence: number) {
    this.#worker = worker;
    this.lastSequence = lastSequence;
    worker.on('message', (message: FromThread) => this.#take(message));
    worker.on('error', (error: Error) => this.#stop(error));
    worker.once('exit', () => {
      this.#stop(new Error('the thread that writes the log has ended'));
      this.#ended.resolve();
    });
  }

  get lost(): Promise<Error> {
    return this.#lost.promise;
  }

  append(requests: readonly NewRequest[]): Promise<number[]> {
    if (this.#stopped) return Promise.reject(this.#stopped);
    return new Promise((kept, failed) => {
      this.#answer = { kept, failed };
      const parcel = parcelOf(requests);
      this.#worker.postMessage(parcel, [parcel.messages.buffer as ArrayBuffer]);
    });
  }

  #take(message: FromThread): void {
    if (message.type === 'kept') {
      for (const sequence of message.sequences) if (sequence > this.lastSequence) this.lastSequence = sequence;
      const answer = this.#answer;
      this.#answer = undefined;
      answer?.kept(message.sequences);
    } else if (message.type !== 'open') this.#stop(revived(message));
  }

  #stop(reason: Error): void {
    this.#stopped ??= reason;
    this.#answer?.failed(this.#stopped);
    this.#answer = undefined;
    if (!this.#closing) this.#lost.resolve(this.#stopped);
  }

  async close(): Promise<void> {
    this.#closing = true;
    const close: ToThread = { type: 'close' };
    this.#worker.postMessage(close, []);
    await this.#ended.promise;
  }
}

/**
 * Takes the lock of the log and recovers it, in a thread of its own.
 * @returns the writer, its epoch, and what recovery cut away
 * @throws InUseError, DamagedLogError, ConfigError for a log of the other kind, or what the disk says
 */
export async function openWriterClient(
  open: Open,
): Promise<{ writer: RequestWriter; epoch: string; lastSequence: number; cut?: Cut }> {
  const worker = startThread('writer-worker', import.meta.url, { workerData: open });
  const first = await new Promise<FromThread>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the thread that writes the log has ended')));
  });
  if (first.type === 'kept') throw new Error('the thread that writes the log answered before it was asked');
  if (first.type !== 'open') throw revived(first);
  const { type: _, ...opened } = first;
  return { writer: new WriterClient(worker, opened.lastSequence), ...opened };
}
