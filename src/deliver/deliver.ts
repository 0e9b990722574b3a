// The deliver stage: the registry's SOAP client pulls requests here, first in first out, and confirms them.
// Takes the log's reader and a journal, gives a Stage; fails to start when the journal or the port cannot be had, and
// resolves `failed` when the journal can no longer be written. Owns the journal and the socket; the reader is the caller's.

import type { Config } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import type { OpenJournal } from '../ports/journal.ts';
import { notUnderstood, type Understand } from '../model/parsed-mail.ts';
import type { RequestReader } from '../ports/request-log.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Stage } from '../ports/stage.ts';
import { ArchiveDesk } from './leases/replay-service.ts';
import { Door } from './access/authenticator.ts';
import { watchDoorFiles } from './access/access-files.ts';
import { Endpoint } from './http/server.ts';
import { FrontDesk } from './status-service.ts';
import { LeaseDesk } from './leases/lease-service.ts';
import { Ledger } from './leases/lease-store.ts';
import { ParkDesk } from './leases/park-service.ts';
import { byNameSelection, type NamesOf, strictSelection } from './leases/fetch-policy.ts';
import { SoapDispatch } from './soap/dispatch.ts';

/**
 * Starts the stage: journal, desks, then the socket.
 * @param parts `acksPending` counts acknowledgements that have not been sent, for Status; `understand` reads what a
 *   request asks for: its names for deliver.order = "by-name", and the fields that are a view of the mail
 * @throws what opening the journal or the socket throws
 */
export async function startDeliver(parts: {
  config: Config;
  runtime: Runtime;
  reader: RequestReader;
  openJournal: OpenJournal;
  log: Logger;
  version: string;
  acksPending: () => Promise<number>;
  understand?: Understand;
}): Promise<Stage> {
  const { config, runtime, reader, log, version, acksPending } = parts;
  const understand: Understand = parts.understand ?? (() => Promise.resolve(notUnderstood));
  const namesOf: NamesOf = async (request) => (await understand(request)).names.map(({ ascii }) => ascii);
  const limits = config.soap;
  const { clock } = runtime;
  const ledger = await Ledger.open(parts.openJournal, runtime.ids);
  const several = config.deliver.order === 'by-name';
  const select = several ? byNameSelection(reader, namesOf) : strictSelection(reader);
  const desk = new LeaseDesk({ limits, several, select, clock, reader, ledger, understand, log });
  const park = new ParkDesk({ reader, ledger, log });
  const archive = new ArchiveDesk({ limits, clock, reader, ledger, understand, log });
  const front = new FrontDesk({ limits, clock, reader, ledger, log, version, acksPending });
  const kind = config.serve.rehearsal ? { rehearsal: true } : {};
  const dispatch = new SoapDispatch({
    Hello: async () => ({ ...(await front.hello()), ...kind }),
    Fetch: async (input, caller) => ({ ...(await desk.fetch(input, caller)), ...kind }),
    Confirm: (input, caller) => desk.confirm(input, caller),
    Extend: (input, caller) => desk.extend(input, caller),
    Release: (input, caller) => desk.release(input, caller),
    Park: (input, caller) => desk.park(input, caller),
    ListParked: (input) => park.listParked(input),
    Unpark: (input) => park.unpark(input),
    Replay: (input) => archive.replay(input),
    GetRequest: (input, caller) => archive.getRequest(input, caller),
    Status: () => front.status(),
    Pause: (input) => park.pause(input),
    Resume: (input) => park.resume(input),
  });
  const door = new Door({ limits, runtime, log }, limits.clients === '' ? undefined : []);
  const endpoint = new Endpoint({ limits, dispatch, door, clock, log });
  let files = { stop: (): void => undefined };
  const stop = async (): Promise<void> => {
    const closed = endpoint.close();
    files.stop();
    front.stop();
    desk.stop();
    await closed;
    await ledger.close();
  };
  try {
    await dispatch.start();
    files = await watchDoorFiles({ limits, runtime, log }, door, endpoint);
    const address = await endpoint.listen();
    log.info({ ...address, path: '/soap' }, 'SOAP endpoint listens');
    return { address, failed: ledger.failed, stop };
  } catch (error) {
    files.stop();
    front.stop();
    desk.stop();
    await ledger.close();
    throw error;
  }
}
