// Who is at the other end of a connection. X-Forwarded-For, -Proto and -Host count only when they come from a proxy that is
// trusted. Takes a request, gives address, scheme and host; never fails. Owns the lists of addresses.

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type AddressList, isLoopback } from '../../lib/address-list.ts';

export interface Peer {
  /** IP address of the client; of the nearest untrusted machine, when proxies are in between. */
  readonly address: string;
  /** Whether nobody on the way can read along. */
  readonly secure: boolean;
  readonly loopback: boolean;
  /** The URL's origin, as the client used it. */
  readonly origin: string;
}

/** A Host header that may go into a URL (RFC 3986 section 3.2.2). */
const hostForm = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/;

/** An IPv4 address that came over an IPv6 socket, as what it is. */
const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '');

const headerOf = (request: IncomingMessage, name: string): string => {
  const value = request.headers[name];
  return typeof value === 'string' ? value : (value?.join(',') ?? '');
};

export function peerOf(request: IncomingMessage, proxies: AddressList): Peer {
  const { socket } = request;
  const nearest = plain(socket.remoteAddress ?? '');
  const trusted = proxies.has(nearest);
  const hops = trusted
    ? headerOf(request, 'x-forwarded-for')
        .split(',')
        .map((hop) => plain(hop.trim()))
    : [];
  // From the nearest outwards; what stands behind the first untrusted one is that one's own word.
  const address = hops.toReversed().find((hop) => isIP(hop) !== 0 && !proxies.has(hop)) ?? nearest;
  const scheme = trusted ? headerOf(request, 'x-forwarded-proto').trim().toLowerCase() : '';
  const encrypted = scheme === '' ? socket instanceof TLSSocket : scheme === 'https';
  const { localAddress = '', localPort = 0 } = socket;
  const own = `${isIP(localAddress) === 6 ? `[${localAddress}]` : localAddress}:${localPort}`;
  const hosts = [trusted ? headerOf(request, 'x-forwarded-host').trim() : '', headerOf(request, 'host')];
  return {
    address,
    secure: encrypted || isLoopback(address),
    loopback: isLoopback(address),
    origin: `${encrypted ? 'https' : 'http'}://${hosts.find((host) => hostForm.test(host)) ?? own}`,
  };
}
