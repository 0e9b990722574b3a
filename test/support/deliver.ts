// The deliver stage for tests: a leases on a turned clock, or the whole stage on a free port, and a plain SOAP client.

import { makeConfig } from '../../src/config/config.ts';
import { ReplayService } from '../../src/deliver/leases/replay-service.ts';
import { LeaseService } from '../../src/deliver/leases/lease-service.ts';
import type { DeliverEvent } from '../../src/deliver/leases/lease-state.ts';
import { LeaseStore } from '../../src/deliver/leases/lease-store.ts';
import { ParkService } from '../../src/deliver/leases/park-service.ts';
import { byNamePolicy, type NamesOf, strictPolicy } from '../../src/deliver/leases/fetch-policy.ts';
import { startDeliver } from '../../src/deliver/deliver.ts';
import { type Logger, silent } from '../../src/lib/logger.ts';
import { unparsedMail, type ParseMail } from '../../src/model/parsed-mail.ts';
import type { JournalState, OpenJournal } from '../../src/ports/journal.ts';
import type { RequestReader } from '../../src/ports/request-log.ts';
import type { Runtime } from '../../src/ports/runtime.ts';
import type { Stage } from '../../src/ports/stage.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { JournalStore, MemoryLog, realIds, request, TurnedClock } from './memory.ts';

export type Store = JournalStore<DeliverEvent>;

export function openerOf(store: Store): OpenJournal {
  return (_name, state) => {
    // The stage opens one journal, the one of these events.
    const journal: unknown = store.open(state as unknown as JournalState<DeliverEvent>);
    return Promise.resolve(journal as never);
  };
}

export const nobody = { owner: '', signal: new AbortController().signal };

/** `count` small requests, numbered in their text. */
export function filledLog(count: number): MemoryLog {
  const log = new MemoryLog();
  for (let each = 1; each <= count; each++) log.add(request(`Subject: ${each}\r\n\r\nrequest ${each}\r\n`));
  return log;
}

/** A lease leases as it stands after a start. */
export async function openLeases(
  options: {
    store?: Store;
    log?: RequestReader;
    clock?: TurnedClock;
    logger?: Logger;
    toml?: string;
    namesOf?: NamesOf;
    parseMail?: ParseMail;
  } = {},
) {
  const { store = new JournalStore<DeliverEvent>(), clock = new TurnedClock() } = options;
  const reader = options.log ?? filledLog(10);
  const leaseStore = await LeaseStore.open(openerOf(store), realIds);
  const limits = makeConfig({ name: 'test.toml', text: options.toml ?? '' }, {}).soap;
  const { namesOf, parseMail = async () => unparsedMail, logger: log = silent } = options;
  const policy = namesOf ? byNamePolicy(reader, namesOf) : strictPolicy(reader);
  const leases = new LeaseService({
    limits,
    several: namesOf !== undefined,
    policy,
    clock,
    reader,
    leaseStore,
    parseMail,
    log,
  });
  const park = new ParkService({ reader, leaseStore, log });
  const archive = new ReplayService({ limits, clock, reader, leaseStore, parseMail, log });
  const fetch = async (attemptId: string, max = 3, more: { leaseMs?: number; clientId?: string } = {}) => {
    const { clientId = 'registry', ...rest } = more;
    const batch = await leases.fetch({ clientId, attemptId, max, ...rest }, nobody);
    return { ...batch, token: batch.leaseToken ?? '', sequences: batch.request.map(({ sequence }) => sequence) };
  };
  const confirm = (leaseToken: string, throughSequence: number) =>
    leases.confirm({ leaseToken, throughSequence }, nobody);
  return { leases, park, archive, leaseStore, store, clock, fetch, confirm };
}

/** The whole stage, listening on a free port of the loopback; it stops when the test `t` is over. */
export async function openStage(
  t: { after(run: () => Promise<void>): void },
  options: {
    store?: Store;
    log?: RequestReader;
    logger?: Logger;
    toml?: string;
    runtime?: Runtime;
    parseMail?: ParseMail;
  } = {},
): Promise<{ stage: Stage; url: string; port: number; store: Store }> {
  const { store = new JournalStore<DeliverEvent>() } = options;
  const stage = await startDeliver({
    config: makeConfig({ name: 'test.toml', text: options.toml ?? '' }, { SEAWALL_SOAP_PORT: '0' }),
    runtime: options.runtime ?? nodeRuntime,
    reader: options.log ?? filledLog(10),
    openJournal: openerOf(store),
    log: options.logger ?? silent,
    version: '0.0.0-test',
    acksPending: async () => 7,
    ...(options.parseMail && { parseMail: options.parseMail }),
  });
  t.after(() => stage.stop());
  const { port = 0 } = stage.address ?? {};
  return { stage, url: `http://127.0.0.1:${port}/soap`, port, store };
}

export const envelope = (body: string, header = ''): string =>
  `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">${header}<s:Body>${body}</s:Body></s:Envelope>`;

export const operation = (name: string, inner = ''): string =>
  `<w:${name} xmlns:w="urn:seawall:registry:1" xmlns="urn:seawall:registry:1">${inner}</w:${name}>`;

/** Posts a text, or bytes, as they are. */
export async function post(url: string, body: string | Buffer, headers: Record<string, string> = {}) {
  const response = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'text/xml', ...headers } });
  const text = await response.text();
  return { status: response.status, type: response.headers.get('content-type'), text, code: valueOf(text, 'code') };
}

/** Calls an operation with its arguments in the order given. */
export function call(url: string, name: string, args: Record<string, string | number> = {}) {
  const inner = Object.entries(args).map(([key, value]) => `<${key}>${value}</${key}>`);
  return post(url, envelope(operation(name, inner.join(''))));
}

/** Every text of an element of that name, in order. */
export function valuesOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, value = '']) => value);
}

export function valueOf(xml: string, name: string): string | undefined {
  return valuesOf(xml, name)[0];
}
