// The SMTP and LMTP endpoint: smtp-server, and the ways of ours that it has no option for. Takes sockets; hands whole messages
// to `keep` and says `250` with the ticket when that resolves. Owns the sockets. A client's
// trouble ends in a reply or a closed socket, and never ends this process.

import type { AddressInfo, Socket } from 'node:net';
import { AddressList, plainAddress } from '../../lib/address-list.ts';
import { listenAt } from '../../lib/listen.ts';
import { deferred } from '../../lib/async.ts';
import type { Timer } from '../../ports/runtime.ts';
import { Connection, type SessionLimits } from './connection.ts';
import type { Caller, ProxiedConnection, ProxyTrust } from '../proxy/proxied-connection.ts';
import { type DataSink, IncomingMessage, receiveMessage, spoken } from './message.ts';
import type { IntakeCounts } from '../intake-status.ts';
import { idsOf, limitsOf, optionsOf, type SmtpParts } from './options.ts';
import { ProxyProtocol } from '../proxy/proxy-protocol.ts';
import { type SMTPConnectionOptions, SMTPServer, type SMTPServerSession } from './library.ts';
import { mailParameters, Refusal, unknownParameter } from './replies.ts';

const tickMs = 1_000;
/** Sockets beyond the connections that are let in: those that are being told 421, and what is closing. */
const spareSockets = 256;

export class SmtpServer extends SMTPServer {
  readonly #parts: SmtpParts;
  readonly #limits: SessionLimits;
  readonly #fronts: ProxyTrust;
  readonly #proxies: ProxyProtocol;
  readonly #counts = { kept: 0, repeated: 0, deferred: 0, refused: 0 };
  readonly #nextId: () => string;
  /** Where we listen: asked of the kernel once, and not for each connection. */
  #local: { readonly localAddress: string; readonly localPort: number } | undefined;
  #ticking: Timer | undefined;

  constructor(parts: SmtpParts) {
    const { config, tls } = parts;
    super(optionsOf(config, parts.gate.rehearsal, tls));
    this.#parts = parts;
    this.bookTaken();
    this.#nextId = idsOf(parts.runtime.ids);
    this.#limits = limitsOf(config);
    this.#proxies = new ProxyProtocol(config.proxy_from, config.hello_seconds, parts.runtime.clock, parts.log);
    this.#fronts = {
      trusted: new AddressList(config.trusted_fronts),
      move: (connection, to) => this.#move(connection, to),
      refused: ({ session }, at, refusal) => this.#refused(session, at, refusal),
    };
    this.server.maxConnections = parts.admission.load.connections.most + spareSockets;
    // Without a listener the first reset connection would end the process.
    this.on('error', (error) => parts.log.debug({ err: error }, 'smtp connection error'));
  }

  /** The registrar book was read: client certificates are asked for only where it has any. */
  bookTaken(): void {
    this.options.requestCert = this.#parts.registrars?.book.hasCertificates ?? false;
  }

  /** Without a PROXY header to wait for a connection begins at once: the library makes an id and waits for a turn of the loop. */
  override _handleProxy(...[socket, callback]: Parameters<SMTPServer['_handleProxy']>): void {
    if (this._expectsProxyHeader(socket)) super._handleProxy(socket, callback);
    else callback(null);
  }

  override connect(socket: Socket, options?: SMTPConnectionOptions): void {
    const address = plainAddress(options?.remoteAddress ?? socket.remoteAddress ?? '');
    // Gone before we could look.
    if (address === undefined) return void socket.on('error', () => undefined).destroy();
    const caller = { address, port: options?.remotePort ?? socket.remotePort ?? 0 };
    if (!this.#proxies.has(address)) return this.#admit(socket, options, caller);
    void this.#proxies.callerOf(socket, caller).then((real) => {
      if (real instanceof Refusal) this.#turnAway(socket, address, real);
      else if (real) this.#admit(socket, options, real);
      else socket.destroy();
    });
  }

  #admit(socket: Socket, options: SMTPConnectionOptions | undefined, caller: Caller): void {
    const { admission, registrars } = this.#parts;
    const { address } = caller;
    const registrarSession = registrars?.arrive(address, this.#fronts.trusted.has(address));
    if (registrarSession instanceof Refusal) return this.#turnAway(socket, address, registrarSession);
    const refusal = admission.connect(address, registrarSession?.limitedByAddress);
    if (refusal) {
      registrarSession?.leave();
      return this.#turnAway(socket, address, refusal);
    }
    const connection = new Connection(
      this,
      socket,
      { ...this.#local, ...options, id: this.#nextId() },
      caller,
      this.#fronts,
      {
        limits: this.#limits,
        registrarSession,
        greet: this.#greet,
        deferred: this.#deferred,
        wasted: this.#wasted,
        gone: this.#gone,
      },
    );
    this.connections.add(connection);
    connection.on('error', (error: Error) => this._onError(error));
    connection.init();
  }

  readonly #greet = (then: () => void): void => {
    const { config, runtime } = this.#parts;
    if (config.greet_pause_ms === 0) then();
    else runtime.clock.after(config.greet_pause_ms, then);
  };

  readonly #deferred = ({ session }: Connection, late: Refusal): void => this.#refused(session, 'data', late);

  readonly #wasted = (sender: string, bytes: number): void => this.#parts.admission.wasted(sender, bytes);

  readonly #gone = ({ caller, registrarSession }: Connection): void => {
    this.#parts.admission.disconnect(caller.address, registrarSession?.limitedByAddress);
    registrarSession?.leave();
  };

  /** A front hands a connection over to another client: its counts go with it, or stay as they are with the refusal. */
  #move({ caller, session }: ProxiedConnection, to: string): Refusal | undefined {
    const { admission } = this.#parts;
    const registrarSession = Connection.of(session).registrarSession;
    const counted = registrarSession?.limitedByAddress ?? true;
    const tooMany = counted ? admission.move(caller.address, to) : undefined;
    const unwelcome = tooMany ?? registrarSession?.handedOver(to);
    if (unwelcome && !tooMany && registrarSession?.limitedByAddress) void admission.move(to, caller.address);
    return unwelcome;
  }

  /** Says 421 and is done with the socket, without the cost of a session: this is what a flood gets. */
  #turnAway(socket: Socket, address: string, refusal: Refusal): void {
    socket.on('error', () => undefined);
    socket.write(`${refusal.responseCode} ${refusal.message}\r\n`);
    socket.destroySoon();
    this.#count(refusal);
    this.#parts.log.debug({ client: address, code: refusal.responseCode, reply: refusal.message }, 'turned away');
  }

  override onSecure(...[socket, session, callback]: Parameters<SMTPServer['onSecure']>): void {
    const asked = this.options.requestCert === true && 'getPeerCertificate' in socket;
    const refusal = Connection.of(session).registrarSession?.secured(
      asked ? socket.getPeerCertificate()?.fingerprint256 : undefined,
    );
    if (refusal) this.#refused(session, 'tls', refusal);
    callback(refusal);
  }

  override onAuth(...[auth, session, callback]: Parameters<SMTPServer['onAuth']>): void {
    const registrarSession = Connection.of(session).registrarSession;
    const { username, password } = auth;
    if (!registrarSession || username === undefined || typeof password !== 'string')
      return super.onAuth(auth, session, callback);
    void registrarSession.login(username, password, Connection.of(session).caller.address).then((refusal) => {
      if (refusal) this.#refused(session, 'auth', refusal);
      callback(refusal, refusal ? undefined : { user: username });
    });
  }

  override onMailFrom(...[{ address, args }, session, callback]: Parameters<SMTPServer['onMailFrom']>): void {
    const { admission, gate, runtime } = this.#parts;
    const connection = Connection.of(session);
    const unwelcome = connection.registrarSession?.identify(connection.client.address, address, session.secure);
    // Cheaper than a new connection, a stranger's refusal has a budget of its own (RegistrarSession).
    if (unwelcome?.responseCode === 550) {
      this.#counts.refused++;
      connection.refill();
      return callback(unwelcome);
    }
    const answer =
      unwelcome ??
      unknownParameter(args, mailParameters) ??
      gate.mail() ??
      admission.overspent(connection.sender, connection.caller.address) ??
      admission.mail(connection.messages);
    if (answer instanceof Refusal) {
      this.#refused(session, 'mail', answer);
      callback(answer);
      return;
    }
    connection.mailAt = runtime.clock.now();
    if (answer === 0) callback();
    else runtime.clock.after(answer, () => callback());
  }

  override onRcptTo(...[{ address, args }, session, callback]: Parameters<SMTPServer['onRcptTo']>): void {
    const refusal = unknownParameter(args, []) ?? this.#parts.admission.recipient(address);
    if (refusal) this.#refused(session, 'rcpt', refusal);
    else Connection.of(session).recipientsTaken++;
    callback(refusal);
  }

  override onData(...[stream, session, callback]: Parameters<SMTPServer['onData']>): void {
    const { config, admission } = this.#parts;
    const connection = Connection.of(session);
    const { registrarSession } = connection;
    // In LMTP each recipient gets a reply of its own, also one that was named twice (RFC 2033 section 4.2).
    const answer = (result: string | Refusal): void => {
      connection.ended(message.cost, typeof result === 'string');
      if (config.lmtp) callback(null, Array<string | Refusal>(connection.recipientsTaken).fill(result));
      else if (result instanceof Refusal) callback(result);
      else callback(null, result);
    };
    const limits = { bytes: config.message_bytes, lines: config.message_lines };
    const message = new IncomingMessage(limits, registrarSession?.memory(admission) ?? admission);
    connection.receive(message, (text) => this.#hangUp(session, message, new Refusal(421, text)));
    (stream as unknown as DataSink).taker = {
      chunk: (bytes) => {
        message.add(bytes);
        // Past twice the announced size, in one message or several, there is nothing to be polite about.
        if (message.refusal && connection.wasted + message.cost > 2 * config.message_bytes)
          this.#hangUp(session, message, message.refusal);
      },
      lost: () => {
        connection.received();
        message.release();
        connection.ended(message.cost, false);
      },
      end: () => {
        connection.received();
        void receiveMessage(this.#parts, message, connection).then(
          ({ words, repeated }) => {
            this.#counts[repeated ? 'repeated' : 'kept']++;
            connection.refill();
            registrarSession?.count('kept');
            answer(`2.0.0 Ok: queued as ${words}`);
          },
          (error: unknown) => {
            const refusal = error instanceof Refusal ? error : new Refusal(451, '4.3.0 Local trouble, try again later');
            if (refusal !== error)
              this.#parts.log.error({ err: error, session: session.id }, 'a message could not be taken');
            this.#refused(session, 'data', refusal);
            answer(refusal);
          },
        );
      },
    };
  }

  #refused(session: SMTPServerSession, at: string, refusal: Refusal): void {
    this.#count(refusal);
    const { responseCode: code, message: reply } = refusal;
    const { client, registrarSession } = Connection.of(session);
    const registrar = registrarSession?.known?.registrar;
    if (registrar) registrarSession?.count(code >= 500 ? 'refused' : 'deferred');
    const who = registrar && { registrar: registrar.id };
    this.#parts.log.info({ ...spoken(client), ...who, at, code, reply }, 'refused');
  }

  #count(refusal: Refusal): void {
    this.#counts[refusal.responseCode < 500 ? 'deferred' : 'refused']++;
  }

  /** What came of everything so far. */
  get counts(): IntakeCounts {
    return { ...this.#counts };
  }

  #tick(): void {
    const { admission, registrars } = this.#parts;
    const hurried = admission.load.level !== 'normal';
    registrars?.rejectionLog.flush();
    for (const connection of this.connections) if (connection instanceof Connection) connection.tick(hurried);
    this.#ticking = this.#parts.runtime.clock.after(tickMs, () => this.#tick());
  }

  #hangUp(session: SMTPServerSession, message: IncomingMessage, refusal: Refusal): void {
    message.refuse(refusal);
    this.#refused(session, 'data', refusal);
    const connection = Connection.of(session);
    connection.received();
    connection.send(refusal.responseCode, refusal.message);
    connection.close();
  }

  /** @returns the address it listens on, once it does */
  async start(): Promise<AddressInfo> {
    const { host, port } = this.#parts.config;
    const address = await listenAt(this.server, { host, port, section: 'smtp' });
    this.#local = { localAddress: address.address, localPort: address.port };
    this.#ticking = this.#parts.runtime.clock.after(tickMs, () => this.#tick());
    return address;
  }

  /** No new connections; messages on their way in may end, for so many milliseconds; everybody else gets 421 now. */
  async stop(withinMs: number): Promise<void> {
    const closed = deferred<void>();
    this.options.closeTimeout = withinMs;
    this.#proxies.stop();
    this.close(() => closed.resolve());
    for (const connection of this.connections) {
      if (connection instanceof Connection && connection.idle) connection.send(421, '4.3.2 Shutting down');
    }
    await closed.promise;
    this.#ticking?.cancel();
    this.#parts.registrars?.rejectionLog.flush();
  }
}
