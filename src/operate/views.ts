// What operators look at, as this part of Seawall needs it: the states behind the journals, replayed. The composition root
// brings the real ones; nothing here knows how they are kept.

import type { Bounds } from './health.ts';
import type { Validity } from '../lib/tls-files.ts';
import type { Opening } from '../model/opening.ts';
import type { ParseMail } from '../model/parsed-mail.ts';
import type { RequestReader } from '../ports/request-log.ts';

/** How far the acknowledgements are. */
interface AckView {
  /** Every request up to here is acknowledged, needs none, or has failed for good. */
  readonly settledThrough: number;
  readonly counts: { readonly sent: number; readonly skipped: number; readonly failed: number };
  /** How many wait for another try. */
  readonly pendingCount: number;
  /** How many mails are set aside because no parser came to an end with them. */
  readonly poisonedCount: number;
  /** The highest sequence such that all from `after` up to it are settled. */
  settledFrom(after: number): number;
  stateOf(sequence: number): string;
}

/** How far the registry is. */
export interface RegistryView {
  readonly confirmedThrough: number;
  /** What the registry has still to take or to confirm, in its order, as first and last of each run, up to `durable`. */
  line(durable: number): Iterable<readonly [number, number]>;
  /** How many requests are where, when `durable` is the highest sequence and `now` the time in milliseconds. */
  counts(durable: number, now: number): { ready: number; leased: number; parked: number; confirmed: number };
  stateOf(sequence: number, now: number): string;
}

/** Who holds a stage's claim. */
export interface Holder {
  readonly stage: string;
  readonly pid: number;
  readonly host: string;
  readonly since: string;
  readonly epoch: string;
  readonly state: 'alive' | 'dead' | 'unknown';
}

/** How full something is. */
interface Gauge {
  readonly used: number;
  readonly most: number;
}

/** What one registrar, or all strangers together, have in the intake now and have had. */
interface QuotaView {
  readonly connections: number;
  readonly inProgress: number;
  readonly waiting: number;
  readonly kept: number;
  readonly deferred: number;
  readonly refused: number;
}

/** The registrar book in force, and who has come. */
export interface RegistrarsView {
  /** SHA-256 of the book. */
  readonly book: string;
  readonly size: number;
  readonly strangers: QuotaView;
  readonly byId: Readonly<Record<string, QuotaView>>;
}

/** What the intake said last, if it is alive. */
export interface IntakeView {
  /** Milliseconds since 1970 UTC. */
  readonly at: number;
  /** normal, slow, defer or refuse; and why it is not normal. */
  readonly level: string;
  readonly why: string;
  /** What MAIL gets just now, when it is not taken; `due`: by the opening, and nothing is wrong. */
  readonly answer?: { readonly code: number; readonly text: string; readonly due: boolean };
  readonly connections: Gauge;
  readonly memory: Gauge;
  readonly line: Gauge;
  /** The day, UTC, of all counts. */
  readonly day: string;
  readonly counts: {
    readonly kept: number;
    readonly repeated: number;
    readonly deferred: number;
    readonly refused: number;
  };
  readonly registrars?: RegistrarsView;
  /** Why the opening waits for the clock. */
  readonly clockTrouble?: string;
}

/** What is known of the machine's clock. */
export interface ClockView {
  /** Undefined: nobody knows. */
  readonly synchronised: boolean | undefined;
  /** How far it is ahead, in milliseconds; negative: behind. */
  readonly offsetMs?: number;
  /** The program that says so; '' when none does. */
  readonly source: string;
}

/** Who carries the acknowledgements, as the stage said last, if it is alive. */
export interface TransportView {
  readonly carriers: readonly string[];
  /** Some of those that cannot be reached, and how many there are. Times in milliseconds since 1970 UTC. */
  readonly troubles: readonly {
    readonly name: string;
    readonly text: string;
    readonly since: number;
    readonly nextTry: number;
  }[];
  readonly troubled: number;
}

/** Everything there is to look at in one spool, as it stands now. */
export interface Views {
  readonly spool: string;
  /** Whether nothing in this spool counts. */
  readonly rehearsal: boolean;
  readonly opening: Opening;
  readonly clock: () => Promise<ClockView>;
  readonly reader: RequestReader;
  /** Reads what a request asks for, again from the kept mail. */
  readonly parseMail: ParseMail;
  readonly acks: AckView;
  readonly registry: RegistryView;
  /** Journals that are damaged, in words: what `acks` and `registry` say then is as far as the damage only. */
  readonly problems: readonly string[];
  readonly holders: readonly Holder[];
  /** In words, when the spool is a copy or went on from one. */
  readonly copied: string | undefined;
  readonly intake: IntakeView | undefined;
  readonly sending: TransportView | undefined;
  /** Whether acknowledgements are sent at all. */
  readonly sends: boolean;
  readonly bounds: Bounds;
  /** What is wrong with the certificates that the configuration names. */
  readonly certificates: readonly (Validity & { readonly setting: string })[];
  readonly free: { readonly bytes: number; readonly inodes: number } | undefined;
  /** Less free room than this, and new mail gets 452. */
  readonly floor: { readonly bytes: number; readonly inodes: number };
}
