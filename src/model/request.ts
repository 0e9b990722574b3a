// What a registration request is, before and after the log has given it its number. Plain data: no I/O, and nothing fails.
// The envelope and the client go into the record as JSON, so fields may be added here, but none may change its meaning.

import type { Evidence } from './registrar.ts';

/** The SMTP envelope (RFC 5321 section 2.3.1). An empty `from` is the null sender. */
interface Envelope {
  readonly from: string;
  readonly to: readonly string[];
}

/** Under what circumstances a request came. What is absent does not hold, or is not known. */
export interface Stamps {
  /** Name of the phase of the opening (opening.phases) in force when the final dot was read. */
  readonly phase?: string;
  /** The final dot was read before the opening. */
  readonly early?: true;
  /** The final dot was read after the closing time; MAIL had come before it. */
  readonly late?: true;
  /** Kept by a rehearsal: it counts for nothing. */
  readonly rehearsal?: true;
  /** How far our clock was ahead of the true time by its last measurement, in milliseconds; negative: behind. */
  readonly clockOffsetMs?: number;
}

/** Who handed the request over, as the intake saw it. Written into the record as JSON: later fields are added, none change meaning. */
interface Client extends Stamps {
  /** IP address of the client itself, also when it came through a front that we trust. */
  readonly address: string;
  /** 0: the front did not say. */
  readonly port: number;
  /** The name given in HELO, EHLO or LHLO. */
  readonly helo: string;
  /** SMTP, ESMTP, ESMTPS, LMTP … (RFC 3848). */
  readonly protocol: string;
  /** Id of the session, the same as in the logs. */
  readonly session: string;
  /** Who the registrar book says it is, and by what. Absent: there was no book, or it did not say. */
  readonly registrar?: { readonly id: string; readonly by: Evidence };
  /** There was a book and it did not know the sender: kept, and never acknowledged by mail. */
  readonly unverified?: true;
  /** The name that the front found for the address. */
  readonly name?: string;
  /** Address of the front that handed it over; absent: the client came by itself. */
  readonly via?: string;
}

/** A complete message (final dot read) that asks for a number in the order. */
export interface NewRequest {
  /** Unique to this attempt: the log recognises a retry after an unknown outcome by it. */
  readonly id: string;
  /** When the final dot was read, milliseconds since 1970 UTC. */
  readonly receivedAt: number;
  readonly envelope: Envelope;
  readonly client: Client;
  /** The exact bytes after DATA, dot-unstuffed, CRLF line ends; no bare CR, no bare LF. */
  readonly message: Buffer;
  /** By what a copy of this request is known. Absent: the log works it out, where it wants it. */
  readonly fingerprint?: string;
}

/** A request with its number. `message` is byte for byte what the registrar sent: size and digest were checked on reading. */
export interface StoredRequest extends NewRequest {
  /** 1, 2, 3 … without gaps. */
  readonly sequence: number;
  readonly ticket: string;
  /** Bytes of `message`. */
  readonly size: number;
  /** SHA-256 of `message`, lower-case hex. */
  readonly sha256: string;
  /** Chain hash, lower-case hex: SHA-256 over the previous record's chain hash and this record's header block. */
  readonly chain: string;
}
