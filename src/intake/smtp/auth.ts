// SMTP AUTH against the registrar book: takes a user name and a password, gives the registrar or the refusal (RFC 4954 section
// 6), late after failures. Never logs a password.

import type { Logger } from '../../lib/logger.ts';
import type { Registrar } from '../../model/registrar.ts';
import type { RegistrarBook } from '../../config/registrar-book.ts';
import { BusyError, PasswordCheck } from '../../lib/auth/password-check.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { Refusal } from './replies.ts';

export class SmtpAuth {
  readonly #log: Logger;
  readonly #book: () => RegistrarBook;
  readonly #passwords: PasswordCheck;

  constructor(runtime: Pick<Runtime, 'clock' | 'ids'>, log: Logger, book: () => RegistrarBook) {
    this.#log = log;
    this.#book = book;
    this.#passwords = new PasswordCheck(runtime);
  }

  /** @param address where it comes from @param connection on which @returns the registrar, or 535 for a wrong password, 454 when it cannot be checked now */
  async check(user: string, password: string, address: string, connection: object): Promise<Registrar | Refusal> {
    const registrar = this.#book().byUser(user);
    try {
      const right = await this.#passwords.isRight(address, user, password, registrar?.login?.passwordHash, connection);
      if (right && registrar) return registrar;
    } catch (error) {
      if (error instanceof BusyError)
        return new Refusal(454, '4.7.0 Too many passwords wait to be checked, try again later');
      this.#log.error({ err: error, client: address }, 'a login could not be checked');
      return new Refusal(454, '4.7.0 Local trouble, try again later');
    }
    this.#log.warn({ client: address, user: user.slice(0, 64) }, 'failed login');
    return new Refusal(535, '5.7.8 The user name or the password is wrong');
  }
}
