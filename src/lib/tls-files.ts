// Certificate and key of a server, from the files that the configuration names. Takes their contents; says which setting is wrong
// when they do not go together, and what is wrong with how long the certificate holds. Fails with a ConfigError, never with what
// is in a key.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { ConfigError, messageOf } from '../model/errors.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Logger } from './logger.ts';
import { type NamedFile, readNamed, WatchedFiles } from './watched-files.ts';

/** What a section of the configuration names. Empty: nothing. */
interface TlsSettings {
  readonly tls_certificate: string;
  readonly tls_key: string;
  readonly tls_client_ca?: string;
}

/** The contents, in PEM. */
export interface TlsContents {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

type Section = 'smtp' | 'soap';

/** A certificate that ends within so many days is warned of. */
const soonDays = 21;
const dayMs = 86_400_000;

function filesOf(section: Section, settings: TlsSettings): NamedFile[] {
  const names = ['tls_certificate', 'tls_key', 'tls_client_ca'] as const;
  const files = names.map((name) => ({ setting: `${section}.${name}`, path: settings[name] ?? '' }));
  return files.filter(({ path }) => path !== '');
}

function leafOf({ setting, path }: NamedFile, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new ConfigError(`${setting}: ${path} holds no certificate; it wants a PEM file.`);
  }
}

function keyOf({ setting, path }: NamedFile, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new ConfigError(
      `${setting}: ${path} holds no private key that can be used; it wants a PEM file without a password.`,
    );
  }
}

/** The contents, when a server can use them. @throws ConfigError that names the setting */
function checked(files: readonly NamedFile[], [cert = '', key = '', ca]: readonly string[]): TlsContents {
  const [certificate, secret, authorities] = files;
  if (!certificate || !secret) throw new ConfigError('tls_certificate and tls_key go together');
  const leaf = leafOf(certificate, cert);
  if (!leaf.checkPrivateKey(keyOf(secret, key)))
    throw new ConfigError(
      `${secret.setting}: ${secret.path} is not the key of the certificate in ${certificate.path} (${certificate.setting}).`,
    );
  if (authorities) leafOf(authorities, ca ?? '');
  const contents = { cert, key, ...(ca !== undefined && { ca }) };
  try {
    createSecureContext(contents);
  } catch (error) {
    throw new ConfigError(`${certificate.setting}: ${certificate.path} cannot be used: ${messageOf(error)}`);
  }
  return contents;
}

/** What is wrong with how long a certificate holds; undefined when nothing is. `ended`: no client takes it any more. */
export interface Validity {
  readonly ended: boolean;
  readonly text: string;
}

/** @param now milliseconds since 1970 UTC */
export function validityTrouble(pem: string, now: number): Validity | undefined {
  const { validFrom, validTo } = new X509Certificate(pem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  const left = Math.floor((to - now) / dayMs);
  if (to <= now) return { ended: true, text: `has ended on ${validTo}` };
  if (from > now) return { ended: true, text: `does not hold before ${validFrom}` };
  if (left < soonDays) return { ended: false, text: `ends in ${left} days, on ${validTo}` };
  return undefined;
}

/** Reads and checks what a section names, if it names anything. @throws ConfigError that names the setting */
export async function readTls(
  disk: Runtime['disk'],
  section: Section,
  settings: TlsSettings,
): Promise<TlsContents | undefined> {
  const files = filesOf(section, settings);
  if (files.length === 0) return undefined;
  return checked(files, await Promise.all(files.map((file) => readNamed(disk, file))));
}

/**
 * What hands over a certificate and its key, now and whenever they have changed, and says when the certificate ends.
 * @param take gets them once they have been checked
 */
export function watchTls(
  runtime: Pick<Runtime, 'clock' | 'disk'>,
  section: Section,
  settings: TlsSettings,
  take: (contents: TlsContents) => void,
  log: Logger,
): WatchedFiles {
  const files = filesOf(section, settings);
  const changed = (texts: readonly string[]): void => {
    const contents = checked(files, texts);
    take(contents);
    const trouble = validityTrouble(contents.cert, runtime.clock.now());
    if (trouble)
      log[trouble.ended ? 'error' : 'warn']({ file: files[0]?.path }, `the certificate of ${section} ${trouble.text}`);
  };
  return new WatchedFiles(runtime, files, changed, log);
}
