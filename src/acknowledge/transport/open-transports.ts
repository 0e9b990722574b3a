// What carries acknowledgements out, as the configuration has it: relays, the recipients' own servers, or files. Takes the
// configuration, gives transports not yet used, and what signs the mails. Fails when a file or an address cannot be used.

import { rootCertificates } from 'node:tls';
import type { Config } from '../../config/config.ts';
import { ConfigError, messageOf } from '../../model/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Disk, Runtime } from '../../ports/runtime.ts';
import type { Transport } from './transport.ts';
import { mxTransport } from './mx-transport.ts';
import { dkimSigner, type Sign } from '../compose/dkim.ts';
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
 * The transports in the order to try them.
 * @param changed called when one of their destinations goes down or is back
 * @returns also whether they send straight to the recipients' servers, and `expect`, to be told of every recipient as early as can be
 * @throws ConfigError when a relay's address, the authorities or the DKIM key cannot be used
 */
export async function openTransports(
  config: Config,
  runtime: Runtime,
  log: Logger,
  changed: () => void,
): Promise<{
  transports: readonly Transport[];
  direct: boolean;
  sign: Sign | undefined;
  expect: (address: string) => void;
}> {
  const { ack } = config;
  const { clock, disk, ids, network } = runtime;
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
    return {
      transports: ack.relays.map((address) => smtpRelay(address, options)),
      direct: false,
      sign,
      expect: () => undefined,
    };
  }
  if (!ack.direct)
    return { transports: [emlFolder(disk, config.spool.dir)], direct: false, sign, expect: () => undefined };
  const mx = mxTransport({
    ...smtp,
    log,
    changed,
    parallel: ack.direct_connections,
    domains: ack.dns_domains,
    port: ack.direct_port,
    inside: ack.direct_inside,
    pause: { firstMs: ack.retry_seconds * 1000, maxMs: ack.retry_seconds_max * 1000 },
    network,
    dnsServers: ack.dns_servers,
    dnsTimes: {
      timeoutMs: ack.dns_timeout_ms,
      freshMsMin: ack.dns_seconds_min * 1000,
      freshMsMax: ack.dns_seconds_max * 1000,
      staleMs: ack.dns_stale_seconds * 1000,
      noneMs: ack.dns_none_seconds * 1000,
    },
    random: () => ids.randomBytes(4).readUInt32LE() / 2 ** 32,
  });
  return { transports: [mx], direct: true, sign, expect: (address) => mx.expect(address) };
}
