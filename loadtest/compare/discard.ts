// smtp-server by itself, discarding every mail: the ceiling of what Seawall can be, which is smtp-server and more. Started by
// contenders.ts as a process of its own; tells its port and ends with its parent.

import { SMTPServer } from 'smtp-server';

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['AUTH', 'STARTTLS'],
  disableReverseLookup: true,
  logger: false,
  onData: (stream, _session, done) => {
    stream.on('end', () => done(null));
    stream.resume();
  },
});
server.on('error', () => undefined);
server.listen(0, '127.0.0.1', () => process.send?.((server.server.address() as { port: number }).port));
process.once('disconnect', () => process.exit(0));
