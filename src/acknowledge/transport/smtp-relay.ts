// One mail relay. Takes its address, gives a transport over a pool of sessions, at most `connections` of them.
// TLS: smtps:// is verified, and so is a relay with a password, which then must offer STARTTLS (except on this machine).
// Plain smtp:// takes STARTTLS when it is offered, without looking at the certificate (RFC 7435), as mail servers do.

import { isLoopback } from '../../lib/address-list.ts';
import { ConfigError } from '../../model/errors.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { Transport } from './transport.ts';
import { SmtpPool } from './smtp-pool.ts';
import { type Peer, SmtpSession } from './smtp-session.ts';

type RelayAddress = Pick<Peer, 'host' | 'port' | 'secure' | 'auth'>;

/** What all transports over SMTP share. Milliseconds. */
export interface SmtpOptions {
  readonly clock: Clock;
  /** Our name in EHLO. */
  readonly name: string;
  /** The longest one mail may take. */
  readonly sendMs: number;
  /** The longest a connection may take to open. */
  readonly connectMs: number;
  /** How long a connection is kept without a mail. */
  readonly idleMs: number;
}

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
 * The transport for one relay.
 * @param options `connections` at most at once; `ca` the authorities of its certificate, PEM
 * @throws ConfigError when the address cannot be used
 */
export function smtpRelay(
  address: string,
  options: SmtpOptions & { connections: number; ca?: readonly string[] },
): Transport {
  const parsed = parseRelay(address);
  const { host, port, secure, auth } = parsed;
  const { clock, sendMs, idleMs, ca } = options;
  const peer: Peer = {
    ...parsed,
    verified: secure || (auth !== undefined && host !== 'localhost' && !isLoopback(host)),
    ...(ca && { ca }),
    name: options.name,
    connectMs: Math.min(options.connectMs, sendMs),
    silentMs: sendMs,
  };
  const name = `${host}:${port}`;
  const open = (signal: AbortSignal, ended: (session: SmtpSession) => void) => SmtpSession.open(peer, signal, ended);
  const pool = new SmtpPool({ name, open, clock, sendMs, idleMs });
  return { name, parallel: options.connections, send: (mail) => pool.send(mail), close: () => pool.close() };
}
