// What carries acknowledgements out, as the configuration has it: relays or files. Takes the
// configuration, gives carriers not yet used, and what signs the mails. Fails when a file or an address cannot be used.

import { rootCertificates } from 'node:tls';
import type { Config } from '../config.ts';
import { ConfigError, messageOf } from '../errors.ts';
import type { Disk, Runtime } from '../ports/runtime.ts';
import type { Carrier } from './carrier.ts';
import { dkimSigner, type Sign } from './dkim.ts';
import { emlFolder } from './eml-folder.ts';
import { smtpRelay } from './smtp-relay.ts';

/** @throws ConfigError when the file cannot be read, or holds no certificate */
async function readAuthorities(disk: Disk, path: string): Promise<string> {
  const wants = 'it wants a PEM file with the certificates of authorities';
  try {
    const text = (await disk.readFile(path)).toString('latin1');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (error) {
    throw new ConfigError(`ack.tls_ca: ${path} cannot be read (${messageOf(error)}); ${wants}.`);
  }
  throw new ConfigError(`ack.tls_ca: ${path} holds no certificate; ${wants}.`);
}

/**
 * The carriers in the order to try them.
 * @throws ConfigError when a relay's address, the authorities or the DKIM key cannot be used
 */
export async function makeCarriers(
  config: Config,
  runtime: Runtime,
): Promise<{ carriers: readonly Carrier[]; sign: Sign | undefined }> {
  const { ack } = config;
  const { clock, disk } = runtime;
  const { dkim_domain: domain, dkim_selector: selector, dkim_key: keyFile } = ack;
  const sign = keyFile === '' ? undefined : await dkimSigner(disk, { domain, selector, keyFile });
  const smtp = {
    clock,
    name: ack.name,
    sendMs: ack.send_seconds * 1000,
    connectMs: ack.connect_seconds * 1000,
    idleMs: ack.idle_seconds * 1000,
  };
  if (ack.relays.length > 0) {
    const ca = ack.tls_ca === '' ? undefined : [...rootCertificates, await readAuthorities(disk, ack.tls_ca)];
    const options = { ...smtp, connections: ack.connections, ...(ca && { ca }) };
    return { carriers: ack.relays.map((address) => smtpRelay(address, options)), sign };
  }
  return { carriers: [emlFolder(disk, config.spool.dir)], sign };
}
