// The authenticator: who may come in, and what he may do. Takes requests and their credentials (client certificate, HTTP Basic,
// WS-Security UsernameToken, in this order), gives the client's name and roles; throws QueueError NOT_ALLOWED, late after
// failures. With no client configured whoever is on the loopback may call. Never logs a secret.

import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import { AddressList, namesUs } from '../../lib/address-list.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { type ClientAccount, type Role, roles } from './client-accounts.ts';
import { type OperationName, operationOf } from '../soap/contract.ts';
import { QueueError } from '../soap/fault.ts';
import { BusyError, PasswordCheck } from '../../lib/auth/password-check.ts';
import { type Peer, peerOf } from '../http/forwarded-for.ts';

/** A name and a password, from wherever they came. */
export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/** Who calls: `name` is empty when no clients are configured. */
export interface Visitor {
  readonly name: string;
  readonly roles: readonly Role[];
}

interface Parts {
  readonly limits: Config['soap'];
  readonly runtime: Pick<Runtime, 'clock' | 'ids'>;
  readonly log: Logger;
}

const notAllowed = (message: string, status: number): QueueError => new QueueError('NOT_ALLOWED', message, {}, status);

/** RFC 7617. @throws QueueError when the header is there and cannot be read */
function basicOf(request: IncomingMessage): Credentials | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return undefined;
  const [, encoded = ''] = /^basic +([\w+/=-]{1,1024})$/i.exec(header.trim()) ?? [];
  const [, name, password] = /^([^:]*):([^]*)$/.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? [];
  if (name === undefined || password === undefined) throw notAllowed('Authorization must be Basic.', 401);
  return { name, password };
}

export class Authenticator {
  readonly #log: Logger;
  readonly #allowed: AddressList;
  readonly #proxies: AddressList;
  readonly #passwords: PasswordCheck;
  /** Names by which this machine calls us. */
  readonly #names: readonly string[];
  #clients: readonly ClientAccount[] | undefined;

  /** @param clients undefined: none are configured, and whoever is on the loopback may call */
  constructor({ limits, runtime, log }: Parts, clients: readonly ClientAccount[] | undefined) {
    this.#log = log;
    this.#allowed = new AddressList(limits.allow);
    this.#proxies = new AddressList(limits.trusted_proxies);
    this.#passwords = new PasswordCheck(runtime);
    this.#clients = clients;
    this.#names = [limits.host.toLowerCase()];
  }

  /** Takes new clients for the old ones, at once. */
  setClients(clients: readonly ClientAccount[]): void {
    this.#clients = clients;
    this.#passwords.forget();
  }

  peerOf(request: IncomingMessage): Peer {
    return peerOf(request, this.#proxies);
  }

  /**
   * Looks at where a request comes from, before anything of it is read.
   * @throws QueueError NOT_ALLOWED with HTTP 403
   */
  checkPlace(request: IncomingMessage, peer: Peer): void {
    if (!this.#allowed.empty && !this.#allowed.has(peer.address))
      throw this.#refused(peer, 'its address is not on the list');
    if (this.#clients) return;
    if (!peer.loopback) throw this.#refused(peer, 'no clients are configured, so only this machine may talk to it');
    // A browser, or a proxy that nobody told us of, speaks for somebody else than this machine.
    const { headers } = request;
    if (headers.origin ?? headers['x-forwarded-for'] ?? headers.forwarded) {
      throw this.#refused(peer, 'no clients are configured, and the call was passed on for somebody else');
    }
    // The WSDL is no secret, and tells the address by which it was asked.
    if (request.method === 'POST' && !namesUs(headers.host, this.#names))
      throw this.#refused(
        peer,
        'no clients are configured, and its Host header names another machine; call it by address or as localhost',
      );
  }

  /**
   * Who calls, as far as it can be told before the message is read: by client certificate or HTTP Basic.
   * @returns undefined when the message has to say it
   * @throws QueueError NOT_ALLOWED with HTTP 401, after a pause when somebody guesses
   */
  async identifyByHeaders(request: IncomingMessage, peer: Peer): Promise<Visitor | undefined> {
    if (!this.#clients) return { name: '', roles };
    const byCertificate = this.#byCertificate(request);
    if (byCertificate) return byCertificate;
    const credentials = basicOf(request);
    return credentials && this.#logIn(request, peer, credentials, this.#clients);
  }

  /**
   * Who calls, when the headers did not say it.
   * @param token the WS-Security UsernameToken of the message, if it has one
   * @throws QueueError NOT_ALLOWED with HTTP 401, after a pause when somebody guesses
   */
  async identify(request: IncomingMessage, peer: Peer, token: Credentials | undefined): Promise<Visitor> {
    if (!token) throw notAllowed('Who are you? Use a client certificate, HTTP Basic or a UsernameToken.', 401);
    return this.#logIn(request, peer, token, this.#clients ?? []);
  }

  async #logIn(
    { socket }: IncomingMessage,
    peer: Peer,
    { name, password }: Credentials,
    clients: readonly ClientAccount[],
  ): Promise<Visitor> {
    if (!peer.secure) throw notAllowed('A password must not travel in the clear: use TLS.', 403);
    const client = clients.find((each) => each.name === name);
    const right = await this.#isRight(peer.address, name, password, client?.passwordHash, socket);
    if (right && client) return client;
    this.#log.warn({ client: peer.address, name: name.slice(0, 64) }, 'failed login');
    throw notAllowed('The name or the password is wrong.', 401);
  }

  async #isRight(...asked: Parameters<PasswordCheck['isRight']>): Promise<boolean> {
    try {
      return await this.#passwords.isRight(...asked);
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      throw notAllowed('Too many passwords wait to be checked, try again later.', 503);
    }
  }

  /** @throws QueueError NOT_ALLOWED when none of a visitor's roles may call an operation */
  checkRole(visitor: Visitor, operation: OperationName): void {
    const may = operationOf(operation).roles;
    if (visitor.roles.some((role) => may.includes(role))) return;
    throw notAllowed(`${visitor.name} may not call ${operation}; it takes the role ${may.join(' or ')}.`, 500);
  }

  #refused(peer: Peer, why: string): QueueError {
    this.#log.warn({ client: peer.address }, `call refused: ${why}`);
    return notAllowed(`You may not talk to this service: ${why}.`, 403);
  }

  #byCertificate({ socket }: IncomingMessage): ClientAccount | undefined {
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const { subject, fingerprint256 } = socket.getPeerCertificate();
    const digest = fingerprint256.replaceAll(':', '').toLowerCase();
    return this.#clients?.find(({ certificate }) =>
      certificate?.by === 'cn' ? certificate.value === subject?.CN : certificate?.value === digest && digest !== '',
    );
  }
}
