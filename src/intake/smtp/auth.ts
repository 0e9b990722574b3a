// SMTP AUTH against the registrar book: takes a user name and a password, gives the registrar or the refusal (RFC 4954 section
// 6), late after failures. Never logs a password. Owns a bounded memory of failures and of what was right.

import type { Logger } from '../../lib/logger.ts';
import type { Registrar } from '../../model/registrar.ts';
import type { RegistrarBook } from '../../config/registrar-book.ts';
import { BusyError, PasswordCheck } from '../../lib/auth/password-check.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { LoginThrottle } from '../../lib/auth/login-throttle.ts';
import { Refusal } from '../policy/admission.ts';

/** Different passwords that wait for their hash, which takes 50 ms each: who guesses must not make others wait for minutes. */
const waitingMost = 20;

export class SmtpAuth {
  readonly #log: Logger;
  readonly #book: () => RegistrarBook;
  readonly #passwords: PasswordCheck;
  readonly #throttle: LoginThrottle;

  constructor(runtime: Pick<Runtime, 'clock' | 'ids'>, log: Logger, book: () => RegistrarBook) {
    this.#log = log;
    this.#book = book;
    this.#passwords = new PasswordCheck(runtime.ids, waitingMost);
    this.#throttle = new LoginThrottle(runtime.clock);
  }

  /** @param address where it comes from */
  async check(user: string, password: string, address: string): Promise<Registrar | Refusal> {
    const registrar = this.#book().byUser(user);
    try {
      const right = await this.#passwords.isRight(user, password, registrar?.login?.passwordHash);
      if (right && registrar) {
        this.#throttle.forget(address);
        return registrar;
      }
    } catch (error) {
      if (!(error instanceof BusyError)) {
        this.#log.error({ err: error, client: address }, 'a login could not be checked');
        return new Refusal(454, '4.7.0 Local trouble, try again later');
      }
      return new Refusal(454, '4.7.0 Too many passwords wait to be looked at, try again later');
    }
    this.#log.warn({ client: address, user: user.slice(0, 64) }, 'failed login');
    await this.#throttle.failed(address);
    return new Refusal(535, '5.7.8 The user name or the password is wrong');
  }
}
