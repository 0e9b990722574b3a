// Which servers take the mail of a domain: RFC 5321 section 5.1, null MX of RFC 7505. Takes a domain, asks DNS, gives its
// mail exchanges with their addresses, or the reason why there are none for good. Rejects when DNS does not answer or
// says SERVFAIL: that is for another time. Node's resolver gives no TTL of MX records, so the shortest one among the
// addresses stands for the whole. Owns a resolver.

import { BlockList, isIPv6 } from 'node:net';
import { errorCode } from '../../lib/system-error.ts';
import type { Network, Resolver } from '../../ports/runtime.ts';
import type { Found } from './dns-cache.ts';

export interface MailExchange {
  readonly name: string;
  readonly preference: number;
  readonly addresses: readonly string[];
}

export type Exchanges =
  | { readonly kind: 'found'; readonly exchanges: readonly MailExchange[] }
  /** No mail can ever be sent there, and why. */
  | { readonly kind: 'none'; readonly text: string };

/** Of a domain's exchanges the best so many are looked at. */
const exchangesMax = 10;
/** So often a server is asked before the next one is. */
const tries = 2;

/** Milliseconds. */
export interface DnsTimes {
  readonly timeoutMs: number;
  readonly freshMsMin: number;
  readonly freshMsMax: number;
  readonly staleMs: number;
  /** How long it is known that there is none. */
  readonly noneMs: number;
}

/** A lookup for the cache. @param servers `address` or `address:port`; none: the system's */
export function mxLookup(
  network: Network,
  servers: readonly string[],
  times: DnsTimes,
): (domain: string) => Promise<Found<Exchanges>> {
  const resolver = network.resolver(servers, times.timeoutMs, tries);
  const none = (text: string): Found<Exchanges> => ({
    value: { kind: 'none', text },
    freshMs: times.noneMs,
    staleMs: 0,
  });

  return async (domain) => {
    const records = await unless(['ENODATA'], () => resolver.resolveMx(domain)).catch((error: unknown) => {
      if (errorCode(error) === 'ENOTFOUND') return null;
      throw error;
    });
    if (records === null) return none('the domain does not exist');
    if (records?.some(({ exchange }) => exchange === '' || exchange === '.')) {
      return none('the domain takes no mail (null MX)');
    }
    const wanted = (records ?? [{ exchange: domain, priority: 0 }])
      .toSorted((a, b) => a.priority - b.priority)
      .slice(0, exchangesMax);
    let seconds = Infinity;
    const looked = await Promise.allSettled(
      wanted.map(async ({ exchange, priority }): Promise<MailExchange> => {
        const found = await addressesOf(resolver, exchange);
        for (const { ttl } of found) seconds = Math.min(seconds, ttl);
        return { name: exchange.toLowerCase(), preference: priority, addresses: found.map(({ address }) => address) };
      }),
    );
    const exchanges = looked.flatMap((each) =>
      each.status === 'fulfilled' && each.value.addresses[0] ? [each.value] : [],
    );
    if (exchanges.length === 0) {
      const failed = looked.find((each) => each.status === 'rejected');
      if (failed) throw failed.reason;
      if (records === undefined) return none('the domain has no mail server');
      throw new Error('the mail servers of the domain have no addresses');
    }
    const freshMs = Math.min(Math.max(seconds * 1000, times.freshMsMin), times.freshMsMax);
    return { value: { kind: 'found', exchanges }, freshMs, staleMs: times.staleMs };
  };
}

/** IPv4 first: it works everywhere. Rejects only when neither question was answered. */
async function addressesOf(resolver: Resolver, name: string): Promise<{ address: string; ttl: number }[]> {
  const missing = ['ENODATA', 'ENOTFOUND'];
  const [four, six] = await Promise.allSettled([
    unless(missing, () => resolver.resolve4(name)),
    unless(missing, () => resolver.resolve6(name)),
  ]);
  if (four.status === 'rejected' && six.status === 'rejected') throw four.reason;
  return [four, six].flatMap((each) => (each.status === 'fulfilled' ? (each.value ?? []) : []));
}

/** What a lookup gives, or undefined when it fails with one of these codes. */
async function unless<T>(codes: readonly string[], look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (codes.includes(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/**
 * The exchanges in the order to try them: by preference, in any order among equals. Where one of them is ourselves, it and
 * all that are no better are left out: the mail would come back (RFC 5321 section 5.1).
 * @param random gives a number from 0 up to, not including, 1
 */
export function inOrder(exchanges: readonly MailExchange[], self: string, random: () => number): MailExchange[] {
  const own = Math.min(...exchanges.filter(({ name }) => name === self).map(({ preference }) => preference));
  return exchanges
    .filter(({ preference }) => preference < own)
    .map((exchange) => ({ exchange, lot: random() }))
    .toSorted((a, b) => a.exchange.preference - b.exchange.preference || a.lot - b.lot)
    .map(({ exchange }) => exchange);
}

const inside = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  inside.addSubnet(network, bits);
for (const [network, bits] of [
  ['::', 96],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  inside.addSubnet(network, bits, 'ipv6');

/** Whether an address is no place for mail that is to leave this machine and its network: loopback, private, multicast, or this machine's own. */
export function isInside(address: string, network: Network): boolean {
  if (inside.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')) return true;
  return network.ownAddresses().includes(address);
}
