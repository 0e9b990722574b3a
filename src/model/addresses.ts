// IP addresses and networks, in one form that can be compared. Pure: takes texts, gives texts and answers.

import { BlockList, isIP, isIPv4, SocketAddress } from 'node:net';

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
