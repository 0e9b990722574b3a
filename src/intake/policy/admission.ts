// Who may come in, and how much at once. Takes what the SMTP session knows, gives nothing or a refusal with its reply. Every
// limit of the intake that is not one message's own is looked at here and nowhere else. Local trouble is 4xx, always, and
// at once: the sender will come again. Owns the counts of connections and message bytes.

import type { Clock } from '../../ports/runtime.ts';
import { type ClientLimits, ConnectionLimits } from './connection-limits.ts';
import { type Gauge, LoadShedder, type LoadLevel, slowAt, type LoadState } from './load-shedding.ts';
import { RefusedBytes } from './refused-bytes.ts';
import { Refusal } from '../smtp/replies.ts';

/** What the intake may hold. */
export interface AdmissionLimits {
  readonly connections: number;
  readonly client: ClientLimits;
  readonly bufferedBytes: number;
  /** The most bytes of one sender's messages that come to nothing, in a minute; 0: any number. */
  readonly refusedBytes: number;
  /** The most requests that wait for the disk. */
  readonly waiting: number;
  /** The most messages that one connection may bring. */
  readonly sessionMessages: number;
  /** Lower-case addresses that take requests; empty: any. */
  readonly recipients: readonly string[];
}

/** How the intake fares, for `status`. */
export interface Load extends LoadState {
  readonly connections: Gauge;
  readonly memory: Gauge;
  readonly line: Gauge;
}

/** How long the answer to MAIL is held back at the level `slow`, in milliseconds. */
const slowMs = 250;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #recipients: ReadonlySet<string>;
  readonly #clients: ConnectionLimits;
  readonly #shedder: LoadShedder;
  readonly #refused: RefusedBytes;
  #buffered = 0;
  #connections = 0;
  /** Why nothing is taken at the moment: set until the log is open, and again when it is lost. */
  closedBecause: string | undefined = 'starting';
  /** Whether the disk has too little room for new mail; what is on its way may finish. */
  belowFloor = false;
  /** How many requests wait for the disk. */
  waiting: () => number = () => 0;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#recipients = new Set(limits.recipients.map((each) => each.toLowerCase()));
    this.#clients = new ConnectionLimits(limits.client, clock);
    this.#shedder = new LoadShedder(clock);
    this.#refused = new RefusedBytes(limits.refusedBytes, clock);
  }

  /** Where we stand, and how full everything is. */
  get load(): Load {
    const connections = { name: 'connections', used: this.#connections, most: this.#limits.connections };
    const memory = { name: 'message bytes in memory', used: this.#buffered, most: this.#limits.bufferedBytes };
    const line = { name: 'requests waiting for the disk', used: this.waiting(), most: this.#limits.waiting };
    const state: LoadState =
      this.closedBecause === undefined
        ? this.#shedder.stand([line, memory], connections)
        : { level: 'refuse', work: 'refuse', why: this.closedBecause };
    return { ...state, connections, memory, line };
  }

  /** The level of the work. Asked for every message, and most often nothing is near half full. */
  get #work(): LoadLevel {
    const { bufferedBytes, waiting } = this.#limits;
    const calm = this.#buffered < bufferedBytes * slowAt && this.waiting() < waiting * slowAt;
    return calm && this.#shedder.atRest ? 'normal' : this.load.work;
  }

  /**
   * A connection comes. Without a refusal it is counted, and `disconnect` must follow once it is gone.
   * @param byAddress whether the limits for each address hold: a known registrar has its own (registrar-quota.ts)
   */
  connect(address: string, byAddress = true): Refusal | undefined {
    if (this.closedBecause !== undefined) {
      return new Refusal(421, `4.3.2 Not ready (${this.closedBecause}), try again later`);
    }
    if (this.#connections >= this.#limits.connections) {
      return new Refusal(421, '4.7.0 Too many connections, try again later');
    }
    if (this.#work === 'refuse') return new Refusal(421, '4.3.2 Overloaded, try again later');
    const tooMany = byAddress ? this.#clients.arrive(address) : undefined;
    if (tooMany !== undefined) return new Refusal(421, `4.7.0 ${tooMany}, try again later`);
    this.#connections++;
    return undefined;
  }

  /** A connection is another client's from now on. Without a refusal it is that one's address that `disconnect` must name. */
  move(from: string, to: string): Refusal | undefined {
    const tooMany = this.#clients.arrive(to);
    if (tooMany !== undefined) return new Refusal(421, `4.7.0 ${tooMany}, try again later`);
    this.#clients.leave(from);
    return undefined;
  }

  disconnect(address: string, byAddress = true): void {
    this.#connections--;
    if (byAddress) this.#clients.leave(address);
  }

  /** A connection turns out to be a registrar's: the limits for its address hold for it no longer. */
  recognise(address: string): void {
    this.#clients.leave(address);
  }

  /**
   * A message is announced (MAIL, RFC 5321 section 4.1.1.2).
   * @param before how many the connection has brought already
   * @returns how long its answer is held back in milliseconds, or the refusal
   */
  mail(before: number): number | Refusal {
    if (this.closedBecause !== undefined) {
      return new Refusal(451, `4.3.2 Not ready (${this.closedBecause}), try again later`);
    }
    if (this.belowFloor) {
      return new Refusal(452, '4.3.1 Too little room on the disk (spool.floor_bytes), try again later');
    }
    if (before >= this.#limits.sessionMessages) {
      return new Refusal(421, `4.7.0 ${before} messages on one connection, go on with a new one`);
    }
    const work = this.#work;
    if (work === 'defer' || work === 'refuse') return new Refusal(451, '4.3.1 Overloaded, try again later');
    return work === 'slow' ? slowMs : 0;
  }

  /** A message came to nothing. @param sender whose it was: a registrar, or a client's address @param bytes what it cost */
  wasted(sender: string, bytes: number): void {
    this.#refused.spend(sender, bytes);
  }

  /** Whether too much of a sender's has come to nothing for it to send more now. @param address where it is */
  overspent(sender: string, address: string): Refusal | undefined {
    if (!this.#refused.isSpent(sender) || this.#clients.isUnlimited(address)) return undefined;
    return new Refusal(450, '4.7.1 Too many bytes of yours came in messages that were refused, try again in a minute');
  }

  recipient(address: string): Refusal | undefined {
    if (this.#recipients.size === 0 || this.#recipients.has(address.toLowerCase())) return undefined;
    return new Refusal(550, '5.1.1 No such recipient here');
  }

  /** Room for so many more message bytes in memory. What was reserved is given back with `release`. */
  reserve(bytes: number): Refusal | undefined {
    if (this.#buffered + bytes > this.#limits.bufferedBytes) {
      return new Refusal(452, '4.3.1 Too many messages in progress, try again later');
    }
    this.#buffered += bytes;
    return undefined;
  }

  release(bytes: number): void {
    this.#buffered -= bytes;
  }
}
