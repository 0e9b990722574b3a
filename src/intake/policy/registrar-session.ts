// One connection's side of the registrar book: what it has shown, whom that makes it, and its permit before DATA. Takes evidence
// as it comes (network, certificate, login, envelope sender), the strongest first; gives the registrar and by what it is
// known, or the refusal. Owns its place among its quota's connections and its permit.

import type { Evidence, Registrar } from '../../model/registrar.ts';
import type { NewRequest } from '../../model/request.ts';
import type { Timer } from '../../ports/runtime.ts';
import type { Memory, RegistrarQuota } from './registrar-quota.ts';
import type { Permit } from './fair-queue.ts';
import type { Registrars } from './registrars.ts';
import { Refusal } from '../smtp/replies.ts';

/** Who it is, and how that is known. */
export interface Known {
  readonly registrar: Registrar;
  readonly by: Evidence;
}

/** The same as the record of a request has it: who is not known by the book is unverified. */
export function identityFields(known: Known | undefined): Pick<NewRequest['client'], 'registrar' | 'unverified'> {
  return known ? { registrar: { id: known.registrar.id, by: known.by } } : { unverified: true };
}

export class RegistrarSession {
  readonly #registrars: Registrars;
  /** The address that the connection came from, or of whom a front has handed it to. */
  #origin: string;
  #quota: RegistrarQuota;
  #certificate: string | undefined;
  #login: Registrar['login'];
  #permit: Permit | undefined;
  #patience: Timer | undefined;
  #left = false;
  #refusals = 0;
  known: Known | undefined;
  /** Whether the limits for each address hold for it: a registrar has limits of its own. */
  limitedByAddress: boolean;

  constructor(registrars: Registrars, origin: string, known: Known | undefined, quota: RegistrarQuota) {
    this.#registrars = registrars;
    this.#origin = origin;
    this.known = known;
    this.#quota = quota;
    this.limitedByAddress = known === undefined;
  }

  /** TLS has begun: what was known before is forgotten (RFC 3207 section 4.2). @param certificate SHA-256, or none */
  secured(certificate: string | undefined): Refusal | undefined {
    this.#certificate = certificate;
    this.#login = undefined;
    return this.#settle(this.#origin, '');
  }

  /** A front has handed the connection to another client: what the front has shown is forgotten. */
  handedOver(address: string): Refusal | undefined {
    this.#certificate = undefined;
    this.#login = undefined;
    this.#origin = address;
    return this.#settle(address, '');
  }

  /** AUTH has come. @param address where it comes from */
  async login(user: string, password: string, address: string): Promise<Refusal | undefined> {
    const registrar = await this.#registrars.logins.check(user, password, address, this);
    if (registrar instanceof Refusal) return registrar;
    this.#login = registrar.login;
    return this.#settle(this.#origin, '');
  }

  /**
   * MAIL has come: settles who it is for this message.
   * @param address the client's, which a relay in front may have changed
   * @param secure whether the connection has TLS, for what a stranger is told
   * @returns 550 for a stranger, 421 for one connection too many
   */
  identify(address: string, sender: string, secure: boolean): Refusal | undefined {
    const refusal = this.#settle(address, sender);
    if (refusal || this.known || this.#registrars.keepsStrangers) return refusal;
    this.#refusals++;
    return this.#registrars.refuseStranger(address, sender, this.offersLogin(secure), this.#refusals);
  }

  /** Whether AUTH may be used on this connection as it is now. */
  offersLogin(secure: boolean): boolean {
    return this.#registrars.offersLogin(secure, this.#origin);
  }

  #settle(address: string, sender: string): Refusal | undefined {
    const known = this.#look(address, sender);
    this.known = known;
    if (this.#left) return undefined;
    if (known && this.limitedByAddress) {
      this.limitedByAddress = false;
      this.#registrars.recognise(this.#origin);
    }
    const quota = this.#registrars.quotaOf(known?.registrar);
    if (quota === this.#quota) return undefined;
    const refusal = quota.arrive();
    if (refusal) return refusal;
    this.#quota.leave();
    this.#quota = quota;
    return undefined;
  }

  /** The strongest evidence wins. It is looked up anew each time: the book may have changed. */
  #look(address: string, sender: string): Known | undefined {
    const { book } = this.#registrars;
    if (this.#certificate !== undefined) {
      const registrar = book.byCertificate(this.#certificate);
      if (registrar) return { registrar, by: 'certificate' };
    }
    if (this.#login) {
      const registrar = book.byUser(this.#login.user);
      // A password that was changed since does not count any more.
      if (registrar?.login?.passwordHash === this.#login.passwordHash) return { registrar, by: 'auth' };
    }
    const near = book.byAddress(address);
    if (near) return { registrar: near, by: 'network' };
    const sending = book.bySender(sender);
    return sending && { registrar: sending, by: 'envelope' };
  }

  /** Asks for a permit for a message; `then` is called once, at once or later, unless the connection is closed before. */
  ask(then: (refusal?: Refusal) => void): void {
    const { clock, fairQueue, waitMs } = this.#registrars;
    let begun = false;
    const permit = fairQueue.ask(this.#quota.flow, (given) => {
      begun = true;
      this.#permit = given;
      this.#patience?.cancel();
      then();
    });
    if (begun) return;
    this.#permit = permit;
    this.#patience = clock.after(waitMs, () => {
      this.#giveUp();
      then(new Refusal(451, '4.7.1 Too many messages at once, this one found no place in time: try again later'));
    });
  }

  /** The message in progress takes long: if others wait for its place it goes on without one. */
  setAside(): void {
    if (this.#permit) this.#registrars.fairQueue.setAside(this.#permit);
  }

  /** The message that had a permit is kept, refused or gone. Harmless when there is none. @param bytes what it cost */
  done(bytes: number): void {
    const permit = this.#permit;
    this.#permit = undefined;
    if (permit) this.#registrars.fairQueue.release(permit, bytes);
  }

  #giveUp(): void {
    if (this.#permit) this.#registrars.fairQueue.giveUp(this.#permit);
    this.#permit = undefined;
  }

  memory(house: Memory): Memory {
    return this.#quota.memory(house);
  }

  /** What became of its message, for the counts. */
  count(what: 'kept' | 'deferred' | 'refused'): void {
    this.#quota[what]++;
  }

  /** The connection is closed. A message that is on its way to the disk keeps its permit until `done`. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#patience?.cancel();
    if (this.#permit?.flow.waiting.has(this.#permit)) this.#giveUp();
    this.#quota.leave();
    this.#registrars.left(this.#quota);
  }
}
