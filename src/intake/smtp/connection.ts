// One SMTP connection: smtp-server's, with our own codes, budgets and deadlines. Takes the server's events and a tick a second;
// ends in a reply and a closed socket. A deadline counts ticks, not time: while this process stands still (a stop signal, a
// busy machine) nobody's time runs out but ours.

import type { Socket } from 'node:net';
import { type Caller, ProxiedConnection, type ProxyTrust } from '../proxy/proxied-connection.ts';
import { clientOf } from '../../lib/address-list.ts';
import { DataReader } from './data-reader.ts';
import { DataSink, type IncomingMessage } from './message.ts';
import type { RegistrarSession } from '../policy/registrar-session.ts';
import { parseAddress } from './address.ts';
import type {
  ParsedAddress,
  SMTPConnectionOptions,
  SMTPServer,
  SMTPServerDataStream,
  SMTPServerSession,
  SMTPStream,
} from './library.ts';
import type { Refusal } from './replies.ts';

/** What a connection may use up. */
export interface SessionLimits {
  /** Commands without a kept message in between; a message's own recipients are not counted. */
  readonly commands: number;
  /** Commands that were answered with 5xx, without a kept message in between. */
  readonly errors: number;
  /** Recipients of one message. */
  readonly recipients: number;
  /** Seconds from the greeting to HELO, and between complete commands. */
  readonly helloSeconds: number;
  readonly idleSeconds: number;
  /** Seconds for a whole message, and bytes that must come in each of them on average. */
  readonly dataSeconds: number;
  readonly dataBytesPerSecond: number;
}

/** What decides over a connection; given when it begins, for as long as it lasts. */
export interface ConnectionPolicy {
  readonly limits: SessionLimits;
  readonly registrarSession: RegistrarSession | undefined;
  /** Runs `then` when the greeting may be sent. */
  readonly greet: (then: () => void) => void;
  /** Told of a message that got no permit in time. */
  readonly deferred: (connection: Connection, refusal: Refusal) => void;
  /** Told what a message has cost that came to nothing. */
  readonly wasted: (sender: string, bytes: number) => void;
  /** Called once, when the socket is closed. */
  readonly gone: (connection: Connection) => void;
}

/** The library's session, which it hands to every handler, with the connection that it belongs to. */
interface OwnedSession extends SMTPServerSession {
  connection?: Connection;
}

/** Under load the silent have no longer than this, in seconds. */
const hurriedSeconds = 10;
/** A message is not called slow before so many seconds. */
const dataGraceSeconds = 10;
/** A message that has not ended by then is in nobody's way: see FairQueue.setAside. */
const longTicks = 2;
const enhancedCode = /^[245]\.\d{1,3}\.\d{1,3} /;

/** Whether a command begins with two letters, in either case: enough to tell MAIL and RCPT from all others. */
function begins(command: Buffer, letters: string): boolean {
  return ((command[0] ?? 0) | 0x20) === letters.charCodeAt(0) && ((command[1] ?? 0) | 0x20) === letters.charCodeAt(1);
}

export class Connection extends ProxiedConnection {
  readonly #policy: ConnectionPolicy;
  #commands = 0;
  #errors = 0;
  #failed = false;
  #recipients = 0;
  #silentTicks = 0;
  #receiving: { readonly message: IncomingMessage; readonly hangUp: (text: string) => void; ticks: number } | undefined;
  /** Messages that came to their end on this connection, kept or not. */
  messages = 0;
  /** What its messages that came to nothing have cost, less what kept ones have: bounded across messages. */
  wasted = 0;
  /** When the MAIL of the message in progress was let in, milliseconds since 1970 UTC. */
  mailAt = 0;

  constructor(
    server: SMTPServer,
    socket: Socket,
    options: SMTPConnectionOptions | undefined,
    caller: Caller,
    fronts: ProxyTrust,
    policy: ConnectionPolicy,
  ) {
    super(server, socket, options, caller, fronts);
    this.#policy = policy;
    (this.session as OwnedSession).connection = this;
  }

  /** The connection of a session, which is all that the library hands to a server's handlers. */
  static of(session: SMTPServerSession): Connection {
    const { connection } = session as OwnedSession;
    if (!connection) throw new Error('a session without its connection');
    return connection;
  }

  /** Its side of the registrar book, where there is one. */
  get registrarSession(): RegistrarSession | undefined {
    return this.#policy.registrarSession;
  }

  /** Whose messages these are: the registrar's, where that is proved, else the client's address. */
  get sender(): string {
    const known = this.registrarSession?.known;
    return known && known.by !== 'envelope' ? `registrar ${known.registrar.id}` : clientOf(this.caller.address);
  }

  /** The library's parser, with our reader of the data and our sink in the places of its loop and its PassThrough. */
  override _createParser(): SMTPStream {
    const parser = super._createParser();
    let reader = new DataReader();
    parser.startDataMode = (mostBytes) => {
      const sink = new DataSink() as unknown as SMTPServerDataStream;
      parser._dataMode = true;
      parser._maxBytes = Number(mostBytes) || Infinity;
      parser.dataBytes = 0;
      parser._dataStream = sink;
      reader = new DataReader();
      return sink;
    };
    parser._feedDataStream = (chunk, done) => {
      const { bytes, rest } = reader.read(chunk);
      parser._countDataBytes(bytes.length);
      if (rest) return parser._endDataMode(bytes, rest, done);
      if (parser._dataStream?.writable && bytes.length > 0) parser._dataStream.write(bytes);
      done();
    };
    // The library forgets the end of a message that came pipelined behind another and ended within this call.
    parser.continue = () => {
      const go = parser._continueCallback;
      parser._continueCallback = typeof go !== 'function';
      if (typeof go === 'function') go();
    };
    return parser;
  }

  override init(): void {
    this._setListeners(() => this.#policy.greet(() => this.connectionReady()));
  }

  /** A text that brings its own enhanced code (RFC 3463) does not get the library's in front of it. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    if (code >= 500) this.#failed = true;
    let text = data;
    // The library calls every 421 a time-out (4.4.2); what it says of its own is a matter of conduct.
    if (code === 421 && typeof data === 'string' && /^Error: |too soon$|^HTTP /.test(data)) text = `4.7.0 ${data}`;
    const own = typeof text === 'string' && enhancedCode.test(text);
    super.send(code, text, own ? false : context);
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    this.#silentTicks = 0;
    if (this.#failed) this.#errors++;
    this.#failed = false;
    if (begins(command, 'ma')) this.#recipients = 0;
    if (!begins(command, 'rc') || ++this.#recipients > this.#policy.limits.recipients) this.#commands++;
    const { isFront } = this;
    // A proxy that we do not know: whatever the client says next would be answered one reply late.
    if (begins(command, 'pr') && /^PROXY /i.test(command.toString('latin1', 0, 6))) {
      this.send(421, '4.7.0 PROXY is not taken from you (smtp.proxy_from)');
    } else if (!isFront && this.#errors >= this.#policy.limits.errors) this.send(421, '4.7.0 Too many errors');
    else if (!isFront && this.#commands > this.#policy.limits.commands)
      this.send(421, '4.7.0 Too many commands without a message');
    else super._onCommand(command, callback);
  }

  protected override handedOver(): void {
    super.handedOver();
    this.refill();
    this.messages = 0;
  }

  /** An address stays as the client wrote it, and may have a quoted local part. */
  override _parseAddressCommand(name: string, command: Buffer | string): ParsedAddress | false {
    return parseAddress(command.toString(), (text) => super._parseAddressCommand(name, text));
  }

  /**
   * After QUIT the client owes nothing: once the reply is with the kernel the socket is closed at once. Waiting for its side
   * would cost as much again as the whole of a short session, and ends in a reset for those who do not wait for the reply.
   */
  override handler_QUIT(command: Buffer, callback: () => void): void {
    super.handler_QUIT(command, callback);
    if (!this.secure && this._socket.writableLength === 0) this._socket.destroy();
  }

  /** AUTH is there when the book has passwords and this connection may bring one: the library asks before each command. */
  override _isDisabled(command: string): boolean {
    if (command === 'AUTH') return !this.registrarSession?.offersLogin(this.secure);
    return super._isDisabled(command);
  }

  /** A message waits for its permit before its 354: what the order is made of, its final dot, comes after. */
  override handler_DATA(command: Buffer, callback: () => void): void {
    const { registrarSession } = this;
    if (!registrarSession || this.session.envelope.rcptTo.length === 0) return super.handler_DATA(command, callback);
    registrarSession.ask((refusal) => {
      if (refusal) {
        this.#policy.deferred(this, refusal);
        this.send(refusal.responseCode, refusal.message);
        callback();
      } else if (!this._parser || this._closing) {
        registrarSession.done(0);
        callback();
      } else super.handler_DATA(command, callback);
    });
  }

  /** A message begins to arrive. @param hangUp ends it and the connection, with the reply's text */
  receive(message: IncomingMessage, hangUp: (text: string) => void): void {
    this.#receiving = { message, hangUp, ticks: 0 };
  }

  /** Nothing more arrives of the message. */
  received(): void {
    this.#receiving = undefined;
    this.messages++;
  }

  /** A message was kept, refused or broken off: what it cost is its registrar's share of the turns, and is counted if it came to nothing. */
  ended(cost: number, kept: boolean): void {
    this.registrarSession?.done(cost);
    this.wasted = Math.max(0, this.wasted + (kept ? -cost : cost));
    if (!kept) this.#policy.wasted(this.sender, cost);
  }

  /** Its budgets are full again: a message of it was kept, or it has other budgets. */
  refill(): void {
    this.#commands = 0;
    this.#errors = 0;
  }

  /** A second has gone by. @param hurried whether there is load, and no patience with the silent */
  tick(hurried: boolean): void {
    const { helloSeconds, idleSeconds, dataSeconds, dataBytesPerSecond } = this.#policy.limits;
    const receiving = this.#receiving;
    if (receiving) {
      receiving.ticks++;
      const { ticks, message } = receiving;
      if (ticks >= longTicks) this.registrarSession?.setAside();
      if (ticks >= dataSeconds) receiving.hangUp(`4.4.2 The message took longer than ${dataSeconds} seconds`);
      else if (ticks >= dataGraceSeconds && message.size < dataBytesPerSecond * ticks)
        receiving.hangUp(`4.4.2 The message came slower than ${dataBytesPerSecond} bytes a second`);
      return;
    }
    // Before the greeting, and while it waits for us, a client owes nothing.
    if (!this._ready || !this.idle) return;
    const patience = this.hostNameAppearsAs === false ? helloSeconds : idleSeconds;
    if (++this.#silentTicks < (hurried ? Math.min(patience, hurriedSeconds) : patience)) return;
    this.send(421, '4.4.2 No complete command in time');
  }

  /** Nothing is being received, and no command or message waits for its answer. */
  get idle(): boolean {
    return !this._dataStream && !this._handlerPending;
  }

  override _onClose(): void {
    const first = !this._closed;
    super._onClose();
    if (first) this.#policy.gone(this);
  }
}
