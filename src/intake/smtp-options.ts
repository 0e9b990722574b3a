// What smtp-server and our connections are told, from the configuration. Pure.

import type { Config } from '../config.ts';
import type { ConnectionLimits } from './connection.ts';
import type { SMTPServerOptions } from './smtp-library.ts';

/** @param tls certificate and key, when STARTTLS is to be offered */
export function optionsOf(config: Config['smtp'], tls: { cert: Buffer; key: Buffer } | undefined): SMTPServerOptions {
  return {
    name: config.name,
    banner: 'Seawall',
    lmtp: config.lmtp,
    size: config.message_bytes,
    maxRecipients: config.message_recipients,
    socketTimeout: config.idle_seconds * 1000,
    maxCommandLength: 4096,
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: false,
    // Whether there is AUTH depends on the connection: see Connection.
    authOptional: true,
    allowInsecureAuth: true,
    rejectUnauthorized: false,
    disabledCommands: ['VRFY', 'WIZ', 'SHELL', 'KILL', ...(tls ? [] : ['STARTTLS'])],
    logger: false,
    ...tls,
  };
}

/** What each connection may use up. */
export function limitsOf(config: Config['smtp']): ConnectionLimits {
  return {
    commands: config.session_commands,
    errors: config.session_errors,
    recipients: config.message_recipients,
    helloSeconds: config.hello_seconds,
    idleSeconds: config.idle_seconds,
    dataSeconds: config.data_seconds,
    dataBytesPerSecond: config.data_bytes_per_second,
  };
}
