// An intake on a real log and real sockets for tests: started on a spool, stopped with the test or before.

import type { TestContext } from 'node:test';
import { makeConfig } from '../../src/config/config.ts';
import { type IntakeParts, startIntake } from '../../src/intake/intake.ts';
import { silent } from '../../src/lib/logger.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import { lockFiles } from '../../src/spool/fencing/lock-file.ts';
import { openMailboxWriter } from '../../src/spool/mailbox/writer.ts';
import { deferred } from '../../src/lib/async.ts';
import { SmtpClient } from './smtp-client.ts';
import { atEnd, largeMailboxes } from './spool.ts';

export interface RunningIntake {
  readonly port: number;
  /** A new connection, from this address. */
  readonly client: (localAddress?: string) => SmtpClient;
  /** Resolves with how the intake ends, if it cannot go on. */
  readonly failed: Promise<Error>;
  reload(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts an intake on the spool; resolves when its log is open. */
export async function intakeOn(
  t: TestContext,
  spool: string,
  settings: Record<string, string> = {},
  clock: Clock = nodeRuntime.clock,
  rotation = largeMailboxes,
  askClock?: IntakeParts['askClock'],
): Promise<RunningIntake> {
  const config = makeConfig(undefined, {
    SEAWALL_SPOOL_DIR: spool,
    SEAWALL_SPOOL_REHEARSAL_DIR: spool,
    SEAWALL_SMTP_PORT: '0',
    SEAWALL_SERVE_STOP_SECONDS: '2',
    ...settings,
  });
  const runtime = { ...nodeRuntime, clock };
  const opened = deferred<void>();
  const stage = await startIntake({
    config,
    runtime,
    openLog: async () => {
      const duplicateMs = config.smtp.duplicate_seconds * 1000;
      const { rehearsal } = config.serve;
      const { writer } = await openMailboxWriter(runtime, lockFiles, spool, rotation, duplicateMs, rehearsal);
      setImmediate(opened.resolve);
      return writer;
    },
    log: silent,
    ...(askClock && { askClock }),
  });
  const clients: SmtpClient[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    for (const each of clients) each.end();
    stopping ??= stage.stop();
    return stopping;
  };
  atEnd(t, stop);
  await opened.promise;
  const port = stage.address?.port ?? 0;
  const client = (localAddress?: string): SmtpClient => {
    const made = new SmtpClient(port, localAddress);
    clients.push(made);
    return made;
  };
  const reload = async (): Promise<void> => stage.reload?.();
  return { port, client, failed: stage.failed, reload, stop };
}
