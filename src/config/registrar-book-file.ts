// The registrar book as a file. Takes TOML, gives a RegistrarBook; keeps the one in force and takes a changed one over as a
// whole or not at all. A file that cannot be used is a ConfigError that names the registrar and the key. Owns the book in force.
//
//   [[registrar]]
//   id = "regsarl"
//   name = "Registres SARL"
//   language = "fr"
//   contact = "accuses@registres.example"
//   networks = ["192.0.2.0/24", "2001:db8:7::/48"]
//   user = "regsarl"                        # SMTP AUTH; absent: the id
//   password = "scrypt$16384$8$1$…"         # made by: seawall passwd --registrar regsarl
//   certificates = ["3f0b…"]                # SHA-256 of a TLS client certificate
//   senders = ["ops@registres.example", "@registres.example"]
//   weight = 1
//   connections = 20
//   messages = 20
//   bytes = 20_000_000

import { hash } from 'node:crypto';
import { ConfigError, messageOf } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { isNetwork } from '../lib/address-list.ts';
import { isPasswordHash } from '../lib/auth/password-hash.ts';
import type { Registrar } from '../model/registrar.ts';
import { RegistrarBook } from './registrar-book.ts';
import type { Disk } from '../ports/runtime.ts';
import { isTable, parseToml } from './toml.ts';

const isText = (value: unknown): value is string => typeof value === 'string' && /^[^\p{Cc}]{1,200}$/u.test(value);
const matches =
  (pattern: RegExp) =>
  (value: unknown): boolean =>
    isText(value) && pattern.test(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1;
const listOf =
  (check: (item: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(check);

const fingerprint = /^[0-9a-f]{2}(:?[0-9a-f]{2}){31}$/i;
const mailAddress = /^[^\s<>@]+@[^\s<>@]+$/;

/** What each key of a registrar wants. */
const keys: Readonly<Record<string, { readonly wants: string; readonly check: (value: unknown) => boolean }>> = {
  id: { wants: '1 to 40 of a-z, 0-9, - and _', check: matches(/^[a-z0-9][a-z0-9_-]{0,39}$/) },
  name: { wants: 'a text on one line', check: isText },
  language: { wants: 'a language code such as "fr"', check: matches(/^[a-z]{2,3}$/) },
  contact: { wants: 'a mail address', check: matches(mailAddress) },
  networks: {
    wants: 'a list of networks such as "192.0.2.0/24"',
    check: listOf((value) => isText(value) && isNetwork(value)),
  },
  user: { wants: 'a text without blanks', check: matches(/^\S+$/) },
  password: {
    wants: 'what seawall passwd --registrar makes',
    check: (value) => isText(value) && isPasswordHash(value),
  },
  certificates: { wants: 'a list of SHA-256 fingerprints', check: listOf(matches(fingerprint)) },
  senders: {
    wants: 'a list of addresses, or of domains such as "@registrar.example"',
    check: listOf(matches(/^[^\s<>@]*@[^\s<>@]+$/)),
  },
  weight: { wants: 'a whole number from 1 to 1000', check: (value) => isCount(value) && Number(value) <= 1000 },
  connections: { wants: 'a whole number from 1', check: isCount },
  messages: { wants: 'a whole number from 1', check: isCount },
  bytes: { wants: 'a whole number from 1', check: isCount },
};

const texts = (list: readonly string[] | undefined): string[] => (list ?? []).map((each) => each.toLowerCase());

function readRegistrar(file: string, table: unknown, index: number): Registrar {
  if (!isTable(table)) throw new ConfigError(`${file}: every registrar is a table that begins with [[registrar]].`);
  const who = typeof table['id'] === 'string' ? `registrar ${JSON.stringify(table['id'])}` : `registrar ${index + 1}`;
  for (const [name, value] of Object.entries(table)) {
    const key = keys[name];
    if (!key)
      throw new ConfigError(`${file}: ${who}: unknown key "${name}". The keys are ${Object.keys(keys).join(', ')}.`);
    if (key.check(value)) continue;
    const got = name === 'password' ? 'something else, which is not shown' : JSON.stringify(value)?.slice(0, 80);
    throw new ConfigError(`${file}: ${who}: ${name} wants ${key.wants}, but got ${got}.`);
  }
  for (const name of ['id', 'name'])
    if (!(name in table)) throw new ConfigError(`${file}: ${who}: ${name} is missing.`);
  if ('user' in table && !('password' in table))
    throw new ConfigError(`${file}: ${who}: user needs a password; make it with seawall passwd --registrar.`);
  // Every value has been checked against the table above.
  const { user, password, certificates, senders, networks, weight, ...rest } = table as Record<string, never>;
  const registrar = {
    ...(rest as unknown as Pick<Registrar, 'id' | 'name'>),
    networks: texts(networks),
    certificates: texts(certificates).map((each) => each.replaceAll(':', '')),
    senders: texts(senders),
    weight: weight ?? 1,
    ...(password !== undefined && { login: { user: user ?? String(table['id']), passwordHash: password } }),
  };
  const { certificates: certified, senders: sending, networks: from } = registrar;
  if (password === undefined && certified.length + sending.length + from.length === 0)
    throw new ConfigError(
      `${file}: ${who} could never be known: give it networks, a password, certificates or senders.`,
    );
  return registrar;
}

/**
 * The book in a text.
 * @param file its name, for errors
 * @throws ConfigError
 */
export function parseRegistrarBook(file: string, text: string): RegistrarBook {
  const { registrar: tables = [], ...others } = parseToml(file, text);
  const [other] = Object.keys(others);
  if (other !== undefined) throw new ConfigError(`${file}: unknown key "${other}". A book holds [[registrar]] tables.`);
  if (!Array.isArray(tables))
    throw new ConfigError(`${file}: every registrar begins with [[registrar]], two brackets.`);
  const registrars = tables.map((table, index) => readRegistrar(file, table, index));
  try {
    return new RegistrarBook(registrars, hash('sha256', text));
  } catch (error) {
    throw new ConfigError(`${file}: ${messageOf(error)}.`);
  }
}

/** The book in force. */
export interface BookInForce {
  /** Undefined: there is no book. */
  readonly book: RegistrarBook | undefined;
  /** Reads the file again; one that cannot be used is said in the log, and the old book stays in force. */
  reload(): Promise<void>;
}

/**
 * Reads the book for the first time.
 * @param file empty: there is none, and never will be
 * @param check throws a ConfigError when whoever reads the book cannot do what it asks for
 * @throws ConfigError
 */
export async function openRegistrarBook(
  file: string,
  disk: Pick<Disk, 'readFile'>,
  log: Logger,
  check: (book: RegistrarBook) => void = () => undefined,
): Promise<BookInForce> {
  const read = async (): Promise<RegistrarBook | undefined> => {
    if (file === '') return undefined;
    let text: string;
    try {
      text = (await disk.readFile(file)).toString('utf8');
    } catch (error) {
      throw new ConfigError(`The registrar book ${file} cannot be read: ${messageOf(error)}`);
    }
    const fresh = parseRegistrarBook(file, text);
    check(fresh);
    return fresh;
  };
  let book = await read();
  return {
    get book() {
      return book;
    },
    async reload() {
      try {
        book = await read();
        if (book) log.info({ file, registrars: book.registrars.length, digest: book.digest }, 'registrar book read');
      } catch (error) {
        log.error({ reason: messageOf(error) }, 'the registrar book cannot be used: the one before stays in force');
      }
    },
  };
}
