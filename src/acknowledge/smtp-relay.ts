// One mail relay, over a nodemailer pool. Takes a relay address and finished mails, gives what the relay said to each.
// Never rejects: what goes wrong becomes an outcome, without credentials in it. Owns its connections, at most
// `connections` of them; it is never given more mails than that at once, so nodemailer's queue stays empty.
// TLS: smtps:// is verified, and so is a relay with a password, which then must offer STARTTLS (except on this machine).
// Plain smtp:// takes STARTTLS when it is offered, without looking at the certificate (RFC 7435), as mail servers do.

import { createTransport } from 'nodemailer';
import { ConfigError } from '../errors.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Carrier, Outcome, Outgoing } from './carrier.ts';
import { cleanLine } from './clean.ts';

interface RelayAddress {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly auth?: { readonly user: string; readonly pass: string };
}

/** Replies that speak of us and not of the mail: log in first, this relay is not for you (RFC 4954 section 6). */
const ourFault = new Set([530, 534, 535, 538]);

/**
 * Reads `smtp://[user:password@]host[:port]`, or smtps://. Ports default to 25 and 465.
 * @throws ConfigError, which does not repeat the address: it may hold a password
 */
function parseRelay(address: string): RelayAddress {
  try {
    const url = new URL(address);
    const secure = url.protocol === 'smtps:';
    const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
    const port = url.port === '' ? (secure ? 465 : 25) : Number(url.port);
    const user = decodeURIComponent(url.username);
    const pass = decodeURIComponent(url.password);
    if (host === '' || url.search !== '' || (url.pathname !== '' && url.pathname !== '/')) throw new Error('host');
    return { host, port, secure, ...(user === '' && pass === '' ? {} : { auth: { user, pass } }) };
  } catch {
    throw new ConfigError(
      'ack.relays holds an address that cannot be used; it wants smtp://[user:password@]host[:port] or smtps://…, ' +
        'with @, : and / in a password written as %40, %3A and %2F.',
    );
  }
}

/**
 * The carrier for one relay.
 * @param options `name` for EHLO; `connections` at most at once; `sendMs` the longest one mail may take
 * @throws ConfigError when the address cannot be used
 */
export function smtpRelay(
  address: string,
  options: { clock: Clock; name: string; connections: number; sendMs: number },
): Carrier {
  const { host, port, secure, auth } = parseRelay(address);
  const { clock, sendMs } = options;
  const verified = secure || (auth !== undefined && !isLoopback(host));
  const transport = createTransport({
    pool: true,
    host,
    port,
    secure,
    ...(auth && { auth }),
    requireTLS: verified && !secure,
    opportunisticTLS: !verified,
    tls: { rejectUnauthorized: verified },
    name: options.name,
    maxConnections: options.connections,
    maxMessages: Number.MAX_SAFE_INTEGER,
    // A kept connection that the relay closed between two mails is opened again once.
    maxRequeues: 1,
    connectionTimeout: sendMs,
    greetingTimeout: sendMs,
    socketTimeout: sendMs,
    dnsTimeout: sendMs,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  });
  const name = `${host}:${port}`;
  let closed = false;

  async function send(mail: Outgoing): Promise<Outcome> {
    // nodemailer's timeouts count silence; this one counts everything, so that a relay that trickles is cut off too.
    const overdue = new AbortController();
    const timer = clock.after(sendMs, () => overdue.abort());
    try {
      const { response } = await transport.sendMail({
        envelope: { from: '', to: [{ name: '', address: mail.to }] },
        raw: mail.bytes,
        // Not sent: the message has its own. It only saves making up a random one for each mail.
        messageId: mail.ticket,
        signal: overdue.signal,
      });
      return { kind: 'sent', code: codeOf(response), text: cleanLine(response, 200), carrier: name };
    } catch (error) {
      if (closed) return { kind: 'unreachable', code: 0, text: 'cut off by the stop', carrier: name };
      return outcomeOf(error, name, auth?.pass, sendMs);
    } finally {
      timer.cancel();
    }
  }

  return {
    name,
    parallel: options.connections,
    send,
    close() {
      closed = true;
      transport.close({ force: true });
    },
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function codeOf(response: string): number {
  const code = /^[2-5]\d\d/.exec(response)?.[0];
  return code === undefined ? 0 : Number(code);
}

/** What an error of nodemailer means. The words that count are its `code`, `command` and `response`. */
function outcomeOf(error: unknown, carrier: string, password: string | undefined, sendMs: number): Outcome {
  const field = (key: string): string => {
    const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined;
    return typeof value === 'string' ? value : '';
  };
  const kind = field('code');
  const command = field('command');
  const response = field('response');
  const code = codeOf(response);
  if (kind === 'EABORT' || kind === 'ETIMEDOUT') {
    return { kind: 'unreachable', code: 0, text: `no answer within ${sendMs / 1000} s`, carrier };
  }
  // A relay may repeat what it did not like, and in AUTH that is the password.
  if (kind === 'EAUTH' || command.startsWith('AUTH')) {
    return { kind: 'unreachable', code, text: 'the relay does not accept our user and password', carrier };
  }
  const said = cleanLine(response === '' ? reasonOf(error) : response, 200);
  const text = password ? said.replaceAll(password, '[redacted]') : said;
  const ofThisMail = kind === 'EENVELOPE' || kind === 'EMESSAGE';
  if (ofThisMail && code === 0) return { kind: 'refused', code, text, carrier };
  if (!ofThisMail || code === 421 || ourFault.has(code)) return { kind: 'unreachable', code, text, carrier };
  // 503 says that the session went wrong, not the mail.
  return { kind: code >= 500 && code !== 503 ? 'refused' : 'later', code, text, carrier };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown trouble';
}
