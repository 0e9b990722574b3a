// The only importer of smtp-server. Its connection class is not among what the package exports by name, so the path below is checked
// on every new version, together with the hostile suite.

export { SMTPServer } from 'smtp-server';
export type { SMTPServerAddress, SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
export { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
export type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
export type { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
