// One message on its way in: takes the chunks of a DATA stream, gives the exact bytes or the refusal that they earn. Looks for
// bare CR and LF, which smtp-server lets through: a mailbox could not give them back, and they are how mail is smuggled
// (CVE-2023-51764). Owns the chunks and their reservation; a refused message is read on to its end, but not kept.

import { Refusal } from '../policy/admission.ts';
import type { Memory } from '../policy/registrar-quota.ts';

const cr = 0x0d;
const lf = 0x0a;

/** Chunks that are gathered into one when they are small: smtp-server gives one for every line that begins with a dot. */
const gatheredChunks = 64;
const gatheredBytes = 65_536;

/** The most that a message may be. */
export interface MessageLimits {
  readonly bytes: number;
  readonly lines: number;
}

export class IncomingMessage {
  readonly #limits: MessageLimits;
  readonly #memory: Memory;
  #chunks: Buffer[] = [];
  #latest: Buffer[] = [];
  #latestBytes = 0;
  #reserved = 0;
  #lines = 0;
  #afterCr = false;
  /** Bytes that have come, kept or not. */
  size = 0;
  /** Why the message will be refused, once that is known. */
  refusal: Refusal | undefined;

  constructor(limits: MessageLimits, memory: Memory) {
    this.#limits = limits;
    this.#memory = memory;
  }

  /** Takes the next chunk. */
  add(chunk: Buffer): void {
    this.size += chunk.length;
    if (this.refusal) return;
    const refusal = this.#judge(chunk) ?? this.#memory.reserve(chunk.length);
    if (refusal) return this.refuse(refusal);
    this.#reserved += chunk.length;
    this.#latest.push(chunk);
    this.#latestBytes += chunk.length;
    if (this.#latest.length === gatheredChunks) this.#gather();
  }

  /** A chunk of three bytes costs a hundred in memory, which nobody has reserved: many small ones become one. */
  #gather(): void {
    if (this.#latestBytes < gatheredBytes) this.#chunks.push(Buffer.concat(this.#latest));
    else this.#chunks.push(...this.#latest);
    this.#latest = [];
    this.#latestBytes = 0;
  }

  /** The whole message, or why it is refused. The bytes stay reserved until `release`. */
  end(): Buffer | Refusal {
    if (!this.refusal && this.#afterCr) this.refuse(bareCr());
    if (this.refusal) return this.refusal;
    const chunks = [...this.#chunks, ...this.#latest];
    const [only] = chunks;
    return chunks.length === 1 && only ? only : Buffer.concat(chunks);
  }

  /** Settles that the message will be refused, and forgets what has come of it. */
  refuse(refusal: Refusal): void {
    this.refusal ??= refusal;
    this.release();
  }

  /** Gives the memory back. Harmless when called again. */
  release(): void {
    this.#memory.release(this.#reserved);
    this.#reserved = 0;
    this.#chunks = [];
    this.#latest = [];
    this.#latestBytes = 0;
  }

  #judge(chunk: Buffer): Refusal | undefined {
    if (this.size > this.#limits.bytes) {
      return new Refusal(552, `5.3.4 The message is larger than the ${this.#limits.bytes} bytes that SIZE announced`);
    }
    // Every LF must follow a CR, and every CR must be followed by an LF; a chunk may end between the two.
    if (this.#afterCr && chunk[0] !== lf) return bareCr();
    for (let at = chunk.indexOf(lf); at !== -1; at = chunk.indexOf(lf, at + 1)) {
      if (at === 0 ? !this.#afterCr : chunk[at - 1] !== cr) return bareLf();
      this.#lines++;
    }
    for (let at = chunk.indexOf(cr); at !== -1 && at + 1 < chunk.length; at = chunk.indexOf(cr, at + 1)) {
      if (chunk[at + 1] !== lf) return bareCr();
    }
    this.#afterCr = chunk.at(-1) === cr;
    if (this.#lines > this.#limits.lines) {
      return new Refusal(552, `5.3.4 The message has more than ${this.#limits.lines} lines`);
    }
    return undefined;
  }
}

function bareCr(): Refusal {
  return new Refusal(
    554,
    '5.6.0 The message has a bare CR (a CR without LF): lines must end with CRLF (RFC 5321 section 2.3.8)',
  );
}

function bareLf(): Refusal {
  return new Refusal(
    554,
    '5.6.0 The message has a bare LF (an LF without CR): lines must end with CRLF (RFC 5321 section 2.3.8)',
  );
}
