// What operators look at and do about acknowledgements, put together from the spool, the registrar book and the templates as
// they are now. Takes the configuration; works while the daemon runs and when it does not. Writes nothing but retry requests, which
// the acknowledge stage takes from the spool.

import { type AckRow, rowOf, unsettled } from '../acknowledge/journal/ack-list.ts';
import { AckState } from '../acknowledge/journal/ack-state.ts';
import { type RecipientOf, recipientOf } from '../acknowledge/compose/recipient.ts';
import { languagesIn } from '../acknowledge/compose/languages.ts';
import { type Preview, preview, sampleRequest } from '../acknowledge/compose/preview.ts';
import { leaveRetryRequest, retryRequestMax } from '../acknowledge/queue/retry-requests.ts';
import type { Config } from '../config/config.ts';
import { ConfigError, messageOf, UsageError } from '../model/errors.ts';
import { readTransportStatus } from '../acknowledge/transport/transport-status.ts';
import type { Trouble } from '../acknowledge/transport/transport.ts';
import { sleep } from '../lib/async.ts';
import { silent } from '../lib/logger.ts';
import { type Range, toRanges } from '../model/range-set.ts';
import type { StoredRequest } from '../model/request.ts';
import { nodeRuntime } from '../lib/node/runtime.ts';
import type { RequestReader } from '../ports/request-log.ts';
import { openRegistrarBook } from '../config/registrar-book-file.ts';
import { holderOf } from '../spool/fencing/fencing.ts';
import { replayJournal } from '../spool/journal-file.ts';
import { openReader } from '../spool/mailbox/reader.ts';
import { openMailParser } from './spool-views.ts';

const runtime = nodeRuntime;
/** How long a verb waits for the stage to take a retry request. */
const patienceMs = 10_000;
const lookMs = 50;

export class AcksView {
  readonly #config: Config;
  readonly #reader: RequestReader;
  readonly #state: AckState;
  readonly #recipientOf: RecipientOf;
  /** What could not be looked at, in words. */
  readonly note: string | undefined;

  private constructor(config: Config, state: AckState, recipient: RecipientOf, note: string | undefined) {
    this.#config = config;
    this.#reader = openReader(runtime, config.spool.dir);
    this.#state = state;
    this.#recipientOf = recipient;
    this.note = note;
  }

  /** Replays the journal. A book that cannot be used, as when somebody is writing it, is a note and no error. */
  static async open(config: Config): Promise<AcksView> {
    const state = new AckState();
    await replayJournal(runtime.disk, config.spool.dir, 'acknowledge', state);
    let note: string | undefined;
    const inForce = await openRegistrarBook(config.registrars.file, runtime.disk, silent).catch((error: unknown) => {
      if (!(error instanceof ConfigError)) throw error;
      note = `${messageOf(error)} Recipients and languages are shown as without a book.`;
      return undefined;
    });
    return new AcksView(config, state, (request) => recipientOf(request, inForce?.book, config.ack.language), note);
  }

  /** Those that failed for good, are tried again, or wait. */
  unsettled(): AsyncGenerator<AckRow> {
    return unsettled(this.#state, this.#reader, this.#recipientOf);
  }

  /** How many failed for good in all; of the oldest ones only the number is kept. */
  get failed(): number {
    return this.#state.counts.failed;
  }

  /** @throws UsageError when there is no such request */
  async request(sequence: number): Promise<StoredRequest> {
    const [request] = await this.#reader.read(sequence - 1, { count: 1, bytes: 1 });
    if (request) return request;
    throw new UsageError(`There is no request ${sequence}: ${await this.#reader.durable()} have been kept so far.`);
  }

  row(request: StoredRequest): AckRow {
    return rowOf(request, this.#state, this.#recipientOf);
  }

  sample(): StoredRequest {
    return sampleRequest(runtime.clock.now());
  }

  languages(): Promise<string[]> {
    return languagesIn(runtime.disk, this.#config.templates.dir);
  }

  /** @throws ConfigError when the templates cannot be used */
  async preview(request: StoredRequest, language?: string): Promise<Preview> {
    const parseMail = await openMailParser(this.#config, this.#state, silent);
    const parts = { config: this.#config, disk: runtime.disk, parseMail, recipientOf: this.#recipientOf };
    return preview(parts, request, language);
  }

  /** Those that failed for good and whose words are kept, and with `waiting` those that wait for their next try too. */
  troubled(waiting: boolean): number[] {
    const all = [...this.#state.failures, ...(waiting ? this.#state.pending : [])].map(({ sequence }) => sequence);
    return all.toSorted((a, b) => a - b).slice(0, retryRequestMax);
  }

  /** How many have not been tried yet. */
  async waiting(): Promise<number> {
    const { sent, skipped, failed } = this.#state.counts;
    return Math.max(0, (await this.#reader.durable()) - sent - skipped - failed - this.#state.pendingCount);
  }

  /** The relays and domains that the stage leaves alone just now; undefined when none runs. */
  async troubles(): Promise<readonly Trouble[] | undefined> {
    return (await readTransportStatus(runtime, this.#config.spool.dir))?.troubles;
  }

  /**
   * Waits until each of these relays and domains has been tried again, or for ten seconds.
   * @returns a line for each: what came of it
   */
  async triedAgain(before: readonly Trouble[]): Promise<string[]> {
    const until = runtime.clock.elapsed() + patienceMs;
    for (;;) {
      const now = (await this.troubles()) ?? [];
      const lines = before.map(({ name, nextTry }) => {
        const still = now.find((trouble) => trouble.name === name);
        if (!still) return `${name}: is back.`;
        if (still.nextTry === nextTry) return undefined;
        return `${name}: tried, and still in trouble: ${still.text}. Next try at ${new Date(still.nextTry).toISOString()}.`;
      });
      if (!lines.includes(undefined) || runtime.clock.elapsed() > until)
        return lines.map((line, at) => line ?? `${before[at]?.name}: no answer yet. See seawall status.`);
      await sleep(runtime.clock, lookMs);
    }
  }

  /**
   * Asks the stage for another try, and waits until it has written that down. With no stage running the request stays until
   * one starts.
   * @returns whether it has been written down
   */
  async ask(sequences: readonly number[], resend: boolean): Promise<'taken' | 'left' | 'not taken yet'> {
    const spool = this.#config.spool.dir;
    const ranges: readonly Range[] = toRanges(sequences);
    const path = await leaveRetryRequest(runtime, spool, { at: runtime.clock.now(), ranges, resend });
    const holder = await holderOf(runtime, spool, 'acknowledge');
    if (!holder || holder.state === 'dead') return 'left';
    const until = runtime.clock.elapsed() + patienceMs;
    while ((await runtime.disk.sizeOf(path)) !== undefined) {
      if (runtime.clock.elapsed() > until) return 'not taken yet';
      await sleep(runtime.clock, lookMs);
    }
    return 'taken';
  }

  close(): Promise<void> {
    return this.#reader.close();
  }
}
