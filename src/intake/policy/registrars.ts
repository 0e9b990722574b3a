// The registrar book at work in the intake: who comes, as whom, and how much each may have here at once. Takes connections,
// gives each a session or the refusal. Owns the quotas, the fair queue that they share and what is said about strangers. There
// is one only where there is a book.

import type { Config } from '../../config/config.ts';
import { isLoopback } from '../../lib/address-list.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Registrar } from '../../model/registrar.ts';
import type { RegistrarBook } from '../../config/registrar-book.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { SmtpAuth } from '../smtp/auth.ts';
import { RegistrarQuota, type QuotaLimits, type QuotaState } from './registrar-quota.ts';
import { FairQueue } from './fair-queue.ts';
import { RegistrarSession } from './registrar-session.ts';
import { RejectionLog } from './rejection-log.ts';
import { Refusal } from '../smtp/replies.ts';

/** What the intake says about its registrars, for `status`. */
export interface RegistrarsState {
  /** SHA-256 of the book in force, and how many are in it. */
  readonly book: string;
  readonly size: number;
  readonly strangers: QuotaState;
  /** By id: those who are here, or have been. */
  readonly byId: Readonly<Record<string, QuotaState>>;
}

export interface RegistrarsParts {
  readonly config: Pick<Config, 'smtp' | 'registrars'>;
  readonly book: RegistrarBook;
  readonly runtime: Pick<Runtime, 'clock' | 'ids'>;
  readonly log: Logger;
  /** Takes a connection from this address out of the limits for each address. */
  readonly recognise: (address: string) => void;
}

const notKnown = '5.7.1 You are not in the registrar book here: ask the registry to enter your network or address';

export class Registrars {
  readonly #parts: RegistrarsParts;
  readonly #quotas = new Map<string, RegistrarQuota>();
  readonly #strangers = new RegistrarQuota('');
  /** Relays that we trust, until they say whose message they bring: no crowd of strangers keeps them out. */
  readonly #fronts = new RegistrarQuota('');
  readonly #refusal = new Refusal(550, notKnown);
  readonly #refusalLogin = new Refusal(550, `${notKnown}, or log in with AUTH`);
  readonly #refusalTls = new Refusal(550, `${notKnown}, or use STARTTLS with your certificate or AUTH`);
  readonly #defaults: QuotaLimits;
  readonly rejectionLog: RejectionLog;
  readonly logins: SmtpAuth;
  readonly fairQueue: FairQueue;
  readonly clock: Runtime['clock'];
  readonly waitMs: number;
  readonly keepsStrangers: boolean;
  #book: RegistrarBook;

  constructor(parts: RegistrarsParts) {
    const { smtp, registrars } = parts.config;
    this.#parts = parts;
    this.#book = parts.book;
    this.clock = parts.runtime.clock;
    this.waitMs = registrars.wait_seconds * 1000;
    this.keepsStrangers = registrars.strangers === 'keep';
    const { connections, messages, bytes } = registrars;
    this.#defaults = { connections, messages, bytes: Math.max(bytes, smtp.message_bytes) };
    this.fairQueue = new FairQueue(registrars.places);
    this.logins = new SmtpAuth(parts.runtime, parts.log, () => this.#book);
    this.rejectionLog = new RejectionLog(parts.log);
    this.take(parts.book);
  }

  get book(): RegistrarBook {
    return this.#book;
  }

  /** Takes a book for the one before; who has gone from it is a stranger from the next MAIL on. */
  take(book: RegistrarBook): void {
    const { registrars, smtp } = this.#parts.config;
    this.#book = book;
    const weights = book.registrars.reduce((sum, { weight }) => sum + weight, this.keepsStrangers ? 1 : 0);
    const own = (weight: number): number => Math.max(1, Math.floor((registrars.places * weight) / weights));
    for (const registrar of book.registrars) {
      const quota = this.#quotas.get(registrar.id) ?? new RegistrarQuota(registrar.id);
      const bytes = registrar.bytes === undefined ? {} : { bytes: Math.max(registrar.bytes, smtp.message_bytes) };
      quota.bind({ ...registrar, ...bytes }, this.#defaults, own(registrar.weight));
      this.#quotas.set(registrar.id, quota);
    }
    this.#strangers.bind({}, { ...this.#defaults, connections: registrars.stranger_connections }, own(1));
    this.#fronts.bind({}, { ...this.#defaults, connections: Infinity }, own(1));
    for (const [id, quota] of this.#quotas) if (!book.byId(id) && quota.gone) this.#quotas.delete(id);
    this.fairQueue.serve();
  }

  /** A connection comes, from a front that is trusted or not. Without a refusal it is counted, until the session's `leave`. */
  arrive(address: string, isFront = false): RegistrarSession | Refusal {
    const registrar = this.#book.byAddress(address);
    const quota = isFront ? this.#fronts : this.quotaOf(registrar);
    const known = registrar && { registrar, by: 'network' as const };
    return quota.arrive() ?? new RegistrarSession(this, address, known, quota);
  }

  quotaOf(registrar: Registrar | undefined): RegistrarQuota {
    return (registrar && this.#quotas.get(registrar.id)) ?? this.#strangers;
  }

  /** Who has gone from the book is forgotten with its last connection. */
  left(quota: RegistrarQuota): void {
    if (quota.id !== '' && quota.gone && !this.#book.byId(quota.id)) this.#quotas.delete(quota.id);
  }

  /** Passwords travel under TLS, or within this machine. */
  offersLogin(secure: boolean, address: string): boolean {
    if (!this.#book.hasLogins) return false;
    return secure || this.#parts.config.smtp.auth_without_tls || isLoopback(address);
  }

  /** A connection turns out to be a registrar's: the limits for its address hold for it no longer. */
  recognise(address: string): void {
    this.#parts.recognise(address);
  }

  /**
   * What a stranger gets at MAIL.
   * @param login whether it could use AUTH at once
   * @param times how often it has been refused on its connection, this time included
   */
  refuseStranger(address: string, sender: string, login: boolean, times: number): Refusal {
    this.#strangers.refused++;
    this.rejectionLog.refused(address, sender);
    const { session_refusals: most, tls_certificate: tls } = this.#parts.config.smtp;
    if (times > most) return new Refusal(421, `4.7.0 Refused ${most} times on one connection`);
    if (login) return this.#refusalLogin;
    return tls !== '' && (this.#book.hasLogins || this.#book.hasCertificates) ? this.#refusalTls : this.#refusal;
  }

  get state(): RegistrarsState {
    const byId: Record<string, QuotaState> = {};
    for (const [id, { state }] of this.#quotas)
      if (state.connections + state.kept + state.deferred + state.refused > 0) byId[id] = state;
    const { digest, registrars } = this.#book;
    return { book: digest, size: registrars.length, strangers: this.#strangers.state, byId };
  }
}
