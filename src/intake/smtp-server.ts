// The SMTP and LMTP endpoint: smtp-server, and the ways of ours that it has no option for. Takes sockets; hands whole messages
// to `keep` and says `250` with the ticket when that resolves. Owns the sockets and the messages on their way in. A
// client's trouble ends in a reply or a closed socket, never here.

import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import type { Config } from '../config.ts';
import type { Logger } from '../logger.ts';
import { fingerprintsOf } from '../model/fingerprints.ts';
import type { NewRequest } from '../model/request.ts';
import { ticketOf } from '../model/ticket.ts';
import { listenAt } from '../ports/listen.ts';
import { deferred, type Runtime } from '../ports/runtime.ts';
import { type Admission, Refusal } from './admission.ts';
import { IncomingMessage } from './incoming-message.ts';
import type { Place } from './sequencer.ts';

/** What the endpoint works with. */
export interface SmtpParts {
  readonly config: Config['smtp'];
  readonly runtime: Runtime;
  readonly admission: Admission;
  /** Gives the request its place: resolves with it once it is kept, rejects with the refusal to send. */
  readonly keep: (request: NewRequest) => Promise<Place>;
  readonly log: Logger;
  /** Certificate and key in PEM, when STARTTLS is to be offered. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
}

const enhancedCode = /^[245]\.\d{1,3}\.\d{1,3} /;

/** smtp-server's connection without its fixed 100 ms before the greeting, and with our own enhanced status codes. */
class Connection extends SMTPConnection {
  readonly #pause: (then: () => void) => void;

  /** @param pause runs `then` when the greeting may be sent */
  constructor(
    server: SMTPServer,
    socket: Socket,
    options: SMTPConnectionOptions | undefined,
    pause: (then: () => void) => void,
  ) {
    super(server, socket, options);
    this.#pause = pause;
  }

  override init(): void {
    this._setListeners(() => this.#pause(() => this.connectionReady()));
  }

  /** A text that brings its own enhanced code (RFC 3463) does not get the library's in front of it. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const own = typeof data === 'string' && enhancedCode.test(data);
    super.send(code, data, own ? false : context);
  }

  /** Nothing is being received, and no command or message waits for its answer. */
  get idle(): boolean {
    return !this._dataStream && !this._handlerPending;
  }
}

export class SmtpServer extends SMTPServer {
  readonly #parts: SmtpParts;
  readonly #bySession = new WeakMap<SMTPServerSession, Connection>();

  constructor(parts: SmtpParts) {
    const { config, tls } = parts;
    const options: SMTPServerOptions = {
      name: config.name,
      banner: 'Seawall',
      lmtp: config.lmtp,
      size: config.message_bytes,
      maxRecipients: config.message_recipients,
      socketTimeout: config.idle_seconds * 1000,
      maxCommandLength: 4096,
      disableReverseLookup: true,
      hideENHANCEDSTATUSCODES: false,
      disabledCommands: ['AUTH', 'VRFY', 'WIZ', 'SHELL', 'KILL', ...(tls ? [] : ['STARTTLS'])],
      logger: false,
      ...tls,
    };
    super(options);
    this.#parts = parts;
    // Without a listener the first reset connection would end the process.
    this.on('error', (error) => parts.log.debug({ err: error }, 'smtp connection error'));
  }

  override connect(socket: Socket, options?: SMTPConnectionOptions): void {
    const { config, runtime } = this.#parts;
    const connection = new Connection(this, socket, options, (then) => {
      if (config.greet_pause_ms === 0) then();
      else runtime.clock.after(config.greet_pause_ms, then);
    });
    this.#bySession.set(connection.session, connection);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this._onError(error));
    connection.init();
  }

  override onConnect(session: SMTPServerSession, callback: (error?: Error) => void): void {
    const refusal = this.#parts.admission.connect(this.connections.size);
    if (refusal) this.#refused(session, 'connect', refusal);
    callback(refusal);
  }

  override onMailFrom(_address: unknown, session: SMTPServerSession, callback: (error?: Error) => void): void {
    const refusal = this.#parts.admission.mail();
    if (refusal) this.#refused(session, 'mail', refusal);
    callback(refusal);
  }

  override onRcptTo(address: { address: string }, session: SMTPServerSession, callback: (error?: Error) => void): void {
    const refusal = this.#parts.admission.recipient(address.address);
    if (refusal) this.#refused(session, 'rcpt', refusal);
    callback(refusal);
  }

  override onData(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    callback: (error?: Error | null, message?: string) => void,
  ): void {
    const { config, runtime, admission } = this.#parts;
    const message = new IncomingMessage({ bytes: config.message_bytes, lines: config.message_lines }, admission);
    const deadline = runtime.clock.after(config.data_seconds * 1000, () => {
      this.#hangUp(
        session,
        message,
        new Refusal(421, `4.4.2 The message took longer than ${config.data_seconds} seconds`),
      );
    });
    stream.on('data', (chunk: Buffer) => {
      message.add(chunk);
      // Past twice the announced size there is nothing to be polite about.
      if (message.refusal && message.size > 2 * config.message_bytes) this.#hangUp(session, message, message.refusal);
    });
    stream.on('error', () => {
      deadline.cancel();
      message.release();
    });
    stream.on('end', () => {
      deadline.cancel();
      void this.#received(message, session).then(
        (kept) => callback(null, `2.0.0 Ok: queued as ${kept}`),
        (error: unknown) => {
          const refusal = error instanceof Refusal ? error : new Refusal(451, '4.3.0 Local trouble, try again later');
          if (refusal !== error)
            this.#parts.log.error({ err: error, session: session.id }, 'a message could not be taken');
          this.#refused(session, 'data', refusal);
          callback(refusal);
        },
      );
    });
  }

  /** The final dot has been read: from here on the message has its time, and asks for its place. Gives the words for it. */
  async #received(message: IncomingMessage, session: SMTPServerSession): Promise<string> {
    const { config, runtime, keep, log } = this.#parts;
    const bytes = message.end();
    if (bytes instanceof Refusal) throw bytes;
    try {
      const { mailFrom, rcptTo } = session.envelope;
      const request: NewRequest = {
        id: runtime.ids.uuid(),
        receivedAt: runtime.clock.now(),
        envelope: {
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map((each) => each.address),
        },
        client: {
          address: session.remoteAddress,
          port: session.remotePort,
          helo: session.hostNameAppearsAs,
          protocol: session.transmissionType,
          session: session.id,
        },
        message: bytes,
      };
      const fingerprints = config.duplicate_seconds > 0 ? fingerprintsOf(request) : undefined;
      const { sequence, repeated } = await keep(fingerprints ? { ...request, fingerprints } : request);
      const ticket = ticketOf(sequence);
      const { envelope, client } = request;
      log.info(
        { ticket, sequence, session: session.id, from: envelope.from, client: client.address, size: bytes.length },
        repeated ? 'kept already: a copy, which got the first ticket' : 'kept',
      );
      return repeated ? `${ticket} (already kept)` : ticket;
    } finally {
      message.release();
    }
  }

  #refused(session: SMTPServerSession, at: string, refusal: Refusal): void {
    const { responseCode: code, message: reply } = refusal;
    this.#parts.log.info({ session: session.id, client: session.remoteAddress, at, code, reply }, 'refused');
  }

  #hangUp(session: SMTPServerSession, message: IncomingMessage, refusal: Refusal): void {
    message.refuse(refusal);
    this.#refused(session, 'data', refusal);
    const connection = this.#bySession.get(session);
    connection?.send(refusal.responseCode, refusal.message);
    connection?.close();
  }

  /** @returns the address it listens on, once it does */
  start(): Promise<AddressInfo> {
    const { host, port } = this.#parts.config;
    return listenAt(this.server, { host, port, section: 'smtp' });
  }

  /** No new connections; messages on their way in may end, for so many milliseconds; everybody else gets 421 now. */
  async stop(withinMs: number): Promise<void> {
    const closed = deferred<void>();
    this.options.closeTimeout = withinMs;
    this.close(() => closed.resolve());
    for (const connection of this.connections) {
      if (connection instanceof Connection && connection.idle) connection.send(421, '4.3.2 Shutting down');
    }
    await closed.promise;
  }
}
