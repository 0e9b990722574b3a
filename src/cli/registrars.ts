// The verb `registrars`: shows the book, checks it, and has running stages read it again. Takes the configuration, gives words;
// throws ConfigError when the book cannot be used, and an Error when what runs did not take it over. Never prints a hash.

import type { Config } from '../config/config.ts';
import { ConfigError, UsageError } from '../model/errors.ts';
import { openViews } from '../operate/spool-views.ts';
import type { Registrar } from '../model/registrar.ts';
import type { RegistrarBook } from '../config/registrar-book.ts';
import { nodeRuntime as runtime } from '../lib/node/runtime.ts';
import { openRegistrarBook } from '../config/registrar-book-file.ts';
import { sleep } from '../lib/async.ts';
import { silent } from '../lib/logger.ts';

/** How long the intake may take to say that it has the new book; and how often it is asked, in milliseconds. */
const patienceMs = 10_000;
const askMs = 100;

async function readBook(config: Config): Promise<RegistrarBook> {
  const { book } = await openRegistrarBook(config.registrars.file, runtime.disk, silent);
  if (book) return book;
  throw new ConfigError('registrars.file (SEAWALL_REGISTRARS_FILE) names no file: there is no registrar book.');
}

/** By what a registrar is known, in words. */
function evidenceOf({ networks, login, certificates, senders }: Registrar): string {
  return [
    ...networks,
    ...(login ? [`login ${login.user}`] : []),
    ...certificates.map((each) => `certificate ${each.slice(0, 8)}…`),
    ...senders,
  ].join(', ');
}

/** A registrar for `--json`: all that the book says, and that it has a login, but not its hash. */
function templateView({ login, ...rest }: Registrar): Record<string, unknown> {
  return { ...rest, ...(login && { user: login.user }) };
}

function* tableOf(config: Config, book: RegistrarBook): Iterable<string> {
  const { connections, messages, bytes } = config.registrars;
  yield `${'ID'.padEnd(16)}  ${'WEIGHT'.padStart(6)}  ${'CONNECTIONS'.padStart(11)}  ${'MESSAGES'.padStart(8)}  ${'BYTES'.padStart(11)}  NAME: KNOWN BY`;
  for (const each of book.registrars) {
    const limits = [each.connections ?? connections, each.messages ?? messages, each.bytes ?? bytes].map(String);
    const [many = '', progress = '', memory = ''] = limits;
    yield `${each.id.padEnd(16)}  ${String(each.weight).padStart(6)}  ${many.padStart(11)}  ${progress.padStart(8)}  ${memory.padStart(11)}  ${each.name}: ${evidenceOf(each)}`;
  }
  yield `${book.registrars.length} registrars, digest ${book.digest.slice(0, 16)}…`;
}

/** Tells every stage that runs to read the book again, and waits until the intake says that it has. */
async function reload(config: Config, book: RegistrarBook): Promise<string> {
  const { holders } = await openViews(config);
  const alive = holders.filter(({ state }) => state === 'alive');
  if (!alive.some(({ stage }) => stage === 'intake'))
    throw new Error(`No intake runs on ${config.spool.dir}: the book is good, and will be read at the next start.`);
  for (const { pid } of alive) process.kill(pid, 'SIGHUP');
  const { readIntakeStatus } = await import('../intake/intake-status.ts');
  const began = runtime.clock.elapsed();
  for (;;) {
    const said = (await readIntakeStatus(runtime, config.spool.dir))?.registrars?.book;
    if (said === book.digest) return `${book.registrars.length} registrars in force, digest ${said.slice(0, 16)}…`;
    if (runtime.clock.elapsed() - began > patienceMs) {
      const has = said === undefined ? 'it has no book: it was started without one' : `it has ${said.slice(0, 16)}…`;
      throw new Error(
        `The intake does not say that the book ${book.digest.slice(0, 16)}… is in force; ${has}. Its log says why; was it started with the same registrars.file?`,
      );
    }
    await sleep(runtime.clock, askMs);
  }
}

/**
 * @param action undefined: list the book; check; reload
 * @returns lines to print
 */
export async function registrarsVerb(config: Config, action: string | undefined, json: boolean): Promise<string[]> {
  if (action !== undefined && action !== 'check' && action !== 'reload')
    throw new UsageError(`registrars takes check or reload, but got ${JSON.stringify(action)}.`);
  const book = await readBook(config);
  if (action === 'reload') return [await reload(config, book)];
  if (action === 'check') {
    const warnings = book.impossibleSenders.map(
      (sender) => `warning: no mail can have the sender ${sender}…: its domain is none`,
    );
    const verdict = warnings.length === 0 ? 'all is well' : 'good, but see the warnings';
    return [...warnings, `${config.registrars.file}: ${book.registrars.length} registrars, ${verdict}`];
  }
  if (json) return [JSON.stringify({ digest: book.digest, registrars: book.registrars.map(templateView) }, null, 2)];
  return [...tableOf(config, book)];
}
