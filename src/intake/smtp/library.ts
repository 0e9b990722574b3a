// The only importer of smtp-server. Its connection class is not among what the package exports by name, so the path below is checked
// on every new version, together with the hostile suite.

import type { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';

export { SMTPServer } from 'smtp-server';
export type { SMTPServerAddress, SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
export { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
export type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
export type { SMTPStream } from 'smtp-server/lib/smtp-stream.js';

/** What the library's connection reads in a MAIL or RCPT command. */
export type ParsedAddress = Exclude<ReturnType<SMTPConnection['_parseAddressCommand']>, false>;
