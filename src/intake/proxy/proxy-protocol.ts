// The proxies whose connections begin with a PROXY header. Takes a new socket; gives whose connection it is and leaves what
// follows the header in the socket, or gives the refusal. Holds no more than a header, and no longer than it may take.
// Owns the sockets whose header is not here yet.

import type { Socket } from 'node:net';
import type { Logger } from '../../lib/logger.ts';
import { AddressList } from '../../lib/address-list.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Caller } from './proxied-connection.ts';
import { parseProxyHeader } from './proxy-header.ts';
import { Refusal } from '../smtp/replies.ts';

export class ProxyProtocol {
  readonly #list: AddressList;
  readonly #seconds: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #waiting = new Set<Socket>();

  /** @param networks whose connections begin with the header @param seconds how long it may take to come */
  constructor(networks: readonly string[], seconds: number, clock: Clock, log: Logger) {
    this.#list = new AddressList(networks);
    this.#seconds = seconds;
    this.#clock = clock;
    this.#log = log;
  }

  has(address: string): boolean {
    return this.#list.has(address);
  }

  /**
   * Reads the header off a new connection.
   * @returns the client; the proxy when it speaks for itself; undefined when the socket is closed before
   */
  callerOf(socket: Socket, proxy: Caller): Promise<Caller | Refusal | undefined> {
    socket.on('error', () => undefined);
    this.#waiting.add(socket);
    return new Promise((resolve) => {
      let bytes: Buffer = Buffer.alloc(0);
      const end = (caller: Caller | Refusal | undefined): void => {
        timer.cancel();
        socket.off('readable', look).off('end', gone).off('close', gone);
        this.#waiting.delete(socket);
        resolve(caller);
      };
      const refuse = (why: string): void => {
        // Most likely one of the two is not set up as the other thinks: nothing that a sender should pay for with a 5xx.
        this.#log.warn({ client: proxy.address, why }, 'refused a connection from smtp.proxy_from');
        end(new Refusal(421, '4.3.5 A PROXY header was expected (smtp.proxy_from)'));
      };
      const gone = (): void => end(undefined);
      const look = (): void => {
        for (;;) {
          const chunk = socket.read() as Buffer | null;
          if (chunk === null) return;
          bytes = Buffer.concat([bytes, chunk]);
          const header = parseProxyHeader(bytes);
          if (header === 'malformed') return refuse('it did not begin with a PROXY header');
          if (header === 'incomplete') continue;
          const rest = bytes.subarray(header.length);
          const { source } = header;
          end(source ? { ...source, via: proxy.address } : proxy);
          if (rest.length > 0) socket.unshift(rest);
          return;
        }
      };
      const timer = this.#clock.after(this.#seconds * 1000, () => refuse(`no PROXY header in ${this.#seconds} s`));
      socket.on('readable', look).on('end', gone).on('close', gone);
    });
  }

  /** Ends the connections that have not begun. */
  stop(): void {
    for (const socket of this.#waiting) socket.destroy();
  }
}
