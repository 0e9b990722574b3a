// The HTTP layer of our own in front of the SOAP library. Takes connections, gives WSDL, page and SOAP answers; whatever
// comes, the answer is a typed Fault or a plain HTTP error, and the process stays up. Owns the listening socket and a bound
// on everything: connections, time, bytes that come, bytes that are not taken from us.

import { createServer as createPlain, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecure, type Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Config } from '../../config/config.ts';
import { DamagedLogError, messageOf } from '../../model/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import { listenAt } from '../../lib/listen.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Clock } from '../../ports/runtime.ts';
import { ConnectionLimit } from './connection-limit.ts';
import type { Authenticator } from '../access/authenticator.ts';
import { checkSoapAction, readEnvelope } from '../soap/envelope.ts';
import { faultEnvelope, QueueError } from '../soap/fault.ts';
import { readMessage } from './http-body.ts';
import { docsPage } from './docs-page.ts';
import type { SoapDispatch } from '../soap/dispatch.ts';
import { wsdl } from '../soap/wsdl.ts';
import { readXml } from '../soap/xml-read.ts';

interface Parts {
  readonly limits: Config['soap'];
  readonly dispatch: SoapDispatch;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The largest message of a caller who says who he is nowhere but in it. */
const strangerBytes = 65_536;
/** How long answers may take to go out when the stage stops. */
const closeMs = 5_000;

/** What is answered, by Node's error code, when not even HTTP could be read. */
const unreadable: Record<string, string> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

export class Endpoint {
  readonly #limits: Config['soap'];
  readonly #dispatch: SoapDispatch;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #authenticator: Authenticator;
  readonly #server: Server | SecureServer;
  readonly #connections: ConnectionLimit;
  /** Bytes of answers that clients have not taken yet. */
  #untaken = 0;

  constructor({ limits, dispatch, authenticator, clock, log }: Parts) {
    this.#limits = limits;
    this.#dispatch = dispatch;
    this.#authenticator = authenticator;
    this.#clock = clock;
    this.#log = log;
    const idleMs = limits.idle_seconds * 1_000;
    const options = {
      headersTimeout: idleMs,
      requestTimeout: idleMs,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: Math.min(idleMs, 5_000),
      maxHeaderSize: 16_384,
      // A request that says its length twice is refused (RFC 9112 section 6.1).
      insecureHTTPParser: false,
    };
    // Who has no certificate, or a wrong one, may still have a password.
    const tls = { requestCert: limits.tls_client_ca !== '', rejectUnauthorized: false, handshakeTimeout: idleMs };
    this.#server = limits.tls_certificate === '' ? createPlain(options) : createSecure({ ...options, ...tls });
    this.#connections = new ConnectionLimit(this.#server, limits.connections);
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('timeout', (socket: Socket) => socket.destroy());
    this.#server.on('clientError', (error: Error, socket: Socket) => {
      const status = unreadable[errorCode(error) ?? ''] ?? '400 Bad Request';
      // The server's sockets may be half open: after `end` alone, a client that does not close would keep its connection for ever.
      if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      socket.destroySoon();
    });
  }

  /** Takes certificate, key and authorities for every connection from now on. Only when a certificate is configured. */
  setTls(context: { cert: string; key: string; ca?: string }): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(context);
  }

  /** @throws the system's error when the port cannot be had */
  async listen(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#limits;
    const address = await listenAt(this.#server, { host, port, section: 'soap' });
    this.#server.on('error', (error) => this.#log.error({ reason: messageOf(error) }, 'SOAP endpoint'));
    return { host, port: address.port };
  }

  /**
   * Takes nothing new; resolves when every answer under way is out, or has had its time. Long polls have to be ended by
   * their owner.
   */
  async close(): Promise<void> {
    // Node counts a connection as idle while its answer is still on its way out; we close the idle ones ourselves.
    this.#server.closeIdleConnections = () => undefined;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#connections.closeIdle();
    const late = this.#clock.after(closeMs, () => this.#server.closeAllConnections());
    await closed;
    late.cancel();
  }

  /** Never rejects: whatever goes wrong is an answer, or the end of this one connection. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => request.socket.destroy());
    try {
      await this.#route(request, response);
    } catch (error) {
      this.#refuse(request, response, error);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '', query = ''] = (request.url ?? '').replace(/^https?:\/\/[^/]*/i, '').split('?', 2);
    if (path !== '/soap' && path !== '/soap/')
      return this.#reply(response, 404, 'text/plain', 'Not found; try /soap\n');
    const { method } = request;
    if (method === 'POST') return this.#call(request, response);
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD, POST');
      return this.#reply(response, 405, 'text/plain', 'GET, HEAD or POST\n');
    }
    const peer = this.#authenticator.peerOf(request);
    this.#authenticator.checkPlace(request, peer);
    const address = `${peer.origin}/soap`;
    // Our WSDL imports nothing, so it is also what .NET asks for as `singleWsdl`.
    if (/^(single)?wsdl\b/i.test(query)) return this.#reply(response, 200, 'text/xml', wsdl(address));
    return this.#reply(response, 200, 'text/html', docsPage(address));
  }

  async #call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#untaken > 4 * this.#limits.batch_bytes) {
      throw new QueueError('BUSY', 'Earlier answers have not been taken yet; try again in a moment.', {}, 503);
    }
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const peer = this.#authenticator.peerOf(request);
    this.#authenticator.checkPlace(request, peer);
    const early = await this.#authenticator.identifyByHeaders(request, peer);
    const most = this.#limits.body_bytes;
    const call = readEnvelope(readXml(await readMessage(request, early ? most : Math.min(most, strangerBytes))));
    const visitor = early ?? (await this.#authenticator.identify(request, peer, call.token));
    this.#connections.know(request);
    this.#authenticator.checkRole(visitor, call.operation);
    checkSoapAction(request.headers.soapaction?.toString(), call.operation);
    const answer = await this.#dispatch.call(call, { owner: visitor.name, signal: gone.signal });
    this.#reply(response, 200, 'text/xml', answer);
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const refusal = this.#refusalOf(error);
    const { code, message, status } = refusal;
    if (code !== 'INTERNAL' && code !== 'DAMAGED') {
      this.#log.info({ code, reason: message, client: request.socket.remoteAddress }, 'call refused');
    }
    if (status === 401) response.setHeader('WWW-Authenticate', 'Basic realm="Seawall", charset="UTF-8"');
    if (response.headersSent) return void response.destroy();
    // What is left of a message that was refused half way is not worth reading.
    if (!request.complete) response.setHeader('Connection', 'close');
    this.#reply(response, status, 'text/xml', faultEnvelope(refusal));
  }

  #refusalOf(error: unknown): QueueError {
    if (error instanceof QueueError) return error;
    if (error instanceof DamagedLogError) {
      this.#log.error({ reason: error.message }, 'the log is damaged: nothing is delivered past this point');
      return new QueueError('DAMAGED', 'A kept request is damaged. Nothing is skipped; an operator has to look.');
    }
    this.#log.error({ err: error }, 'a SOAP call failed');
    return new QueueError('INTERNAL', 'The call failed for a reason of ours; it is in our log.');
  }

  #reply(response: ServerResponse, status: number, type: string, text: string): void {
    const body = Buffer.from(text, 'utf8');
    this.#untaken += body.length;
    response.once('close', () => (this.#untaken -= body.length));
    // A client that stops reading is not waited for longer than one that stops talking.
    response.setTimeout(this.#limits.idle_seconds * 1_000);
    response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Content-Length': body.length });
    response.end(response.req.method === 'HEAD' ? undefined : body);
  }
}
