// The deliver stage: the registry's SOAP client pulls requests here, first in first out, and confirms them.
// Takes the log's reader and a journal, gives a Stage; fails to start when the journal or the port cannot be had, and
// resolves `failed` when the journal can no longer be written. Owns the journal and the socket; the reader is the caller's.

import type { Config } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import type { OpenJournal } from '../ports/journal.ts';
import { unparsedMail, type ParseMail } from '../model/parsed-mail.ts';
import type { RequestReader } from '../ports/request-log.ts';
import type { Runtime } from '../ports/runtime.ts';
import type { Restored } from '../spool/origin.ts';
import type { Stage } from '../ports/stage.ts';
import { ReplayService } from './leases/replay-service.ts';
import { Authenticator } from './access/authenticator.ts';
import { watchAccessFiles } from './access/access-files.ts';
import { Endpoint } from './http/server.ts';
import { StatusService } from './status-service.ts';
import { LeaseService } from './leases/lease-service.ts';
import { LeaseStore } from './leases/lease-store.ts';
import { ParkService } from './leases/park-service.ts';
import { byNamePolicy, type NamesOf, strictPolicy } from './leases/fetch-policy.ts';
import { SoapDispatch } from './soap/dispatch.ts';

/**
 * Starts the stage: journal, services, then the socket.
 * @param parts `acksPending` counts acknowledgements that have not been sent, for Status; `parseMail` reads what a
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
  parseMail?: ParseMail;
  /** Set when the log went on from a copy. */
  restored?: Restored | undefined;
}): Promise<Stage> {
  const { config, runtime, reader, log, version, acksPending } = parts;
  const parseMail: ParseMail = parts.parseMail ?? (() => Promise.resolve(unparsedMail));
  const namesOf: NamesOf = async (request) => {
    const parsed = await parseMail(request);
    // What was not read may ask for any name.
    return parsed === unparsedMail || parsed.partly ? undefined : parsed.names.map(({ ascii }) => ascii);
  };
  const limits = config.soap;
  const { clock } = runtime;
  const leaseStore = await LeaseStore.open(parts.openJournal, runtime.ids);
  const several = config.deliver.order === 'by-name';
  const policy = several ? byNamePolicy(reader, namesOf) : strictPolicy(reader);
  const leaseService = new LeaseService({ limits, several, policy, clock, reader, leaseStore, parseMail, log });
  const park = new ParkService({ reader, leaseStore, log });
  const archive = new ReplayService({ limits, clock, reader, leaseStore, parseMail, log });
  const front = new StatusService({ limits, clock, reader, leaseStore, log, version, acksPending });
  const kind = config.serve.rehearsal ? { rehearsal: true } : {};
  const { restored } = parts;
  const from = restored ? { restoredAt: Date.parse(restored.at), restoredAfter: restored.after } : {};
  const dispatch = new SoapDispatch({
    Hello: async () => ({ ...(await front.hello()), ...kind, ...from }),
    Fetch: async (input, caller) => ({ ...(await leaseService.fetch(input, caller)), ...kind }),
    Confirm: (input, caller) => leaseService.confirm(input, caller),
    Extend: (input, caller) => leaseService.extend(input, caller),
    Release: (input, caller) => leaseService.release(input, caller),
    Park: (input, caller) => leaseService.park(input, caller),
    ListParked: (input) => park.listParked(input),
    Unpark: (input) => park.unpark(input),
    Replay: (input) => archive.replay(input),
    GetRequest: (input, caller) => archive.getRequest(input, caller),
    Status: () => front.status(),
    Pause: (input) => park.pause(input),
    Resume: (input) => park.resume(input),
  });
  const authenticator = new Authenticator({ limits, runtime, log }, limits.clients === '' ? undefined : []);
  const endpoint = new Endpoint({ limits, dispatch, authenticator, clock, log });
  let files = { stop: (): void => undefined };
  const stop = async (): Promise<void> => {
    const closed = endpoint.close();
    files.stop();
    front.stop();
    leaseService.stop();
    await closed;
    await leaseStore.close();
  };
  try {
    await dispatch.start();
    files = await watchAccessFiles({ limits, runtime, log }, authenticator, endpoint);
    const address = await endpoint.listen();
    log.info({ ...address, path: '/soap' }, 'SOAP endpoint listens');
    return { address, failed: leaseStore.failed, stop };
  } catch (error) {
    files.stop();
    front.stop();
    leaseService.stop();
    await leaseStore.close();
    throw error;
  }
}
