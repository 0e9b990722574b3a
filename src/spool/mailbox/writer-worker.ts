// The thread that writes the log: opens it, and appends what the intake's thread hands over. Takes one Open as its data and
// Parcels; answers each with Kept or Failed, in order. Nothing of the order is decided in the other thread: this one is the
// writer, and all that the log does (claim, digests, chain, fdatasync) happens here, beside the SMTP sessions and not between
// them. It ends when the log is closed or could not be opened.

import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../model/errors.ts';
import { nodeRuntime } from '../../lib/node/runtime.ts';
import { errorCode } from '../../lib/system-error.ts';
import { lockFiles } from '../fencing/lock-file.ts';
import { openMailboxWriter } from './writer.ts';
import { type FromThread, type Open, requestsIn, type ToThread, type Trouble } from './writer-client.ts';

function troubleOf(error: unknown): Trouble {
  const code = errorCode(error);
  const cause = error instanceof Error && error.cause !== undefined ? errorCode(error.cause) : undefined;
  const name = error instanceof Error ? error.name : 'Error';
  return { name, message: messageOf(error), ...((code ?? cause) && { code: code ?? cause }) };
}

const port = parentPort;
if (!port) throw new Error('writer-thread.ts runs as a thread of the intake, and not by itself');
const say = (message: FromThread): void => port.postMessage(message);

try {
  const { spool, rotation, repeatMs, rehearsal } = workerData as Open;
  const { writer, recovered, epoch } = await openMailboxWriter(
    nodeRuntime,
    lockFiles,
    spool,
    rotation,
    repeatMs,
    rehearsal,
  );
  const { lastSequence, cut } = recovered;
  void writer.lost.then((reason) => say({ type: 'lost', ...troubleOf(reason) }));
  port.on('message', (message: ToThread) => {
    if (message.type === 'close') {
      void writer.close().then(
        () => port.close(),
        (error: unknown) => {
          say({ type: 'failed', ...troubleOf(error) });
          port.close();
        },
      );
      return;
    }
    void writer.append(requestsIn(message)).then(
      (sequences) => say({ type: 'kept', sequences }),
      (error: unknown) => say({ type: 'failed', ...troubleOf(error) }),
    );
  });
  say({ type: 'open', lastSequence, epoch, ...(cut && { cut }) });
} catch (error) {
  say({ type: 'failed', ...troubleOf(error) });
  port.close();
}
