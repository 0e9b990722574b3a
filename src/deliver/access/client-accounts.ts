// Who may call, read from the clients file: one client a line, `name roles password-hash certificate`, parted by blanks.
// Takes the text of the file, gives the clients; throws ConfigError that names the line.
//
//   registry   consumer          scrypt$16384$8$1$…     -
//   backend    consumer,reader   -                      cn=backend.registry.example
//   office     operator          scrypt$16384$8$1$…     sha256=3f0b…

import { ConfigError } from '../../model/errors.ts';
import { isPasswordHash } from '../../lib/auth/password-hash.ts';

/** consumer: fetches and settles. reader: looks. operator: looks, parks back, pauses. */
export const roles = ['consumer', 'reader', 'operator'] as const;
export type Role = (typeof roles)[number];

export interface ClientAccount {
  readonly name: string;
  readonly roles: readonly Role[];
  /** scrypt hash; undefined when it has no password. */
  readonly passwordHash: string | undefined;
  /** Which certificate is this client's: by its subject's common name, or by its SHA-256 in lower-case hex. */
  readonly certificate: { readonly by: 'cn' | 'sha256'; readonly value: string } | undefined;
}

const isRole = (text: string): text is Role => roles.some((role) => role === text);

function certificateOf(text: string): ClientAccount['certificate'] | 'bad' {
  if (text === '-') return undefined;
  const [, by, value = ''] = /^(cn|sha256)=(\S+)$/.exec(text) ?? [];
  if (by === 'cn') return { by, value };
  const digest = value.replaceAll(':', '').toLowerCase();
  return by === 'sha256' && /^[0-9a-f]{64}$/.test(digest) ? { by, value: digest } : 'bad';
}

/**
 * The clients of a file. Lines that are empty or begin with # say nothing.
 * @param name of the file, for errors
 * @throws ConfigError
 */
export function parseClientAccounts(name: string, text: string): ClientAccount[] {
  const clients: ClientAccount[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const wrong = (what: string): ConfigError => new ConfigError(`${name}, line ${index + 1}: ${what}`);
    const [client = '', roleText = '', hash = '-', certificateText = '-', ...more] = line.trim().split(/\s+/);
    const given = roleText.split(',');
    const certificate = certificateOf(certificateText);
    if (more.length > 0 || roleText === '') throw wrong('wants: name roles password-hash certificate.');
    if (!/^[\w.@-]{1,64}$/.test(client)) throw wrong('a name is up to 64 letters, digits and . _ @ -');
    if (clients.some((other) => other.name === client)) throw wrong(`the client ${client} is there twice.`);
    if (!given.every(isRole)) throw wrong(`the roles are ${roles.join(', ')}.`);
    if (hash !== '-' && !isPasswordHash(hash))
      throw wrong('the password hash is not one; make it with seawall passwd.');
    if (certificate === 'bad') throw wrong('a certificate is cn=NAME or sha256=FINGERPRINT.');
    if (hash === '-' && certificate === undefined) throw wrong(`${client} has neither a password nor a certificate.`);
    clients.push({ name: client, roles: given, passwordHash: hash === '-' ? undefined : hash, certificate });
  }
  return clients;
}

/**
 * The text of a clients file with a client's password set: its line is changed, or one is added.
 * @param change roles undefined: those it has, and consumer for a new client
 * @throws ConfigError when the text, before or after, is not a clients file
 */
export function withPassword(
  file: string,
  text: string,
  change: { readonly name: string; readonly roles: string | undefined; readonly hash: string },
): string {
  parseClientAccounts(file, text);
  const { name, hash } = change;
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const at = lines.findIndex((line) => line.trim().split(/\s+/)[0] === name);
  const [, roleText = 'consumer', , certificate = '-'] = (lines[at] ?? '').trim().split(/\s+/);
  const line = [name, change.roles ?? roleText, hash, certificate].join(' ');
  if (at === -1) lines.push(line);
  else lines[at] = line;
  const changed = `${lines.join('\n')}\n`;
  parseClientAccounts(file, changed);
  return changed;
}
