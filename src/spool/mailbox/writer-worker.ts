// The thread that writes the log: opens it, and appends what the main thread hands over. Takes one Open as its data and then
// messages; answers each append with `kept` or `failed`, in order. Lock, digests, chain and fdatasync run here, so that SMTP
// sessions do not wait for them. It ends when the log is closed or could not be opened.

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
if (!port) throw new Error('writer-worker.ts runs as a thread of the intake, and not by itself');
const say = (message: FromThread): void => port.postMessage(message);

try {
  const { spool, rotation, duplicateMs, rehearsal } = workerData as Open;
  const { writer, recovered, epoch } = await openMailboxWriter(
    nodeRuntime,
    lockFiles,
    spool,
    rotation,
    duplicateMs,
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
