// Makes a server listen and gives its address. When that fails it throws an Error that says why in words,
// and names the configuration section to change.

import type { AddressInfo, Server } from 'node:net';
import { ConfigError } from '../model/errors.ts';
import { errorCode } from './system-error.ts';

/** Where to listen, and the name of the configuration section that says so. */
export interface ListenAt {
  readonly host: string;
  /** 0: the system picks. */
  readonly port: number;
  readonly section: string;
}

/**
 * Resolves with the address once the server listens.
 * @throws Error that names the section of the configuration to change; ConfigError where trying again would not help
 */
export async function listenAt(server: Server, { host, port, section }: ListenAt): Promise<AddressInfo> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const code = errorCode(error);
    const why = code === 'EADDRINUSE' ? 'another program listens there' : String(error);
    if (code === 'EACCES')
      throw new ConfigError(
        `Cannot listen on ${host}:${port}: this user may not have a port below 1024. Give the service the capability (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), lower net.ipv4.ip_unprivileged_port_start (sysctl), or choose another port with ${section}.port and have the firewall forward ${port} to it.`,
        { cause: error },
      );
    throw new Error(
      `Cannot listen on ${host}:${port}: ${why}. Choose another place with ${section}.host and ${section}.port.`,
      { cause: error },
    );
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`${section} listens on no port`);
  return address;
}
