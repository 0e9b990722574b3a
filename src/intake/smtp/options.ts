// What the endpoint works with, and what smtp-server and our connections are told from the configuration. Pure.

import type { Config } from '../../config/config.ts';
import type { Logger } from '../../lib/logger.ts';
import type { TlsContents } from '../../lib/tls-files.ts';
import type { NewRequest } from '../../model/request.ts';
import type { Ids, Runtime } from '../../ports/runtime.ts';
import type { Admission } from '../policy/admission.ts';
import type { SessionLimits } from './connection.ts';
import type { OpeningGate } from '../policy/opening-gate.ts';
import type { Registrars } from '../policy/registrars.ts';
import type { Kept } from '../sequencer.ts';
import type { SMTPServerOptions } from './library.ts';

/** What the endpoint works with. */
export interface SmtpParts {
  readonly config: Config['smtp'];
  readonly runtime: Runtime;
  readonly admission: Admission;
  readonly gate: OpeningGate;
  /** The registrar book at work; undefined: there is none, and mail is taken from anyone. */
  readonly registrars: Registrars | undefined;
  /** Gives the request its number: resolves with it once it is kept, rejects with the refusal to send. */
  readonly keep: (request: NewRequest) => Promise<Kept>;
  readonly log: Logger;
  /** Certificate and key in PEM, when STARTTLS is to be offered. */
  readonly tls?: TlsContents;
}

/** @param rehearsal said in the greeting and after HELO @param tls certificate and key, when STARTTLS is to be offered */
export function optionsOf(config: Config['smtp'], rehearsal: boolean, tls: TlsContents | undefined): SMTPServerOptions {
  return {
    name: config.name,
    banner: rehearsal ? 'Seawall REHEARSAL' : 'Seawall',
    ...(rehearsal && { heloResponse: '%s REHEARSAL: nothing that is sent here counts. Nice to meet you, %s' }),
    lmtp: config.lmtp,
    size: config.message_bytes,
    maxRecipients: config.message_recipients,
    socketTimeout: config.idle_seconds * 1000,
    maxCommandLength: 4096,
    lenientAddressParsing: !config.strict_addresses,
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
export function limitsOf(config: Config['smtp']): SessionLimits {
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

/** Ids of sessions: they must differ, and no more. The library's own cost a look into the kernel's entropy each. */
export function idsOf(ids: Ids): () => string {
  const prefix = ids.randomBytes(5).toString('hex');
  let count = 0;
  return () => `${prefix}${(count++).toString(36).padStart(6, '0')}`;
}
