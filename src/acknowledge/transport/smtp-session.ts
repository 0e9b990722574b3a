// One SMTP session with one server, over nodemailer's connection. Takes where to connect and then mail after mail, gives
// what the server said; every trouble is an SmtpTrouble that says what it means, without credentials in it. Owns its
// connection. nodemailer's pool and composer are left out: a finished mail needs neither.

import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Outcome } from './transport.ts';
import { sanitizeLine } from '../../mail/sanitize.ts';

/** A server, and how to speak to it. */
export interface Peer {
  /** Name or address to connect to. */
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte; otherwise STARTTLS. */
  readonly secure: boolean;
  /** The certificate must be good; without `secure` STARTTLS must be offered. Otherwise TLS is taken as it comes. */
  readonly verified: boolean;
  /** Name in the certificate, when `host` is an address. */
  readonly servername?: string;
  /** PEM texts of the authorities, in place of the system's. */
  readonly ca?: readonly string[];
  readonly auth?: { readonly user: string; readonly pass: string };
  /** Our name in EHLO. */
  readonly name: string;
  /** The longest from the first packet to the answer to EHLO, TLS included. */
  readonly connectMs: number;
  /** The longest silence later. */
  readonly silentMs: number;
}

/** What went wrong. */
export class SmtpTrouble extends Error {
  override readonly name = 'SmtpTrouble';
  readonly kind: Exclude<Outcome['kind'], 'sent'>;
  readonly code: number;

  constructor(kind: Exclude<Outcome['kind'], 'sent'>, code: number, text: string) {
    super(text);
    this.kind = kind;
    this.code = code;
  }
}

/** Replies that speak of us and not of the mail: log in first, this relay is not for you (RFC 4954 section 6). */
const ourFault = new Set([530, 534, 535, 538]);
/** How long a server may take to close its side of a connection that we have closed. */
const closeMs = 1_000;

export class SmtpSession {
  readonly #connection: SMTPConnection;
  readonly #password: string | undefined;
  readonly #ended: () => void;
  #usable = true;
  /** The server said no to the mail before: its transaction has to be ended first. */
  #unfinished = false;
  #lastError: unknown;
  #fail: ((trouble: SmtpTrouble) => void) | undefined;

  private constructor(connection: SMTPConnection, password: string | undefined, ended: () => void) {
    this.#connection = connection;
    this.#password = password;
    this.#ended = ended;
  }

  /**
   * Connects, greets, takes TLS and logs in.
   * @param signal aborts the attempt
   * @param ended called once when the session is over, whoever ended it
   * @throws SmtpTrouble `unreachable`, or `dropped` when the server closed without a word
   */
  static open(peer: Peer, signal: AbortSignal, ended: (session: SmtpSession) => void): Promise<SmtpSession> {
    const connection = new SMTPConnection({
      host: peer.host,
      port: peer.port,
      secure: peer.secure,
      ...(peer.servername !== undefined && { servername: peer.servername }),
      requireTLS: peer.verified && !peer.secure,
      opportunisticTLS: !peer.verified,
      tls: { rejectUnauthorized: peer.verified, ...(peer.ca && { ca: [...peer.ca] }) },
      name: peer.name,
      connectionTimeout: peer.connectMs,
      greetingTimeout: peer.connectMs,
      dnsTimeout: peer.connectMs,
      socketTimeout: peer.silentMs,
      socketCloseTimeout: closeMs,
      logger: false,
    });
    const session = new SmtpSession(connection, peer.auth?.pass, () => ended(session));
    return session.#begin(peer, signal);
  }

  /** Whether another mail may be given to it. */
  get usable(): boolean {
    return this.#usable;
  }

  /**
   * Sends one mail from the null sender; one at a time.
   * @returns the server's reply
   * @throws SmtpTrouble: `later` and `refused` leave the session usable
   */
  async send(to: string, bytes: Buffer): Promise<string> {
    try {
      if (this.#unfinished) {
        await this.#ask((done) => this.#connection.reset(done));
        this.#unfinished = false;
      }
      const info = await this.#ask<{ response: string }>((done) =>
        this.#connection.send({ from: '', to: [to] }, bytes, done),
      );
      return info.response;
    } catch (error) {
      const trouble = troubleOf(error, this.#password);
      if (trouble.kind === 'later' || trouble.kind === 'refused') this.#unfinished = true;
      else this.close();
      throw trouble;
    }
  }

  /** Says goodbye and closes; for a session on which nothing is under way. */
  quit(): void {
    this.#usable = false;
    this.#connection.quit();
  }

  /** Closes at once: what is under way fails as `dropped`. */
  close(): void {
    this.#usable = false;
    this.#connection.close();
  }

  async #begin(peer: Peer, signal: AbortSignal): Promise<SmtpSession> {
    const connection = this.#connection;
    const abort = (): void => this.close();
    connection.on('error', (error: unknown) => (this.#lastError = error));
    connection.once('end', () => {
      this.#usable = false;
      // nodemailer ends a session first and says why afterwards, in the same breath.
      queueMicrotask(() => {
        this.#fail?.(troubleOf(this.#lastError ?? new Error('Connection closed'), this.#password));
        this.#ended();
      });
    });
    signal.addEventListener('abort', abort);
    try {
      if (signal.aborted) throw new SmtpTrouble('dropped', 0, 'given up');
      await this.#ask<void>((done) => connection.connect((error) => done(error ?? null)));
      const { auth } = peer;
      if (auth && !connection.allowsAuth) throw new SmtpTrouble('unreachable', 0, 'the relay offers no AUTH');
      if (auth) await this.#ask((done) => connection.login({ credentials: { ...auth } }, done));
      return this;
    } catch (error) {
      this.close();
      throw openingTroubleOf(this.#lastError ?? error, this.#password);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** One call of nodemailer's as a promise that is also settled by the end of the session: nodemailer then forgets it. */
  #ask<T = boolean>(call: (done: (error: Error | null, result?: T) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#fail = reject;
      call((error, result) => {
        if (error) reject(error);
        else resolve(result as T);
      });
    }).finally(() => (this.#fail = undefined));
  }
}

/** The words of a nodemailer error that count, and its text without the password. */
function read(error: unknown, password: string | undefined) {
  const field = (key: string): string => {
    const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined;
    return typeof value === 'string' ? value : '';
  };
  const response = field('response');
  const said = sanitizeLine(
    response === '' ? (error instanceof Error ? error.message : 'unknown trouble') : response,
    200,
  );
  const inStartTls = field('command') === 'STARTTLS';
  return {
    code: codeOf(response),
    kind: field('code'),
    // A relay may repeat what it did not like, and in AUTH that is the password.
    inAuth: field('code') === 'EAUTH' || field('command').startsWith('AUTH'),
    text: (inStartTls ? 'STARTTLS: ' : '') + (password ? said.replaceAll(password, '[redacted]') : said),
  };
}

/** What an error means before the first mail. */
function openingTroubleOf(error: unknown, password: string | undefined): SmtpTrouble {
  if (error instanceof SmtpTrouble) return error;
  const { code, kind, inAuth, text } = read(error, password);
  if (inAuth) return new SmtpTrouble('unreachable', code, 'the relay does not accept our user and password');
  const silently = kind === 'ECONNECTION' && code === 0;
  return new SmtpTrouble(silently ? 'dropped' : 'unreachable', code, text);
}

/** What an error means while a mail is on its way. */
function troubleOf(error: unknown, password: string | undefined): SmtpTrouble {
  if (error instanceof SmtpTrouble) return error;
  const { code, kind, inAuth, text } = read(error, password);
  if (inAuth || ourFault.has(code)) return new SmtpTrouble('unreachable', code, text);
  const ofThisMail = kind === 'EENVELOPE' || kind === 'EMESSAGE';
  if (ofThisMail && code === 0) return new SmtpTrouble('refused', code, text);
  if (!ofThisMail || code === 421) return new SmtpTrouble('dropped', code, text);
  // 503 says that the session went wrong, not the mail.
  return new SmtpTrouble(code >= 500 && code !== 503 ? 'refused' : 'later', code, text);
}

/** The code of a reply, 0 when it has none. */
export function codeOf(response: string): number {
  const code = /^[2-5]\d\d/.exec(response)?.[0];
  return code === undefined ? 0 : Number(code);
}
