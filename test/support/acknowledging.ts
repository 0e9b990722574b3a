// An acknowledge stage with everything around it that a test holds in its hands: log, journal, clock, log lines, spool.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { AckEvent } from '../../src/acknowledge/journal/ack-events.ts';
import { AckState } from '../../src/acknowledge/journal/ack-state.ts';
import { type MimeParser, stepOf } from '../../src/mail/mime-parser.ts';
import { startAcknowledge } from '../../src/acknowledge/acknowledge.ts';
import { type Config, makeConfig } from '../../src/config/config.ts';
import type { Logger } from '../../src/lib/logger.ts';
import type { Journal, JournalState, OpenJournal } from '../../src/ports/journal.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { RequestReader } from '../../src/ports/request-log.ts';
import type { Disk } from '../../src/ports/runtime.ts';
import type { Stage } from '../../src/ports/stage.ts';
import { MailSink } from './mail-sink.ts';
import { JournalStore, MemoryLog, runtimeWith, settle, TurnedClock } from './memory.ts';

export const templates = join(import.meta.dirname, '..', '..', 'templates');

/** One of the sample mails, with CRLF line ends as it would come over the wire. */
export async function sample(name: string): Promise<Buffer> {
  const file = join(import.meta.dirname, '..', 'fixtures', 'requests', `${name}.eml`);
  return Buffer.from((await readFile(file, 'latin1')).replace(/\r?\n/g, '\r\n'), 'latin1');
}

/** A configuration from TOML tables, with the templates of the repository. */
export function configOf(tables: Record<string, Record<string, unknown>>): Config {
  const all = { templates: { dir: templates }, ...tables };
  const text = Object.entries(all).map(
    ([section, table]) =>
      `[${section}]\n${Object.entries(table)
        .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
        .join('')}`,
  );
  return makeConfig({ name: 'test.toml', text: text.join('\n') }, {});
}

export interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Real time after which a test that waits in vain says so. */
const patienceMs = 20_000;
/** How long a mail may take to send, in turned time, unless a test says otherwise. */
const sendSeconds = 3_600;

/** How long a step of the parser's deadline is by default; no other timer is of that length. */
const parseStepMs = stepOf(5_000);

/** Knows whether something real is under way (a mail is being parsed or sent) by the time limit that stands over it. */
class WatchedClock extends TurnedClock {
  #limits = new Set<object>();

  override after(ms: number, run: () => void): { cancel(): void } {
    const limit = {};
    if (ms === parseStepMs || ms === sendSeconds * 1000) this.#limits.add(limit);
    const timer = super.after(ms, () => {
      this.#limits.delete(limit);
      run();
    });
    return {
      cancel: () => {
        this.#limits.delete(limit);
        timer.cancel();
      },
    };
  }

  get busy(): boolean {
    return this.#limits.size > 0;
  }
}

export class Acknowledging {
  readonly log = new MemoryLog();
  readonly store = new JournalStore<AckEvent>();
  readonly clock = new WatchedClock();
  readonly lines: Line[] = [];
  /** What stands before the journal: a test can make an append fail, or fail after it was kept. */
  beforeAppend: (count: number) => 'fail' | 'keep and fail' | undefined = () => undefined;
  appends = 0;
  /** A test can set these before it starts the stage. */
  lost: Promise<Error> | undefined;
  disk: Disk = nodeRuntime.disk;
  parser: MimeParser | undefined;
  readonly #folder: string;
  readonly #logger: Logger;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#logger = pino(
      { level: 'trace' },
      { write: (line: string) => void this.lines.push(JSON.parse(line) as Line) },
    );
  }

  static async open(): Promise<Acknowledging> {
    return new Acknowledging(await mkdtemp(join(tmpdir(), 'seawall-ack-')));
  }

  get spool(): string {
    return this.#folder;
  }

  /** Starts the stage. Without a book, unless a test says otherwise, everybody is answered in full and at any rate. */
  start(ack: Record<string, unknown>, reader: RequestReader = this.log, book = ''): Promise<Stage> {
    const config = configOf({
      ack: { send_seconds: sendSeconds, unverified_per_minute: 0, unverified_short: false, ...ack },
      spool: { dir: this.#folder },
      registrars: { file: book },
    });
    const openJournal = (async (_name: string, state: JournalState<AckEvent>) =>
      this.#watched(this.store.open(state))) as unknown as OpenJournal;
    const runtime = { ...runtimeWith(this.clock), disk: this.disk };
    return startAcknowledge({
      config,
      runtime,
      reader,
      openJournal,
      log: this.#logger,
      ...(this.parser && { parser: this.parser }),
    });
  }

  /** Lets time pass in steps until the condition holds; it stands still while mails are parsed and sent. */
  async turnUntil(condition: () => boolean, stepMs = 50): Promise<void> {
    const began = performance.now();
    while (!condition()) {
      if (performance.now() - began > patienceMs) throw new Error(`it did not come true: ${condition.toString()}`);
      await (this.clock.busy ? settle() : this.clock.turn(stepMs));
    }
  }

  /** Lets an amount of time pass in steps; it stands still while mails are parsed and sent. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    while (this.clock.now() < until) {
      if (this.clock.busy) await settle();
      else await this.clock.turn(Math.min(ms / 50, until - this.clock.now()));
    }
  }

  /** What another process would read from the journal now. */
  replay(): AckState {
    const state = new AckState();
    for (const event of this.store.events) state.apply(event);
    return state;
  }

  linesOf(msg: string): Line[] {
    return this.lines.filter((line) => line.msg === msg);
  }

  async close(): Promise<void> {
    // A stage that is stopped after its folder is gone may write a last word into it meanwhile.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #watched(journal: Journal<AckEvent>): Journal<AckEvent> {
    return {
      ...journal,
      lost: this.lost ?? journal.lost,
      append: async (events) => {
        const verdict = this.beforeAppend(++this.appends);
        if (verdict !== 'fail') await journal.append(events);
        if (verdict !== undefined) throw new Error('EIO: the journal could not be written');
      },
    };
  }
}

/** An acknowledge stage and a mail sink, both gone when the test is over. */
export async function openWithSink(t: TestContext): Promise<{ here: Acknowledging; sink: MailSink }> {
  const here = await Acknowledging.open();
  const sink = await MailSink.open();
  t.after(async () => {
    await sink.close();
    await here.close();
  });
  return { here, sink };
}
