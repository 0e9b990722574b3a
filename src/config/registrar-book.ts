// The registrar book: who is known by what. Immutable look-ups over the registrars that its file lists (registrar-book-file.ts).

import { domainToASCII } from 'node:url';
import { isIPv6 } from 'node:net';
import { groupsOf } from '../lib/address-list.ts';
import type { Registrar } from '../model/registrar.ts';

/** An IP address as a string of bits; undefined when it is none. */
function bitsOf(address: string): string | undefined {
  if (isIPv6(address)) {
    // The URL parser knows every spelling of an IPv6 address, the one with dots at its end too.
    const plain = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
    return groupsOf(plain)
      .map((each) => Number.parseInt(each, 16).toString(2).padStart(16, '0'))
      .join('');
  }
  const bytes = address.split('.').map(Number);
  if (bytes.length !== 4 || bytes.some((each) => !Number.isInteger(each) || each < 0 || each > 255)) return undefined;
  return bytes.map((each) => each.toString(2).padStart(8, '0')).join('');
}

/** The bits that all addresses of a network have in common, with the family in front. */
function prefixOf(network: string): string | undefined {
  const [address = '', length] = network.split('/');
  const bits = bitsOf(address);
  return bits === undefined ? undefined : family(address) + bits.slice(0, length === undefined ? bits.length : +length);
}

const family = (address: string): string => (isIPv6(address) ? '6' : '4');

/** Answers about addresses that are remembered, so that a flood of connections costs no search each. */
const answersKept = 20_000;

/** Who is known by what. Immutable: a changed file is a new book. */
export class RegistrarBook {
  readonly registrars: readonly Registrar[];
  /** SHA-256 of the file it was read from, lower-case hex: by it people and programs know which book is in force. */
  readonly digest: string;
  readonly #ids: ReadonlyMap<string, Registrar>;
  readonly #users: ReadonlyMap<string, Registrar>;
  readonly #certificates: ReadonlyMap<string, Registrar>;
  readonly #senders: ReadonlyMap<string, Registrar>;
  readonly #prefixes: ReadonlyMap<string, Registrar>;
  /** Lengths of the prefixes, longest first: the narrower network decides. */
  readonly #lengths: readonly number[];
  readonly #answers = new Map<string, Registrar | undefined>();

  /** @throws RangeError when two registrars would be known by the same thing, or a network is none */
  constructor(registrars: readonly Registrar[], digest: string) {
    const index = (what: string, keysOf: (registrar: Registrar) => readonly string[]): Map<string, Registrar> => {
      const map = new Map<string, Registrar>();
      for (const registrar of registrars) {
        for (const key of keysOf(registrar)) {
          const other = map.get(key);
          if (other)
            throw new RangeError(
              `${other.id} and ${registrar.id} have the same ${what}${what === 'network' ? '' : ` ${key}`}`,
            );
          map.set(key, registrar);
        }
      }
      return map;
    };
    this.registrars = registrars;
    this.digest = digest;
    this.#ids = index('id', ({ id }) => [id]);
    this.#users = index('user', ({ login }) => (login ? [login.user] : []));
    this.#certificates = index('certificate', ({ certificates }) => certificates);
    this.#senders = index('sender', ({ senders }) => [...new Set(senders.map(comparable))]);
    this.#prefixes = index('network', ({ id, networks }) =>
      networks.map((network) => {
        const prefix = prefixOf(network);
        if (prefix === undefined) throw new RangeError(`${id} has a network that is none: ${network}`);
        return prefix;
      }),
    );
    this.#lengths = [...new Set([...this.#prefixes.keys()].map((prefix) => prefix.length))].toSorted((a, b) => b - a);
  }

  byId(id: string): Registrar | undefined {
    return this.#ids.get(id);
  }

  /** Whether anybody can be known by a password, by a certificate. */
  get hasLogins(): boolean {
    return this.#users.size > 0;
  }

  get hasCertificates(): boolean {
    return this.#certificates.size > 0;
  }

  byUser(user: string): Registrar | undefined {
    return this.#users.get(user);
  }

  /** @param fingerprint SHA-256 of the certificate, hexadecimal, with or without colons */
  byCertificate(fingerprint: string): Registrar | undefined {
    return this.#certificates.get(fingerprint.replaceAll(':', '').toLowerCase());
  }

  /** By the whole address, else by its domain, whether that is written in A-labels or in U-labels. A null sender is nobody. */
  bySender(address: string): Registrar | undefined {
    if (this.#senders.size === 0) return undefined;
    const sender = comparable(address);
    return this.#senders.get(sender) ?? this.#senders.get(sender.slice(sender.lastIndexOf('@')));
  }

  /** Senders in the book that no mail can have, because their domain is none. */
  get impossibleSenders(): readonly string[] {
    return [...this.#senders.keys()].filter((sender) => sender.endsWith('@'));
  }

  /** By the narrowest network that holds the address. */
  byAddress(address: string): Registrar | undefined {
    if (this.#lengths.length === 0) return undefined;
    if (this.#answers.has(address)) return this.#answers.get(address);
    const bits = bitsOf(address);
    const found = bits === undefined ? undefined : this.#search(family(address) + bits);
    if (this.#answers.size >= answersKept) this.#answers.clear();
    this.#answers.set(address, found);
    return found;
  }

  #search(bits: string): Registrar | undefined {
    for (const length of this.#lengths) {
      const found = this.#prefixes.get(bits.slice(0, length));
      if (found) return found;
    }
    return undefined;
  }
}

/** An address in lower case, its domain in A-labels; nothing behind the @ where that is no domain. */
function comparable(address: string): string {
  const sender = address.toLowerCase();
  const at = sender.lastIndexOf('@');
  const domain = sender.slice(at + 1);
  // Most are plain ASCII, and every MAIL asks.
  return /^[a-z0-9_.-]+$/.test(domain)
    ? sender
    : `${sender.slice(0, at + 1)}${domain.startsWith('[') ? domain : domainToASCII(domain)}`;
}
