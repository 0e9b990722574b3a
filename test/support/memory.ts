// Fakes of the ports for tests of one stage: a log and a journal in memory, and a clock that the test turns.

import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { NewRequest, StoredRequest } from '../../src/model/request.ts';
import { ticketOf } from '../../src/model/ticket.ts';
import type { Journal, JournalState } from '../../src/ports/journal.ts';
import type { ReadLimit, RequestReader } from '../../src/ports/request-log.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import type { Clock, Ids, Runtime } from '../../src/ports/runtime.ts';

/** A clock that stands still until `turn` is called; timers fire in order of their time. */
export class TurnedClock implements Clock {
  #now: number;
  #timers: { at: number; run: () => void }[] = [];
  #ahead = 0;

  constructor(now = Date.UTC(2026, 10, 21, 9, 0, 0)) {
    this.#now = now;
  }

  now(): number {
    return this.#now + this.#ahead;
  }

  elapsed(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): { cancel(): void } {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  /** Sets the wall clock forward or back; no time passes. */
  jump(ms: number): void {
    this.#ahead += ms;
  }

  /** Lets `ms` pass, with everything that falls due on the way, and lets what that started run. */
  async turn(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= until).toSorted((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await settle();
    }
    this.#now = until;
    await settle();
  }
}

/** Lets promises and immediates that are ready run. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
}

export const realIds: Ids = { uuid: () => randomUUID(), randomBytes: (count) => randomBytes(count) };

/** The real machine with a clock that the test turns. */
export function runtimeWith(clock: Clock): Runtime {
  return { ...nodeRuntime, clock };
}

/** When the requests of `request` were received, milliseconds since 1970 UTC. */
const receivedAt = Date.UTC(2026, 10, 21, 9, 0, 0, 123);

/** The real machine with its real timers, on the day of the requests: what is measured from their receipt does not depend on today. */
export const runtimeOnTheDay: Runtime = runtimeWith({ ...nodeRuntime.clock, now: () => receivedAt });

/** A request with whatever the test does not care about filled in. */
export function request(message: string | Buffer, fields: Partial<NewRequest> = {}): NewRequest {
  return {
    id: randomUUID(),
    receivedAt,
    envelope: { from: 'ops@registres.example', to: ['domain@registry.example'] },
    client: { address: '192.0.2.7', port: 4711, helo: 'mail.registres.example', protocol: 'ESMTP', session: 's1' },
    message: typeof message === 'string' ? Buffer.from(message, 'latin1') : message,
    ...fields,
  };
}

/** A log in memory. `add` is what a writer would do; everything added is durable at once. */
export class MemoryLog implements RequestReader {
  readonly stored: StoredRequest[] = [];
  #waiting = new Set<() => void>();

  add(...requests: NewRequest[]): void {
    for (const each of requests) {
      const sequence = this.stored.length + 1;
      const sha256 = createHash('sha256').update(each.message).digest('hex');
      const chain = createHash('sha256')
        .update(`${this.stored.at(-1)?.chain ?? ''}${sha256}`)
        .digest('hex');
      this.stored.push({ ...each, sequence, ticket: ticketOf(sequence), size: each.message.length, sha256, chain });
    }
    for (const wake of this.#waiting) wake();
  }

  async durable(): Promise<number> {
    return this.stored.length;
  }

  async read(after: number, limit: ReadLimit, signal?: AbortSignal): Promise<StoredRequest[]> {
    while (signal && !signal.aborted && this.stored.length <= after) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
    const batch: StoredRequest[] = [];
    let bytes = 0;
    for (const each of this.stored.slice(after, after + limit.count)) {
      if (batch.length > 0 && bytes + each.size > limit.bytes) break;
      bytes += each.size;
      batch.push(each);
    }
    return batch;
  }

  async logId(): Promise<string> {
    return 'memory';
  }

  async close(): Promise<void> {
    for (const wake of this.#waiting) wake();
  }
}

/** What is left of a journal when its holder dies: hand it to the next one. */
export class JournalStore<Event> {
  readonly events: Event[] = [];
  #epoch = 0;
  /** Set it to make the next append fail, as a disk would. */
  failure: Error | undefined;

  /** Opens it as the next holder would: replays what is there. Events go through JSON, as on a disk. */
  open(state: JournalState<Event>): Journal<Event> {
    for (const event of this.events) state.apply(event);
    this.#epoch++;
    return {
      epoch: `${this.#epoch}-test`,
      lost: new Promise<Error>(() => undefined),
      append: async (events) => {
        if (this.failure) throw this.failure;
        const written = events.map((event) => JSON.parse(JSON.stringify(event)) as Event);
        this.events.push(...written);
        await settle();
        for (const event of written) state.apply(event);
      },
      close: async () => undefined,
    };
  }
}
