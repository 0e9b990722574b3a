// One message on its way in, from the first byte after 354 to the words of its 250: takes the chunks of a DATA, gives the exact
// bytes to the sequencer, or the refusal that they earn. Bare CR and LF are looked for, which smtp-server lets through: a
// mailbox could not give them back, and they are how mail is smuggled (CVE-2023-51764). Owns the chunks and their
// reservation; a refused message is read on to its end, but not kept.

import type { NewRequest } from '../../model/request.ts';
import { ticketOf } from '../../model/ticket.ts';
import { identityFields } from '../policy/registrar-session.ts';
import type { Connection } from './connection.ts';
import type { SmtpParts } from './options.ts';
import type { Memory } from '../policy/registrar-quota.ts';
import { Refusal } from './replies.ts';

const cr = 0x0d;
const lf = 0x0a;

/** Chunks that are gathered into one when they are small: a client may send a few bytes at a time. */
const gatheredChunks = 64;
const gatheredBytes = 65_536;
/** Finding a line end, and quoting a line in the mailbox, costs as much as so many bytes do. */
const lineBytes = 32;

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

  /** What it has cost so far, in bytes: a line costs as much as so many of them, however short it is. */
  get cost(): number {
    return Math.max(this.size, Math.min(this.#lines, this.#limits.lines) * lineBytes);
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

/** Who takes the chunks of a DATA. */
export interface DataTaker {
  chunk(bytes: Buffer): void;
  /** The final dot has been read. */
  end(): void;
  /** The client went away before it. */
  lost(): void;
}

/**
 * The small part of a stream that the library uses of its own PassThrough, which costs more a message than receiving it
 * (`npm run compare -- kept`). Each chunk is given on at once, so there is nothing to wait for and nothing to drain.
 */
export class DataSink {
  /** Counted by the parser. */
  byteLength = 0;
  sizeExceeded = false;
  /** The connection asks for these as it would ask a stream. Nothing is ever left to be read. */
  readonly readable = false;
  readonly readableEnded = true;
  writable = true;
  writableEnded = false;
  destroyed = false;
  /** Set by whoever takes the message, before the first byte. */
  taker: DataTaker | undefined;

  write(bytes: Buffer): boolean {
    this.taker?.chunk(bytes);
    return true;
  }

  end(bytes?: Buffer): void {
    if (bytes) this.taker?.chunk(bytes);
    this.writable = false;
    this.writableEnded = true;
    this.taker?.end();
  }

  destroy(): void {
    if (this.destroyed || this.writableEnded) return;
    this.writable = false;
    this.destroyed = true;
    this.taker?.lost();
  }

  listenerCount(): number {
    return 0;
  }
}

/** A client, as a log line names it. */
export function spoken({ session, address, via, registrar }: NewRequest['client']): Record<string, string> {
  return {
    session,
    ...(registrar && { registrar: registrar.id }),
    client: address,
    ...(via !== undefined && { via }),
  };
}

/**
 * To be called in the moment in which the final dot was read. The message's memory is given back.
 * @returns the ticket and what else the client is told, and whether it is that of an earlier copy
 * @throws Refusal, or what `keep` throws
 */
export async function receiveMessage(
  { runtime, gate, keep, log }: Pick<SmtpParts, 'runtime' | 'gate' | 'keep' | 'log'>,
  message: IncomingMessage,
  { session, client, registrarSession, mailAt }: Connection,
): Promise<{ words: string; repeated: boolean }> {
  const receivedAt = runtime.clock.now();
  const bytes = message.end();
  if (bytes instanceof Refusal) throw bytes;
  try {
    const { mailFrom, rcptTo } = session.envelope;
    const request: NewRequest = {
      id: runtime.ids.uuid(),
      receivedAt,
      envelope: { from: mailFrom === false ? '' : mailFrom.address, to: rcptTo.map((each) => each.address) },
      client: {
        ...client,
        ...(registrarSession && identityFields(registrarSession.known)),
        ...gate.stamps(mailAt, receivedAt),
      },
      message: bytes,
    };
    const { sequence, repeated } = await keep(request);
    const ticket = ticketOf(sequence);
    log.info(
      { ticket, sequence, ...spoken(request.client), from: request.envelope.from, size: bytes.length },
      repeated ? 'kept already: a copy, which got the first ticket' : 'kept',
    );
    return {
      words: `${ticket}${repeated ? ' (already kept)' : ''}${gate.rehearsal ? ' (rehearsal)' : ''}`,
      repeated,
    };
  } finally {
    message.release();
  }
}
