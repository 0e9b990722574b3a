// An SMTP connection that may come through a front: says who the client is, in one place. A proxy has said it before the
// session (proxy-header.ts); a trusted front says it with XCLIENT, which hands the session over and starts it anew, or with
// XFORWARD, which speaks of one message. The library's own ways with these two are not used: they know addresses but no
// networks, forget nothing between messages, and tell nobody whose limits count.

import type { Socket } from 'node:net';
import type { AddressList } from '../../lib/address-list.ts';
import type { NewRequest } from '../../model/request.ts';
import { type Attributes, type IntroductionCommand, readAttributes } from './xclient.ts';
import { SMTPConnection, type SMTPConnectionOptions, type SMTPServer } from '../smtp/library.ts';
import { Refusal } from '../smtp/replies.ts';

/** Whose session it is. With `via`, what else the connection shows of its other end, a certificate say, is the front's. */
export interface Caller {
  readonly address: string;
  /** 0: not known. */
  readonly port: number;
  /** The name that the front found for the address. */
  readonly name?: string;
  /** Address of the front or proxy that said so. */
  readonly via?: string;
}

/** What a connection needs to know about fronts. */
export interface ProxyTrust {
  /** Whose XCLIENT and XFORWARD are taken. */
  readonly trusted: AddressList;
  /** The connection is another client's from now on: moves its counts, unless that client has too many already. */
  readonly move: (connection: ProxiedConnection, to: string) => Refusal | undefined;
  readonly refused: (connection: ProxiedConnection, at: string, refusal: Refusal) => void;
}

function nameIn(said: Attributes): { readonly name?: string } {
  const name = said.get('NAME') ?? '';
  return name === '' ? {} : { name };
}

export class ProxiedConnection extends SMTPConnection {
  readonly #fronts: ProxyTrust;
  #caller: Caller;
  /** Whether it is a front that we hear, and not a client to whom one handed over. */
  #isFront: boolean;
  readonly #handedOver = new Map<string, string>();
  readonly #forwarded = new Map<string, string>();
  /** RCPT commands of this transaction that were answered with 250. */
  recipientsTaken = 0;

  constructor(
    server: SMTPServer,
    socket: Socket,
    options: SMTPConnectionOptions | undefined,
    caller: Caller,
    fronts: ProxyTrust,
  ) {
    super(server, socket, { ...options, remoteAddress: caller.address, remotePort: caller.port });
    this.#caller = caller;
    this.#fronts = fronts;
    this.#isFront = fronts.trusted.has(caller.address);
  }

  /** Whose session it is: what limits go by. XCLIENT changes it, XFORWARD does not. */
  get caller(): Caller {
    return this.#caller;
  }

  /** A front brings the messages, and the mistakes, of many clients. */
  get isFront(): boolean {
    return this.#isFront;
  }

  /** Whose message it is, for the record and for whoever asks who sends: what XFORWARD says of it, else the caller. */
  get client(): NewRequest['client'] {
    const { session } = this;
    const said = this.#forwarded;
    const address = said.get('ADDR') ?? '';
    if (address !== '') {
      return {
        address,
        port: Number(said.get('PORT') ?? 0),
        helo: said.get('HELO') ?? '',
        protocol: said.get('PROTO') ?? '',
        session: session.id,
        ...nameIn(said),
        via: this.#caller.address,
      };
    }
    const { address: own, port, name, via } = this.#caller;
    return {
      address: own,
      port,
      helo: this.#handedOver.get('HELO') || session.hostNameAppearsAs,
      protocol: this.#handedOver.get('PROTO') || session.transmissionType,
      session: session.id,
      ...(name !== undefined && { name }),
      ...(via !== undefined && { via }),
    };
  }

  /** What the library offers in EHLO. */
  override _proxyCommandAllowed(): boolean {
    return this.#isFront;
  }

  override handler_XCLIENT(command: Buffer, callback: () => void): void {
    const refusal = this.#introduced('XCLIENT', command, this.#handedOver) ?? this.#handOver();
    if (refusal) this.#refuse('xclient', refusal);
    else {
      this._resetSession();
      this._sendGreeting();
    }
    callback();
  }

  override handler_XFORWARD(command: Buffer, callback: () => void): void {
    const refusal = this.#introduced('XFORWARD', command, this.#forwarded);
    if (refusal) this.#refuse('xforward', refusal);
    else this.send(250, '2.0.0 Ok');
    callback();
  }

  /** What was forwarded belongs to one message: EHLO, RSET and the end of a message forget it. */
  override _resetSession(): void {
    super._resetSession();
    this.#forwarded.clear();
    this.recipientsTaken = 0;
  }

  /** The session begins again for the client that a front has handed it to. */
  protected handedOver(): void {
    this.remoteAddress = this.#caller.address;
    this.remotePort = this.#caller.port;
    this._setClientHostname(this.#caller.name ?? '');
    this.hostNameAppearsAs = false;
    this.openingCommand = false;
    // Nobody inherits what the front has shown of itself.
    this.session.user = false;
  }

  #introduced(name: IntroductionCommand, command: Buffer, into: Map<string, string>): Refusal | undefined {
    if (!this.#isFront) return new Refusal(550, `5.7.0 ${name} is not taken from you (smtp.trusted_fronts)`);
    if (this.session.envelope.mailFrom) return new Refusal(503, `5.5.1 ${name} comes before MAIL`);
    const attributes = readAttributes(name, command.toString('latin1'));
    if (attributes instanceof Refusal) return attributes;
    for (const [key, value] of attributes) into.set(key, value);
    return undefined;
  }

  /** Without an address yet nothing is handed over: a front may need several commands. */
  #handOver(): Refusal | undefined {
    const said = this.#handedOver;
    const [front, address] = [this.#caller.address, said.get('ADDR')];
    if (address === undefined) return undefined;
    if (address === '') {
      said.clear();
      return new Refusal(501, '5.5.4 XCLIENT wants an address: a client without one has no place here');
    }
    const tooMany = this.#fronts.move(this, address);
    if (tooMany) return tooMany;
    this.#caller = { address, port: Number(said.get('PORT') ?? 0), ...nameIn(said), via: front };
    this.#isFront = false;
    this.handedOver();
    return undefined;
  }

  #refuse(at: string, refusal: Refusal): void {
    this.#fronts.refused(this, at, refusal);
    this.send(refusal.responseCode, refusal.message);
  }
}
