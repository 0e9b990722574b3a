// Which requests a Fetch gets. `strict`: the head of the queue, and nothing overtakes anything. `by-name`: what stands
// earliest for each domain name, so that several leases can be out, yet never two requests for one name at a time.
// Takes the queue and what is leased, gives requests in the order of the queue; throws what the reader throws. The decision needs
// no mail: the names of requests are read before it, outside the lease service's critical section, and remembered.

import type { StoredRequest } from '../../model/request.ts';
import type { ReadLimit, RequestReader } from '../../ports/request-log.ts';
import { readAll, takeFromLine } from './queue-reader.ts';
import type { Range } from '../../model/range-set.ts';

/** What a decision looks at. */
interface Situation {
  /** What is neither confirmed nor parked, in order. */
  readonly line: Iterable<Range>;
  /** What live leases hold. */
  readonly held: ReadonlySet<number>;
  /** What was given back with a delay that is not over. */
  readonly delayed: ReadonlySet<number>;
}

/** What a Fetch gets; `unread`: what could be added to it if the names of these were known, in order. */
interface Choice {
  readonly requests: readonly StoredRequest[];
  readonly unread: readonly number[];
}

export interface FetchPolicy {
  choose(situation: Situation, limit: ReadLimit): Promise<Choice>;
  /** Reads the names of requests, until it is told to stop: at least of one. */
  learn(sequences: readonly number[], enough: () => boolean): Promise<void>;
}

/**
 * The domain names that a request asks for, each in one spelling. Undefined when its mail could not be read: it may ask for
 * any name. Whether a mail can be read depends on the load of the machine, and the order must not.
 */
export type NamesOf = (request: StoredRequest) => NamesRead | Promise<NamesRead>;
type NamesRead = readonly string[] | undefined;

function* untilFirst(line: Iterable<Range>, delayed: ReadonlySet<number>): Generator<Range> {
  for (const [first, last] of line) {
    let stop = last + 1;
    for (const sequence of delayed) if (sequence >= first && sequence < stop) stop = sequence;
    if (stop > first) yield [first, stop - 1];
    if (stop <= last) return;
  }
}

/** The head of the queue. A delayed request holds up everything behind it. */
export function strictPolicy(reader: RequestReader): FetchPolicy {
  return {
    choose: async ({ line, delayed }, limit) => ({
      requests: await takeFromLine(reader, untilFirst(line, delayed), limit),
      unread: [],
    }),
    learn: () => Promise.resolve(),
  };
}

/** How many requests a by-name Fetch looks at, past those that it may not take; and how many names in all. */
const lookAhead = { count: 10_000, names: 200_000 };
/** How many names are read before the decision is tried again. */
const learnAtOnce = 100;
/** The most bytes of mails in one read of the log. */
const learnBytes = 1_048_576;
/** The most that is remembered: twice what one Fetch looks at. */
const remembered = { count: 2 * lookAhead.count, names: 2 * lookAhead.names };
/** Requests without a recognised name go by this one; no name is empty. */
const unnamed = '';

interface Known {
  readonly names: NamesRead;
  readonly size: number;
}

/** The names of requests, by sequence number: a record never changes. The longest unused are forgotten. */
class NameMemory {
  readonly #known = new Map<number, Known>();
  #names = 0;

  get(sequence: number): Known | undefined {
    const known = this.#known.get(sequence);
    if (known && this.#known.delete(sequence)) this.#known.set(sequence, known);
    return known;
  }

  set(sequence: number, known: Known): void {
    this.#drop(sequence);
    this.#known.set(sequence, known);
    this.#names += known.names?.length ?? 0;
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= remembered.count && this.#names <= remembered.names) break;
      if (oldest !== sequence) this.#drop(oldest);
    }
  }

  #drop(sequence: number): void {
    this.#names -= this.#known.get(sequence)?.names?.length ?? 0;
    this.#known.delete(sequence);
  }
}

function* unheld({ line, held }: Situation): Generator<number> {
  for (const [first, last] of line) {
    for (let sequence = first; sequence <= last; sequence++) if (!held.has(sequence)) yield sequence;
  }
}

/**
 * The earliest of each name. Requests without a name share one, but may be together in one lease, in order. One whose names
 * are not known is leased alone, when nothing before it waits or is leased, and nothing overtakes it.
 */
export function byNamePolicy(reader: RequestReader, namesOf: NamesOf): FetchPolicy {
  const memory = new NameMemory();

  /** What may be taken; pure but for the order in which names are forgotten. */
  function decide(situation: Situation, limit: ReadLimit): { taken: number[]; unread: number[] } {
    const blocked = new Set<string>();
    const leased = [...situation.held].map((sequence) => ({ sequence, known: memory.get(sequence) }));
    const forgotten = leased.filter(({ known }) => !known).map(({ sequence }) => sequence);
    if (forgotten.length > 0) return { taken: [], unread: forgotten };
    if (leased.some(({ known }) => !known?.names)) return { taken: [], unread: [] };
    for (const { known } of leased) for (const name of known?.names ?? []) blocked.add(name);

    const taken: number[] = [];
    const unread: number[] = [];
    let { bytes } = limit;
    let looked = 0;
    for (const sequence of unheld(situation)) {
      if (taken.length === limit.count || ++looked > lookAhead.count || blocked.size > lookAhead.names) break;
      const known = unread.length === 0 ? memory.get(sequence) : undefined;
      if (!known) {
        // Nothing behind it can be decided yet; what follows is read with it.
        if (unread.push(sequence) === learnAtOnce) break;
        continue;
      }
      const { names, size } = known;
      if (!names) {
        if (looked === 1 && leased.length === 0 && !situation.delayed.has(sequence)) taken.push(sequence);
        break;
      }
      const free = !situation.delayed.has(sequence) && !names.some((name) => blocked.has(name));
      if (free && taken.length > 0 && size > bytes) break;
      if (free) {
        taken.push(sequence);
        bytes -= size;
      }
      // Whatever stands behind it with the same name waits, whether this one was taken or not.
      for (const name of names) if (!free || name !== unnamed) blocked.add(name);
    }
    return { taken, unread };
  }

  return {
    async choose(situation, limit) {
      const { taken, unread } = decide(situation, limit);
      return { requests: await readAll(reader, taken), unread };
    },
    async learn(sequences, enough) {
      for (let at = 0; at < sequences.length;) {
        const [first = 0, ...others] = sequences.slice(at);
        const near = others.findIndex((each, index) => each !== first + index + 1);
        const run = near < 0 ? sequences.length - at : near + 1;
        const read = await takeFromLine(reader, [[first, first + run - 1]], { count: run, bytes: learnBytes });
        for (const request of read) {
          const names = await namesOf(request);
          memory.set(request.sequence, { names: names?.length === 0 ? [unnamed] : names, size: request.size });
          at++;
          if (enough()) return;
        }
      }
    },
  };
}
