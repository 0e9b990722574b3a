// What a registrar is, and by which evidence one is known. Plain data that the registrar book fills and the stages read;
// nothing here checks it: the book does, and fails with a sentence that names the entry.

/** By what a registrar was known. */
export type Evidence = 'certificate' | 'auth' | 'network' | 'envelope';

/** A registrar as the book has it. */
export interface Registrar {
  /** Lower-case letters, digits, `-` and `_`: stands in records, logs and SOAP answers. */
  readonly id: string;
  readonly name: string;
  /** Language of acknowledgements; absent: ack.language. */
  readonly language?: string;
  /** Where acknowledgements go; absent: to the envelope sender. */
  readonly contact?: string;
  /** Addresses and networks (CIDR). */
  readonly networks: readonly string[];
  /** SMTP AUTH: the user name and the hash of the password (password-hash.ts). */
  readonly login?: { readonly user: string; readonly passwordHash: string };
  /** SHA-256 fingerprints of TLS client certificates, lower-case hex. */
  readonly certificates: readonly string[];
  /** Envelope senders, lower-case: whole addresses, or domains as `@registrar.example`. */
  readonly senders: readonly string[];
  /** Its share when there is not enough for all: one with 2 has twice the share of one with 1. */
  readonly weight: number;
  /** Limits of its own; absent: those of the configuration (`registrars.connections` …). */
  readonly connections?: number;
  readonly messages?: number;
  readonly bytes?: number;
}
