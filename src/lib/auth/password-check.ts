// Tells whether a password is right, for whoever lets people in. Takes names, passwords and their hashes; scrypt is slow on
// purpose, so one hash at a time is made and what was right once is known again at once. Fails when too many wait.
// Owns the proofs of what was right: signatures, never a password.

import { createHmac } from 'node:crypto';
import { hashPassword, isPassword } from './password-hash.ts';
import type { Ids } from '../../ports/runtime.ts';
import { Mutex } from '../mutex.ts';

/** More passwords wait to be looked at than there may: ask again later. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
}

export class PasswordCheck {
  /** Made anew with each process. */
  readonly #key: Buffer;
  readonly #decoy: Promise<string>;
  /** One hash at a time: they share their threads with the disk, and whoever guesses shall not slow the journal. */
  readonly #hashing = new Mutex();
  readonly #waitingMost: number;
  /** By name, the proof of the password that was right last. */
  readonly #known = new Map<string, string>();
  /** By proof, what is being looked at: many connections that bring the same password wait for one hash. */
  readonly #pending = new Map<string, Promise<boolean>>();

  /** @param waitingMost the most different passwords that wait for their hash */
  constructor(ids: Ids, waitingMost = Infinity) {
    this.#key = ids.randomBytes(32);
    this.#decoy = hashPassword('nobody has this password', ids.randomBytes(16));
    this.#waitingMost = waitingMost;
  }

  /**
   * Whether `password` is the one behind `hash`. An unknown name takes as long as a wrong password.
   * @param hash undefined: nobody has that name, or no password
   * @throws BusyError
   */
  async isRight(name: string, password: string, hash: string | undefined): Promise<boolean> {
    const proof = createHmac('sha256', this.#key)
      .update(`${name}\0${hash ?? ''}\0${password}`)
      .digest('hex');
    if (hash !== undefined && this.#known.get(name) === proof) return true;
    const under = this.#pending.get(proof);
    if (under) return under;
    if (this.#pending.size >= this.#waitingMost) throw new BusyError('too many passwords wait to be looked at');
    const looking = this.#look(password, hash);
    this.#pending.set(proof, looking);
    try {
      const right = await looking;
      if (right) this.#known.set(name, proof);
      return right;
    } finally {
      this.#pending.delete(proof);
    }
  }

  async #look(password: string, hash: string | undefined): Promise<boolean> {
    const against = hash ?? (await this.#decoy);
    const fits = await this.#hashing.run(() => isPassword(password, against));
    return fits && hash !== undefined;
  }

  /** Forgets what was right: the list of those who may come in has changed. */
  forget(): void {
    this.#known.clear();
  }
}
