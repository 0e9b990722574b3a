// Sets passwords in the files that people keep: the clients file of the SOAP endpoint and the registrar book. Takes a name and
// a password, writes the hash and leaves everything else as it was; the file is replaced as a whole. Fails with a
// ConfigError, and then the file is what it was.

import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/config.ts';
import { ConfigError, messageOf, UsageError } from '../model/errors.ts';
import { hashPassword } from '../lib/auth/password-hash.ts';
import { readPassword } from './ask-password.ts';
import { isRoot, nodeRuntime as runtime } from '../lib/node/runtime.ts';
import { replaceFile } from '../lib/replace-file.ts';
import { ownerOfSpool } from '../operate/spool-views.ts';
import { errorCode } from '../lib/system-error.ts';
import { parseRegistrarBook } from '../config/registrar-book-file.ts';
import { isTable, parseToml } from '../config/toml.ts';

/**
 * Replaces a file that the daemon reads: it goes on belonging to whom it belongs, and one that root makes anew belongs to the
 * spool's owner.
 */
async function put(config: Config, path: string, text: string): Promise<void> {
  const old = await runtime.disk.accessOf(path);
  const owner = old ?? (isRoot() ? await ownerOfSpool(config.spool.dir) : undefined);
  const access = old ?? (owner && { ...owner, mode: 0o640 });
  try {
    await replaceFile(runtime.disk, path, Buffer.from(text), { access });
  } catch (error) {
    if (errorCode(error) !== 'EPERM' || !access) throw error;
    throw new ConfigError(
      `${path} belongs to user ${access.user}, and what this user writes could not be given to that one: the daemon may not be able to read it. Run passwd as root, or as the owner of the file.`,
    );
  }
}

async function hashOf(password: string): Promise<string> {
  return hashPassword(password, runtime.ids.randomBytes(16));
}

/**
 * Writes a client's password, hashed, into the clients file of the SOAP endpoint.
 * @returns the file
 * @throws ConfigError when there is no such file, or it cannot be used
 */
async function setClientPassword(
  config: Config,
  name: string,
  roles: string | undefined,
  password: string,
): Promise<string> {
  const path = config.soap.clients;
  if (path === '')
    throw new ConfigError('soap.clients (SEAWALL_SOAP_CLIENTS) names no file: say where the clients are kept.');
  const { withPassword } = await import('../deliver/access/client-accounts.ts');
  const hash = await hashOf(password);
  const before = await runtime.disk.readFile(path).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error;
    return Buffer.alloc(0);
  });
  await put(config, path, withPassword(path, before.toString('utf8'), { name, roles, hash }));
  return path;
}

/** What is set for a registrar. `user` undefined: what it has, or its id. */
interface RegistrarPassword {
  readonly id: string;
  readonly user: string | undefined;
  readonly hash: string;
}

/** Data alone: tables of the TOML library have no prototype. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

/** The registrar tables of a book as they stand, which may be a book that cannot be used yet. */
function tablesOf(file: string, text: string): Record<string, unknown>[] {
  const { registrar } = parseToml(file, text);
  return Array.isArray(registrar) ? registrar.filter(isTable) : [];
}

/**
 * The text of a registrar book with a registrar's password set, and nothing else changed: no comment, no order, no blank.
 * @throws ConfigError when there is no such registrar, or its table is written in a way that cannot be edited as text
 */
export function withRegistrarPassword(file: string, text: string, { id, user, hash }: RegistrarPassword): string {
  const before = tablesOf(file, text);
  const at = before.findIndex((table) => table['id'] === id);
  if (at === -1)
    throw new ConfigError(`${file} has no registrar "${id}": write its table first ([[registrar]], id and name).`);
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const lines = text.split(/\r?\n/);
  const begins = lines.flatMap((line, i) => (/^\s*\[\[\s*registrar\s*\]\]/.test(line) ? [i] : []));
  const first = begins[at] ?? lines.length;
  const next = lines.findIndex((line, i) => i > first && /^\s*\[/.test(line));
  let end = next === -1 ? lines.length : next;
  const set = (key: string, value: string): void => {
    const line = `${key} = "${value}"`;
    const old = lines.findIndex((each, i) => i > first && i < end && new RegExp(`^\\s*${key}\\s*=`).test(each));
    if (old !== -1) lines[old] = line;
    else {
      const below = lines.findIndex((each, i) => i > first && i < end && /^\s*id\s*=/.test(each));
      lines.splice((below === -1 ? first : below) + 1, 0, line);
      end++;
    }
  };
  set('password', hash);
  if (user !== undefined) set('user', user);
  const changed = lines.join(eol);
  const wanted = before.map((table, i) =>
    i === at ? { ...table, password: hash, ...(user !== undefined && { user }) } : table,
  );
  let after: unknown;
  try {
    after = tablesOf(file, changed);
  } catch {
    // Not TOML any more: the table is written in a way that this edit does not understand.
  }
  if (isDeepStrictEqual(plain(after), plain(wanted))) return changed;
  throw new ConfigError(
    `${file} is written in a way that cannot be changed safely. Put this line into the table of "${id}":\npassword = "${hash}"`,
  );
}

/**
 * Writes a registrar's password, hashed, into the registrar book.
 * @returns the file, and why the book as a whole cannot be used yet, if it does not
 * @throws ConfigError
 */
async function setRegistrarPassword(
  config: Config,
  id: string,
  user: string | undefined,
  password: string,
): Promise<{ file: string; problem: string | undefined }> {
  const { file } = config.registrars;
  if (file === '')
    throw new ConfigError('registrars.file (SEAWALL_REGISTRARS_FILE) names no file: say where the registrar book is.');
  if (user !== undefined && !/^[^\s"\\\p{Cc}]{1,200}$/u.test(user))
    throw new ConfigError('--user wants a name without blanks, quotes and backslashes.');
  const before = await runtime.disk.readFile(file).catch((error: unknown) => {
    throw new ConfigError(`The registrar book ${file} cannot be read: ${messageOf(error)}`);
  });
  const text = withRegistrarPassword(file, before.toString('utf8'), { id, user, hash: await hashOf(password) });
  await put(config, file, text);
  try {
    parseRegistrarBook(file, text);
    return { file, problem: undefined };
  } catch (error) {
    return { file, problem: messageOf(error) };
  }
}

const leastLength = 8;

/**
 * The verb `passwd`: asks for a password, or reads it from standard input, and sets it.
 * @param name a client of the SOAP endpoint; undefined with `registrar`
 * @returns lines to print
 */
export async function passwdVerb(
  config: Config,
  { roles, registrar, user }: { roles?: string; registrar?: string; user?: string },
  name: string | undefined,
): Promise<string[]> {
  const whose = registrar ?? name;
  if (whose === undefined) throw new UsageError('passwd wants the name of a client, or --registrar and an id.');
  if (registrar === undefined ? user !== undefined : name !== undefined || roles !== undefined)
    throw new UsageError('passwd takes a NAME and --roles, or --registrar and --user.');
  const password = await readPassword(`Password for ${whose}: `);
  if (password.length < leastLength)
    throw new UsageError(`a password has at least ${leastLength} characters, this one has ${password.length}.`);
  if (registrar === undefined) {
    const file = await setClientPassword(config, whose, roles, password);
    return [`The password of ${whose} is set in ${file}; a running daemon takes it over by itself.`];
  }
  const { file, problem } = await setRegistrarPassword(config, registrar, user, password);
  const done = `The password of ${registrar} is set in ${file}; seawall registrars reload puts it in force.`;
  return problem === undefined ? [done] : [done, `But the book cannot be used yet: ${problem}`];
}
