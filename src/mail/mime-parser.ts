// Gives mails of several parts to the parser in its thread (mime-worker.ts), one at a time, and ends the thread when one
// takes too long or too much memory: a parser that never yields cannot be stopped in any other way. Takes a piece, gives
// lines, or undefined when the parser can make nothing of it. Fails with PoisonError when the mail was the end of the
// thread, with NoParserError when there is none. Owns the thread: started with the first mail, kept, replaced after it was ended.

import type { Worker, WorkerOptions } from 'node:worker_threads';
import { messageOf } from '../model/errors.ts';
import type { Clock, Timer } from '../ports/runtime.ts';
import { startThread } from '../lib/node/spawn.ts';

/** A mail that the parser did not come to the end of. */
export class PoisonError extends Error {
  override readonly name = 'PoisonError';
}

/** There is no parser, which is no mail's fault: none can be started, or it was closed. */
export class NoParserError extends Error {
  override readonly name = 'NoParserError';
}

/**
 * The deadline is counted in so many steps, each a timer of its own: a process that was stopped, or that itself kept the
 * timers waiting, has lost one step by it and not the deadline. What is quoted must not depend on a busy machine.
 */
const steps = 16;

/** The length of a step, for whoever turns a clock. */
export const stepOf = (deadlineMs: number): number => deadlineMs / steps;

/** Loading the parser takes a second on a busy machine. A thread that is not up after so long will not come. */
const startMs = 60_000;

/** The worst mails that the tests know of are read in this (64 KB need 16 MB, measured), and a stage is to stay below 200. */
const limits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 };

const startParser = (options: WorkerOptions): Worker => startThread('mime-worker', import.meta.url, options);

/** Somebody who waits for the thread to say something. */
interface Waiting {
  readonly heard: (message: unknown) => void;
  readonly died: (reason: string) => void;
}

export class MimeParser {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #startThread: (options: WorkerOptions) => Worker;
  #worker: Worker | undefined;
  #waiting: Waiting | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param parts `deadlineMs` for one mail; `start` starts a thread in place of the parser's */
  constructor(parts: { clock: Clock; deadlineMs: number; start?: (options: WorkerOptions) => Worker }) {
    this.#clock = parts.clock;
    this.#deadlineMs = parts.deadlineMs;
    this.#startThread = parts.start ?? startParser;
  }

  /**
   * Text lines of a mail.
   * @param begin called when its turn has come, before the parser sees it
   * @throws PoisonError when the thread had to be ended or died; NoParserError; what `begin` throws
   */
  read(piece: Buffer, begin?: () => Promise<void>): Promise<readonly string[] | undefined> {
    const result = this.#turn.then(async () => {
      if (!this.#worker) await this.#start();
      await begin?.();
      const worker = this.#worker ?? (await this.#start());
      // Copied: the piece is a window on a whole read of the log, and all of that would be sent.
      const bytes = new Uint8Array(piece);
      const lines = await this.#answer(worker, this.#deadlineMs, () => worker.postMessage(bytes, [bytes.buffer]));
      return Array.isArray(lines) ? lines.map(String) : undefined;
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Ends the thread. What is being read, and all that is read later, fails with NoParserError. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }

  async #start(): Promise<Worker> {
    if (this.#closed) throw new NoParserError('closed');
    const worker = this.#startThread({ resourceLimits: limits, execArgv: [] });
    this.#worker = worker;
    const died = (reason: string): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#waiting?.died(reason);
    };
    worker.on('message', (message) => {
      if (this.#worker === worker) this.#waiting?.heard(message);
    });
    worker.on('error', (error) => died(`its parser died: ${messageOf(error)}`));
    worker.on('exit', () => died('its parser ended'));
    try {
      await this.#answer(worker, startMs);
    } catch (error) {
      throw new NoParserError(`no parser can be started: ${messageOf(error)}`);
    }
    return worker;
  }

  /** The next message of the thread. @throws PoisonError, the thread being ended then, when none comes */
  async #answer(worker: Worker, withinMs: number, ask?: () => void): Promise<unknown> {
    let left = steps;
    let timer: Timer | undefined;
    // Somebody waits: the process may not end in between for lack of anything else to do.
    worker.ref();
    try {
      return await new Promise((heard, reject) => {
        const died = (reason: string): void =>
          reject(this.#closed ? new NoParserError('closed') : new PoisonError(reason));
        const step = (): void => {
          if (left-- === 0) died(`it was not read within ${withinMs / 1000} s`);
          else timer = this.#clock.after(stepOf(withinMs), step);
        };
        this.#waiting = { heard, died };
        step();
        ask?.();
      });
    } catch (error) {
      if (this.#worker === worker) this.#worker = undefined;
      await worker.terminate();
      throw error;
    } finally {
      this.#waiting = undefined;
      timer?.cancel();
      worker.unref();
    }
  }
}
