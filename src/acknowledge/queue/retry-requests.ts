// An operator's request that acknowledgements are tried again, and its way to the stage: a small file in the folder `wishes` of
// the spool. The journal has one holder, so whoever else wants something of it says so here. The stage takes each file, puts
// the request into the journal and only then removes the file: a request outlives a stage that does not run, and one that a
// crash cut off is granted twice, so that the same message may be tried once more. A file that is none is logged and removed.

import { join } from 'node:path';
import { messageOf } from '../../model/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import { fromRanges, type Range } from '../../model/range-set.ts';
import type { AckEvent } from '../journal/ack-events.ts';
import type { AckState } from '../journal/ack-state.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk, Runtime, Timer } from '../../ports/runtime.ts';

/** What an operator wants. */
export interface RetryRequest {
  /** Milliseconds since 1970 UTC. */
  readonly at: number;
  readonly ranges: readonly Range[];
  /** Also those that are acknowledged already. */
  readonly resend: boolean;
}

/** The most acknowledgements in one request: as many as there are failures kept. */
export const retryRequestMax = 10_000;
/** A watch may miss a change: so often the folder is looked at anyway. */
const lookMs = 5_000;

const folderOf = (spool: string): string => join(spool, 'wishes');

/** Leaves a request for the stage. @returns its file, which is gone once the request is in the journal */
export async function leaveRetryRequest({ disk, ids }: Runtime, spool: string, request: RetryRequest): Promise<string> {
  const folder = folderOf(spool);
  await disk.makeFolder(folder);
  // The names keep them in their order.
  const path = join(folder, `${String(request.at).padStart(15, '0')}-${ids.uuid()}`);
  const file = await disk.open(`${path}.new`, 'create');
  try {
    await file.write(Buffer.from(`${JSON.stringify(request)}\n`), 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.new`, `${path}.wish`);
  await disk.syncFolder(folder);
  return `${path}.wish`;
}

/** @throws Error in words when it is none */
function parseRequest(text: string): RetryRequest {
  const request = JSON.parse(text) as Partial<RetryRequest>;
  const { at, ranges, resend } = request;
  if (typeof at !== 'number' || typeof resend !== 'boolean' || !Array.isArray(ranges))
    throw new Error('not a request to try again');
  let count = 0;
  for (const range of ranges as unknown[]) {
    const [from, to]: unknown[] = Array.isArray(range) ? range : [];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || Number(from) < 1 || Number(to) < Number(from))
      throw new Error('not ranges of requests');
    count += Number(to) - Number(from) + 1;
  }
  if (count > retryRequestMax) throw new Error(`more than ${retryRequestMax} requests`);
  return { at, ranges, resend };
}

/** Takes requests from the folder as long as it is not stopped. */
export class RetryRequests {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #runtime: Pick<Runtime, 'clock'>;
  readonly #grant: (request: RetryRequest) => Promise<void>;
  readonly #log: Logger;
  #watch: { close(): void } | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  /** @param parts `grant` resolves when the request is in the journal */
  constructor(parts: {
    runtime: Runtime;
    spool: string;
    grant: (request: RetryRequest) => Promise<void>;
    log: Logger;
  }) {
    this.#disk = parts.runtime.disk;
    this.#runtime = parts.runtime;
    this.#folder = folderOf(parts.spool);
    this.#grant = parts.grant;
    this.#log = parts.log;
  }

  /** Begins, with what was left while nobody looked. */
  async start(): Promise<void> {
    await this.#disk.makeFolder(this.#folder);
    this.#watch = this.#disk.watch(this.#folder, () => this.#look());
    this.#look();
  }

  /** Takes nothing more. Resolves when the one under way is granted or given up. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch?.close();
    this.#timer?.cancel();
    await this.#looking;
  }

  #look(): void {
    this.#again = true;
    this.#looking ??= this.#takeAll().finally(() => (this.#looking = undefined));
  }

  async #takeAll(): Promise<void> {
    this.#timer?.cancel();
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        const names = await this.#disk.list(this.#folder);
        for (const name of names.toSorted()) if (name.endsWith('.wish')) await this.#take(join(this.#folder, name));
      } catch (error) {
        if (!this.#stopped)
          this.#log.warn({ reason: messageOf(error) }, 'the requests of operators cannot be looked at');
      }
    }
    if (!this.#stopped) this.#timer = this.#runtime.clock.after(lookMs, () => this.#look());
  }

  async #take(path: string): Promise<void> {
    if (this.#stopped) return;
    let request: RetryRequest | undefined;
    try {
      request = parseRequest((await this.#disk.readFile(path)).toString('utf8'));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      this.#log.error({ path, reason: messageOf(error) }, 'not a request that can be granted: removed');
    }
    if (request) await this.#grant(request);
    await this.#disk.remove(path);
  }
}

/** Events in one line of the journal. */
const eventsAtOnce = 500;

/**
 * Grants a request: writes an `again` event for each acknowledgement that is tried again. Those never tried come by themselves.
 * @returns which are tried again, and how many are not: under way, settled otherwise, or more than can be open at once
 */
export async function grantRetry(
  request: RetryRequest,
  state: AckState,
  now: number,
  write: (...events: readonly AckEvent[]) => Promise<void>,
): Promise<{ granted: readonly number[]; ignored: number }> {
  const wanted = fromRanges(request.ranges);
  let room = retryRequestMax - state.reopenedCount;
  const events: Extract<AckEvent, { type: 'again' }>[] = [];
  for (const sequence of wanted) {
    const how = state.stateOf(sequence);
    const before = state.retryOf(sequence) ?? state.failureOf(sequence);
    const wait = how === 'retrying';
    if (!wait && (room <= 0 || (how !== 'failed' && !(request.resend && how === 'acknowledged')))) continue;
    if (!wait) room--;
    events.push({
      type: 'again',
      sequence,
      attempts: before?.attempts ?? 0,
      nextAt: now,
      code: before?.code ?? 0,
      text: before?.text ?? '',
      askedAt: now,
    });
  }
  for (let start = 0; start < events.length; start += eventsAtOnce) {
    await write(...events.slice(start, start + eventsAtOnce));
  }
  return { granted: events.map(({ sequence }) => sequence), ignored: wanted.length - events.length };
}
