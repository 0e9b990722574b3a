// IP addresses and networks in one comparable form. Pure: takes texts, gives texts and answers.
// Texts that are no address give undefined or false; only a list that is made of one throws.

import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';

/**
 * An address in its shortest form (RFC 5952), an IPv4 one that came over an IPv6 socket as what it is, without a zone.
 * @returns undefined when the text is no IP address
 */
export function plainAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const [address = ''] = text.split('%');
  if (isIP(address) !== 6) return undefined;
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/i, '');
}

/** Whether a text is an address or a network (CIDR). */
export function isNetwork(text: string): boolean {
  const [, address = '', bits = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 6 ? 128 : 32);
}

/** The eight groups of a plain IPv6 address, `::` filled up. */
export function groupsOf(address: string): string[] {
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array.from({ length: gap }, () => '0'), ...right];
}

/** Who an address belongs to: in IPv6 a customer has a /64 at least, and may come from anywhere in it. */
export function clientOf(address: string): string {
  return isIPv6(address) ? groupsOf(address).slice(0, 4).join(':').toLowerCase() : address;
}

/** Addresses and networks (`192.0.2.0/24`). */
export class AddressList {
  readonly #list = new BlockList();
  /** Without an entry it holds nothing. */
  readonly empty: boolean;

  /** @throws TypeError when an entry is no address and no network */
  constructor(entries: readonly string[]) {
    this.empty = entries.length === 0;
    for (const entry of entries) {
      const [address = '', bits] = entry.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      this.#list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
    }
  }

  has(address: string): boolean {
    // A look at the list costs more than a whole refusal, and most lists are empty.
    if (this.empty) return false;
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** Whether an address in its plain form is this machine's to itself. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

/**
 * Whether a Host header means this machine in a way that no page of somebody else can: by address, as localhost, or by one of these
 * names. A page whose name was made to lead here (DNS rebinding) has that name in it.
 * @param names in lower case
 */
export function namesUs(host: string | undefined, names: readonly string[]): boolean {
  // Without one it is no browser.
  if (host === undefined) return true;
  const name = host
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost') || names.includes(name);
}
