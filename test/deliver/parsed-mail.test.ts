// What the registry is told of what a mail asks for: a view behind the record, which never keeps a request from it.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { mailParser } from '../../src/mail/parse-mail.ts';
import { type ParseMail, unparsedMail } from '../../src/model/parsed-mail.ts';
import { readViews } from '../../src/deliver/soap/delivered-request.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import { sample } from '../support/acknowledging.ts';
import { call, nobody, openLeases, openStage, valueOf, valuesOf } from '../support/deliver.ts';
import { MemoryLog, request, settle } from '../support/memory.ts';
import { parse } from '../support/parse.ts';

/** A reader remembers by sequence: each log has its own. */
const reader = () => mailParser(65_536, () => parse);

async function logOf(...names: string[]): Promise<MemoryLog> {
  const log = new MemoryLog();
  for (const name of names) log.add(request(await sample(name)));
  return log;
}

const inEach = (xml: string): string[] => xml.match(/<request>.*?<\/request>/gs) ?? [];

test('Fetch, Replay and GetRequest tell names, operation and reference, behind the message', async (t) => {
  const log = await logOf('afnic-create', 'automaton-three-requests', 'rri-create', 'free-text', 'hostile-subject');
  const { url } = await openStage(t, { log, parseMail: reader() });
  const fetched = await call(url, 'Fetch', { clientId: 'r', attemptId: '1', max: 9 });
  const told = inEach(fetched.text).map((xml) => [
    ...valuesOf(xml, 'names'),
    valueOf(xml, 'operation'),
    valueOf(xml, 'registrarReference'),
  ]);
  deepEqual(told, [
    ['boulangerie-dupre.fr', 'create', 'TRID-20040511-0001'],
    ['heron.example', 'egret.example', 'bittern.example', undefined, undefined],
    ['xn--mhlenbach-q9a.example', 'create', 'ORD-4711'],
    [undefined, undefined],
    ['create', '${jndi:ldap://x}'],
  ]);
  match(
    inEach(fetched.text)[0] ?? '',
    /<\/message><names>.*<\/names><operation>.*<\/operation><registrarReference>.*<\/registrarReference><\/request>$/,
  );
  ok(!fetched.text.includes('not-for-logs'));
  const replayed = await call(url, 'Replay', { fromSequence: 1, max: 9, purpose: 'test' });
  deepEqual(inEach(replayed.text), inEach(fetched.text));
  const got = await call(url, 'GetRequest', { sequence: 3 });
  equal(valueOf(got.text, 'names'), 'xn--mhlenbach-q9a.example');
});

test('the same attempt gives the same view again', async () => {
  const { fetch } = await openLeases({ log: await logOf('rri-create', 'afnic-create'), parseMail: reader() });
  const first = await fetch('a');
  deepEqual((await fetch('a')).request, first.request);
  deepEqual(first.request[0]?.names, ['xn--mhlenbach-q9a.example']);
});

test('a mail that cannot be read is delivered, without a view', async (t) => {
  const log = new MemoryLog();
  log.add(request(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))), request(''), request('Subject: x'));
  const { url } = await openStage(t, { log, parseMail: reader() });
  const { text } = await call(url, 'Fetch', { clientId: 'r', attemptId: '1', max: 9 });
  deepEqual(valuesOf(text, 'sequence'), ['1', '2', '3']);
  deepEqual(valuesOf(text, 'names'), []);
});

test('the registrar that the intake recognised is told, by what, and that none was', async () => {
  const log = await logOf();
  const client = request('').client;
  log.add(
    request('x', { client: { ...client, registrar: { id: 'tag-7', by: 'network' } } }),
    request('y', { client: { ...client, unverified: true } }),
    request('z'),
  );
  const { fetch } = await openLeases({ log });
  deepEqual(
    (await fetch('a')).request.map(({ registrar, knownBy, unverified }) => [registrar, knownBy, unverified]),
    [
      ['tag-7', 'network', undefined],
      [undefined, undefined, true],
      [undefined, undefined, undefined],
    ],
  );
});

test('whoever hangs up while the mails are read keeps no lease', async () => {
  const caller = new AbortController();
  const { leases, store, fetch } = await openLeases({
    parseMail: async () => {
      caller.abort();
      return unparsedMail;
    },
  });
  const input = { clientId: 'registry', attemptId: '1', max: 3 };
  await leases.fetch(input, { owner: '', signal: caller.signal });
  deepEqual(
    store.events.map(({ type }) => type).filter((type) => type === 'leased' || type === 'returned'),
    ['leased', 'returned'],
  );
  deepEqual((await fetch('2')).sequences, [1, 2, 3]);
});

test('mails that take for ever hold up no other call, and are delivered in time without their view', async () => {
  const log = await logOf('rri-create', 'afnic-create', 'automaton-three-requests');
  const quick = reader();
  let hostile = false;
  let begun = 0;
  const { leases, clock, fetch, confirm } = await openLeases({
    log,
    parseMail: (each) => (hostile && ++begun > 1 ? new Promise(() => undefined) : quick(each)),
  });
  const first = await fetch('1');
  hostile = true;
  const again = fetch('1');
  await settle();
  const { leaseExpires } = await leases.extend({ leaseToken: first.token, leaseMs: 60_000 }, nobody);
  equal(leaseExpires, clock.now() + 60_000);
  equal((await confirm(first.token, 1)).confirmedThrough, 1);
  await clock.turn(2_000);
  const { request: given } = await again;
  deepEqual(
    given.map(({ sequence, names }) => [sequence, names.length]),
    [
      [1, 1],
      [2, 0],
      [3, 0],
    ],
  );
  equal(begun, 2, 'past the time nothing more is begun');
});

test('a retry that was given the batch keeps its lease, although the first call hung up while the mails were read', async () => {
  const waiting: (() => void)[] = [];
  let held = true;
  const { leases, store, fetch, confirm } = await openLeases({
    parseMail: () => (held ? new Promise((go) => waiting.push(() => go(unparsedMail))) : Promise.resolve(unparsedMail)),
  });
  const caller = new AbortController();
  const first = leases.fetch({ clientId: 'registry', attemptId: '1', max: 3 }, { owner: '', signal: caller.signal });
  await settle();
  caller.abort();
  held = false;
  const again = await fetch('1');
  deepEqual(again.sequences, [1, 2, 3]);
  for (const go of waiting) go();
  await first;
  equal((await confirm(again.token, 3)).confirmedThrough, 3);
  ok(!store.events.some(({ type }) => type === 'returned'));
});

test('mails that are read on the main thread are bounded by time too, and others get their turn in between', async () => {
  let elapsed = 0;
  let turns = 0;
  const clock: Clock = {
    now: () => 0,
    elapsed: () => elapsed,
    // As real timers: none of them runs before the thread is given up.
    after(ms, run) {
      if (ms === 0) setImmediate(() => (turns++, run()));
      return { cancel: () => undefined };
    },
  };
  const log = await logOf(...Array<string>(20).fill('rri-create'));
  const quick = reader();
  const slow: ParseMail = (each) => {
    elapsed += 300;
    return quick(each);
  };
  const views = await readViews(log.stored, slow, clock);
  equal(views.length, 20);
  equal(views.filter(({ parsed }) => parsed !== unparsedMail).length, 7, 'two seconds, and the mail that was begun');
  ok(turns >= 6, `others got ${turns} turns`);
});
