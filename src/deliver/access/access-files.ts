// The files of access: certificate, key, authorities and clients, read again when they change. Takes their paths from the
// configuration, hands their contents to the authenticator and the endpoint; throws ConfigError when they cannot be used at the start.

import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Runtime } from '../../ports/runtime.ts';
import { parseClientAccounts } from './client-accounts.ts';
import type { Authenticator } from './authenticator.ts';
import type { Endpoint } from '../http/server.ts';
import { watchTls } from '../../lib/tls-files.ts';
import { WatchedFiles } from '../../lib/watched-files.ts';

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
  const { clients } = limits;
  const watched: WatchedFiles[] = [];
  if (clients !== '') {
    const take = ([text = '']: readonly string[]): void => authenticator.setClients(parseClientAccounts(clients, text));
    watched.push(new WatchedFiles(runtime, [{ setting: 'soap.clients', path: clients }], take, log));
  } else log.warn('no clients are configured: only this machine may talk to the SOAP endpoint');
  if (limits.tls_certificate !== '')
    watched.push(watchTls(runtime, 'soap', limits, (contents) => endpoint.setTls(contents), log));
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
