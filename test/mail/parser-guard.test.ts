// A mail that its parser does not come to the end of: the thread is ended, the mail set aside, and nobody else notices.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { pino } from 'pino';
import type { AckEvent } from '../../src/acknowledge/journal/ack-events.ts';
import { AckState } from '../../src/acknowledge/journal/ack-state.ts';
import { MimeParser, NoParserError, PoisonError } from '../../src/mail/mime-parser.ts';
import { ParserGuard } from '../../src/mail/parser-guard.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Clock } from '../../src/ports/runtime.ts';
import { Acknowledging } from '../support/acknowledging.ts';
import { MailSink } from '../support/mail-sink.ts';
import { MemoryLog, request } from '../support/memory.ts';

const { clock } = nodeRuntime;

/** Stands in for the parser: a word in the mail says how it ends. Anything else is read, as the mail's length. */
const script = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    parentPort.on('message', (bytes) => {
      const mail = Buffer.from(bytes).toString();
      if (mail.includes('loops')) for (;;);
      if (mail.includes('grows')) for (const all = []; ; ) all.push({ more: [all.length] });
      if (mail.includes('exits')) process.exit(1);
      if (mail.includes('throws')) throw new Error('no such part');
      if (mail.includes('hesitates')) return;
      parentPort.postMessage(mail.includes('fails') ? null : [String(mail.length)]);
    });
    parentPort.postMessage('ready');
  `)}`,
);

const start = (options: WorkerOptions): Worker => new Worker(script, options);

function readerOf(t: TestContext, deadlineMs: number, on: Clock = clock): MimeParser {
  const reader = new MimeParser({ clock: on, deadlineMs, start });
  t.after(() => reader.close());
  return reader;
}

for (const [word, reason] of Object.entries({
  loops: /not read within 1 s/,
  hesitates: /not read within 1 s/,
  grows: /died: .*memory/,
  exits: /ended/,
  throws: /died: no such part/,
})) {
  test(`a parser that ${word} is ended, and the next mail has another`, async (t) => {
    // What dies of itself has all the time that it wants: a full heap takes a while to fill.
    const reader = readerOf(t, reason.source.includes('within') ? 1_000 : 60_000);
    const before = reader.read(Buffer.from('four'));
    const poisoned = assert.rejects(reader.read(Buffer.from(word)), (error: unknown) => {
      assert.ok(error instanceof PoisonError);
      assert.match(error.message, reason);
      return true;
    });
    // They wait in line behind it, and are none the worse.
    const after = [reader.read(Buffer.from('fifth')), reader.read(Buffer.from('it fails'))];
    assert.deepEqual(await before, ['4']);
    await poisoned;
    assert.deepEqual(await Promise.all(after), [['5'], undefined]);
  });
}

test('what is parsed does not stop the process that waits for it', async (t) => {
  const reader = readerOf(t, 1_000);
  let turns = 0;
  let ended = false;
  const turn = (): void => {
    turns++;
    if (!ended) setImmediate(turn);
  };
  turn();
  await assert.rejects(reader.read(Buffer.from('loops')), PoisonError);
  ended = true;
  assert.ok(turns > 100, `${turns} turns of the event loop`);
});

test('a process that stood still for an hour has lost a step of the deadline, not all of it', async (t) => {
  const due: (() => void)[] = [];
  const stopped: Clock = {
    ...clock,
    after: (_ms, then) => {
      due.push(then);
      return { cancel: () => void due.splice(due.indexOf(then), 1) };
    },
  };
  const reader = readerOf(t, 3_600_000, stopped);
  await reader.read(Buffer.from('starts'));
  let outcome = 'waits';
  const read = reader.read(Buffer.from('hesitates')).catch((error: Error) => (outcome = error.name));
  while (due.length === 0) await new Promise((resolve) => setImmediate(resolve));
  let fired = 0;
  for (; outcome === 'waits' && fired < 100; fired++) {
    due.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
    if (due.length === 0) await read;
  }
  assert.equal(outcome, 'PoisonError');
  assert.equal(fired, 16);
});

test('closing ends what is read without calling it poison', async () => {
  const reader = new MimeParser({ clock, deadlineMs: 60_000, start });
  await reader.read(Buffer.from('starts'));
  const read = assert.rejects(reader.read(Buffer.from('loops')), NoParserError);
  await new Promise((resolve) => setImmediate(resolve));
  await reader.close();
  await read;
  await assert.rejects(reader.read(Buffer.from('x')), NoParserError);
});

const broken = (): Worker => new Worker('throw new Error("nothing here")', { eval: true });

test('a parser that cannot be started is no mail’s fault', async (t) => {
  const reader = new MimeParser({ clock, deadlineMs: 60_000, start: broken });
  t.after(() => reader.close());
  await assert.rejects(reader.read(Buffer.from('x')), { name: 'NoParserError', message: /nothing here/ });
});

interface Guarded {
  readonly state: AckState;
  readonly notes: AckEvent[];
  readonly errors: Record<string, unknown>[];
  readonly read: (sequence: number, mail: string) => Promise<readonly string[] | undefined>;
}

function guarded(t: TestContext, suspects: number, state = new AckState()): Guarded {
  const notes: AckEvent[] = [];
  const errors: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'error' },
    { write: (line: string) => void errors.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const note = async (event: AckEvent): Promise<void> => {
    notes.push(event);
    state.apply(event);
  };
  const guard = new ParserGuard({ parser: readerOf(t, 60_000), state, note, clock, log, suspects });
  const stored = new MemoryLog();
  const read = (sequence: number, mail: string): Promise<readonly string[] | undefined> => {
    while (stored.stored.length < sequence) stored.add(request('x'));
    return guard.parseOf(stored.stored[sequence - 1]!)(Buffer.from(mail));
  };
  return { state, notes, errors, read };
}

test('poison is told once, by sequence and ticket, and never tried again', async (t) => {
  const { state, notes, errors, read } = guarded(t, 0);
  assert.equal(await read(7, 'exits'), undefined);
  assert.equal(await read(7, 'now harmless'), undefined);
  assert.deepEqual(await read(8, 'four'), ['4']);
  assert.equal(errors.length, 1);
  assert.equal(errors[0]!['sequence'], 7);
  assert.match(String(errors[0]!['ticket']), /^SW-000000007-/);
  assert.deepEqual(
    notes.map(({ type }) => type),
    ['poisoned'],
  );
  assert.equal(state.poisonedCount, 1);
});

test('the first mails after a start are noted before and after they are read, later ones are not', async (t) => {
  const { notes, read } = guarded(t, 2);
  await Promise.all([read(1, 'a'), read(2, 'it fails'), read(3, 'c')]);
  const said = notes.map((each) => ('sequence' in each ? `${each.type} ${each.sequence}` : each.type));
  assert.deepEqual(said.toSorted(), ['read 1', 'read 2', 'reading 1', 'reading 2']);
  assert.ok(said.indexOf('reading 1') < said.indexOf('read 1'));
});

test('a mail that the process dies over is known at the third death, with other mails in between', async (t) => {
  // What is left of a process that died: its notes.
  let left: AckEvent[] = [];
  const next = (): Guarded => {
    const state = new AckState();
    for (const event of left) state.apply(event);
    left = state.snapshot();
    return guarded(t, 10, state);
  };
  for (let death = 1; death <= 3; death++) {
    const life = next();
    assert.deepEqual(await life.read(1, 'a'), ['1']);
    left.push(...life.notes, { type: 'reading', sequence: 2, times: life.state.beganReading(2) + 1 });
  }
  const life = next();
  assert.equal(await life.read(2, 'harmless, but nobody knows'), undefined);
  assert.match(String(life.errors[0]!['reason']), /died 3 times/);
  assert.equal(life.state.isPoisoned(2), true);
});

test('a mail that was read is forgiven the deaths of the process', async (t) => {
  const state = new AckState();
  state.apply({ type: 'reading', sequence: 1, times: 2 });
  const { read } = guarded(t, 1, state);
  assert.deepEqual(await read(1, 'four'), ['4']);
  assert.equal(state.beganReading(1), 0);
});

const inParts = (body: string): string =>
  `Subject: quoted\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${body}\r\n--b--\r\n`;

test('a stage acknowledges a poisonous mail without quoting it, and the others as ever', async (t) => {
  const here = await Acknowledging.open();
  const sink = await MailSink.open();
  t.after(async () => {
    await sink.close();
    await here.close();
  });
  here.log.add(request(inParts('fine')), request(inParts('loops')), request('Subject: quoted\r\n\r\n2a..: a.fr\r\n'));
  here.parser = readerOf(t, 1_000);
  const stage = await here.start({ relays: [sink.url] });
  await here.turnUntil(() => here.replay().counts.sent === 3);
  await stage.stop();
  const texts = sink.taken.map(({ text }) => text);
  assert.equal(texts.length, 3);
  for (const text of texts) assert.equal(text.includes('quoted'), !text.includes('SW-000000002'), text);
  assert.equal(here.linesOf('mail set aside: it is kept, but nothing in it will be read').length, 1);
  assert.equal(here.replay().poisonedCount, 1);
});
