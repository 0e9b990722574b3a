// The files of access: certificate, key, authorities and clients, read again when they change. Takes their paths from the
// configuration, hands their contents to the authenticator and the endpoint; throws ConfigError when they cannot be used at the start.

import { createSecureContext } from 'node:tls';
import type { Config } from '../../config/config.ts';
import { ConfigError, messageOf } from '../../model/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { parseClientAccounts } from './client-accounts.ts';
import type { Authenticator } from './authenticator.ts';
import type { Endpoint } from '../http/server.ts';
import { WatchedFiles } from './watched-files.ts';

interface Parts {
  readonly limits: Config['soap'];
  readonly runtime: Runtime;
  readonly log: Logger;
}

/**
 * Reads the files, and goes on reading them when they change.
 * @returns what stops that
 */
export async function watchAccessFiles(
  parts: Parts,
  authenticator: Authenticator,
  endpoint: Endpoint,
): Promise<{ stop(): void }> {
  const { limits, runtime, log } = parts;
  const { clients, tls_certificate: certificate, tls_key: key, tls_client_ca: authorities } = limits;
  const watched: WatchedFiles[] = [];
  if (clients !== '') {
    const take = ([text = '']: readonly string[]): void => authenticator.setClients(parseClientAccounts(clients, text));
    watched.push(new WatchedFiles(runtime, [clients], take, log));
  } else log.warn('no clients are configured: only this machine may talk to the SOAP endpoint');
  if (certificate !== '') {
    const paths = [certificate, key, ...(authorities === '' ? [] : [authorities])];
    const take = ([cert = '', secret = '', ca]: readonly string[]): void => {
      const context = { cert, key: secret, ...(ca === undefined ? {} : { ca }) };
      try {
        createSecureContext(context);
      } catch (error) {
        throw new ConfigError(`${certificate} and ${key} are not a certificate and its key: ${messageOf(error)}`);
      }
      endpoint.setTls(context);
    };
    watched.push(new WatchedFiles(runtime, paths, take, log));
  }
  const stop = (): void => {
    for (const each of watched) each.stop();
  };
  try {
    for (const each of watched) await each.start();
  } catch (error) {
    stop();
    throw error;
  }
  return { stop };
}
