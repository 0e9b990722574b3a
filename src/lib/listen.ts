// Makes a server listen and gives its address. When that fails it throws an Error that says why in words,
// and names the configuration section to change.

import type { AddressInfo, Server } from 'node:net';
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
 * @throws Error that names the section of the configuration to change
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
    const why = errorCode(error) === 'EADDRINUSE' ? 'another program listens there' : String(error);
    throw new Error(
      `Cannot listen on ${host}:${port}: ${why}. Choose another place with ${section}.host and ${section}.port.`,
      { cause: error },
    );
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`${section} listens on no port`);
  return address;
}
