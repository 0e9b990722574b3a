// What the acknowledgement journal says, replayed: which requests are settled and how, which wait for another try.
// Takes events, gives answers and the fewest events that would rebuild it. Pure; applying an event twice changes nothing, so a
// snapshot may hold what is appended behind it.
// Bounded: a settled request costs nothing but its place in a range. Of failures for good the newest 10,000 keep code
// and text, of the older ones only the range and the count are kept. Where skipped and failed requests are scattered
// over more than 10,000 ranges, the oldest are forgotten too, and `stateOf` says `settled` about that part of the log.

import type { JournalState } from '../../ports/journal.ts';
import { fromRanges, type Range, RangeSet } from '../../model/range-set.ts';
import type { AckEvent, AckStateName, Digest, Ending, Failure, SnapshotSet, Retry } from './ack-events.ts';

const failuresKept = 10_000;
const rangesKept = 10_000;
/** Ranges in one event of a snapshot, so that no line of a journal grows long. */
const rangesInEvent = 500;

export class AckState implements JournalState<AckEvent> {
  #logId: string | undefined;
  #settledThrough = 0;
  #forgottenThrough = 0;
  #counts: Record<Ending, number> = { sent: 0, skipped: 0, failed: 0 };
  /** Settled out of order: never next to settledThrough. As many ranges as there are unsettled requests below them. */
  readonly #above = new RangeSet();
  readonly #skipped = new RangeSet();
  readonly #failed = new RangeSet();
  readonly #failures = new Map<number, Failure>();
  /** Among them those that were settled before: their places stay settled, only how they end is open again. */
  readonly #retries = new Map<number, Retry>();
  readonly #poisoned = new RangeSet();
  #poisonedCount = 0;
  /** Begun and not ended: at most one for each time that the process died, beside the one under way. */
  readonly #reading = new Map<number, number>();
  #reopened = 0;
  /** Digests that are not settled, by the first of their requests; and the digest of each request that waits for one. */
  readonly #digests = new Map<number, Digest>();
  readonly #inDigest = new Map<number, Digest>();

  /** The log that the journal belongs to; undefined before the first event. */
  get logId(): string | undefined {
    return this.#logId;
  }

  /** Every request up to this sequence is settled. */
  get settledThrough(): number {
    return this.#settledThrough;
  }

  /** The highest sequence that is settled or has been tried. */
  get seenThrough(): number {
    let highest = this.#above.ranges.at(-1)?.[1] ?? this.#settledThrough;
    for (const sequence of this.#retries.keys()) highest = Math.max(highest, sequence);
    return highest;
  }

  /** How many requests ended how, over the whole life of the log. */
  get counts(): Readonly<Record<Ending, number>> {
    return this.#counts;
  }

  /** Those that wait for another try. */
  get pending(): readonly Retry[] {
    return [...this.#retries.values()];
  }

  get pendingCount(): number {
    return this.#retries.size;
  }

  /** How many of those that wait were settled before. */
  get reopenedCount(): number {
    return this.#reopened;
  }

  /** The newest failures for good, oldest first. */
  get failures(): readonly Failure[] {
    return [...this.#failures.values()];
  }

  retryOf(sequence: number): Retry | undefined {
    return this.#retries.get(sequence);
  }

  failureOf(sequence: number): Failure | undefined {
    return this.#failures.get(sequence);
  }

  /** How many mails have been set aside because no parser came to an end with them. */
  get poisonedCount(): number {
    return this.#poisonedCount;
  }

  isPoisoned(sequence: number): boolean {
    return this.#poisoned.has(sequence);
  }

  /** How many times reading it was begun and not ended. */
  beganReading(sequence: number): number {
    return this.#reading.get(sequence) ?? 0;
  }

  /** The digest that a request is to be acknowledged in, if there is one. */
  digestOf(sequence: number): Digest | undefined {
    const digest = this.#inDigest.get(sequence);
    return digest && this.#digests.get(digest.head);
  }

  isSettled(sequence: number): boolean {
    return sequence <= this.#settledThrough || this.#above.has(sequence);
  }

  /** The highest sequence such that all from `after` up to it are settled: where a reader goes on. */
  settledFrom(after: number): number {
    const from = Math.max(after, this.#settledThrough);
    return this.#above.endOf(from + 1) ?? from;
  }

  stateOf(sequence: number): AckStateName {
    if (this.#retries.has(sequence)) return 'retrying';
    if (!this.isSettled(sequence)) return 'waiting';
    if (this.#failed.has(sequence)) return 'failed';
    if (this.#skipped.has(sequence)) return 'none due';
    return sequence <= this.#forgottenThrough ? 'settled' : 'acknowledged';
  }

  apply(event: AckEvent): void {
    switch (event.type) {
      case 'log':
        this.#logId = event.id;
        return;
      case 'sent':
      case 'skipped':
        for (const [from, to] of event.ranges) {
          for (let sequence = from; sequence <= to; sequence++) this.#settle(sequence, event.type);
        }
        return;
      case 'failed':
        if (this.#settle(event.sequence, 'failed')) this.#keepFailure(event);
        return;
      case 'retry':
        if (!this.isSettled(event.sequence) || this.#retries.has(event.sequence))
          this.#retries.set(event.sequence, withoutType(event));
        return;
      case 'again':
        this.#again(event);
        return;
      case 'digest':
        this.#takeDigest(event);
        return;
      case 'reading':
        if (!this.isSettled(event.sequence)) this.#reading.set(event.sequence, event.times);
        return;
      case 'read':
        this.#reading.delete(event.sequence);
        return;
      case 'poisoned':
        this.#poison(event.sequence);
        return;
      case 'base':
        this.#restart(event);
        return;
      case 'kept':
        for (const [from, to] of event.ranges) this.#setOf(event.set).add(from, to);
        return;
      case 'failure':
        this.#keepFailure(event);
        return;
      case 'reopened':
        this.#reopen(event);
        return;
    }
  }

  snapshot(): AckEvent[] {
    const events: AckEvent[] = [
      {
        type: 'base',
        settledThrough: this.#settledThrough,
        counts: { ...this.#counts },
        forgottenThrough: this.#forgottenThrough,
        poisoned: this.#poisonedCount,
      },
    ];
    if (this.#logId !== undefined) events.push({ type: 'log', id: this.#logId });
    for (const set of ['above', 'skipped', 'failed', 'poisoned'] as const) {
      const { ranges } = this.#setOf(set);
      for (let start = 0; start < ranges.length; start += rangesInEvent) {
        const some = ranges.slice(start, start + rangesInEvent).map(([from, to]): Range => [from, to]);
        events.push({ type: 'kept', set, ranges: some });
      }
    }
    for (const failure of this.#failures.values()) events.push({ type: 'failure', ...failure });
    for (const retry of this.#retries.values()) {
      events.push({ type: this.isSettled(retry.sequence) ? 'reopened' : 'retry', ...retry });
    }
    for (const digest of this.#digests.values()) events.push({ type: 'digest', ...digest });
    for (const [sequence, times] of this.#reading) events.push({ type: 'reading', sequence, times });
    return events;
  }

  #setOf(set: SnapshotSet): RangeSet {
    return { above: this.#above, skipped: this.#skipped, failed: this.#failed, poisoned: this.#poisoned }[set];
  }

  #poison(sequence: number): void {
    this.#reading.delete(sequence);
    if (this.#poisoned.has(sequence)) return;
    this.#poisoned.add(sequence);
    this.#poisonedCount++;
    this.#poisoned.forgetOldest(rangesKept);
  }

  #takeDigest({ head, at, to, ranges }: Digest): void {
    if (this.isSettled(head)) return;
    const digest = { head, at, to, ranges };
    this.#digests.set(head, digest);
    for (const sequence of fromRanges(ranges)) if (!this.isSettled(sequence)) this.#inDigest.set(sequence, digest);
  }

  #again(retry: Retry): void {
    const { sequence } = retry;
    if (!this.#retries.has(sequence)) {
      const endings = { acknowledged: 'sent', 'none due': 'skipped', failed: 'failed' } as const;
      const state = this.stateOf(sequence);
      if (state !== 'acknowledged' && state !== 'none due' && state !== 'failed') return;
      const how = endings[state];
      this.#counts[how]--;
      if (how !== 'sent') this.#setOf(how).remove(sequence);
      this.#failures.delete(sequence);
    }
    this.#reopen(retry);
  }

  #reopen(retry: Retry): void {
    if (!this.#retries.has(retry.sequence)) this.#reopened++;
    this.#retries.set(retry.sequence, withoutType(retry));
  }

  /** Settles one request; false when it was settled before and nobody asked for it again. */
  #settle(sequence: number, how: Ending): boolean {
    const settled = this.isSettled(sequence);
    const waited = this.#retries.delete(sequence);
    this.#reading.delete(sequence);
    this.#digests.delete(sequence);
    this.#inDigest.delete(sequence);
    if (settled && !waited) return false;
    this.#counts[how]++;
    if (how !== 'sent') {
      const set = this.#setOf(how);
      set.add(sequence);
      this.#forgottenThrough = Math.max(this.#forgottenThrough, set.forgetOldest(rangesKept));
    }
    if (settled) {
      this.#reopened--;
      return true;
    }
    if (sequence !== this.#settledThrough + 1) {
      this.#above.add(sequence);
      return true;
    }
    this.#settledThrough = sequence;
    if (this.#above.ranges[0]?.[0] === sequence + 1) this.#settledThrough = this.#above.shift()?.[1] ?? sequence;
    return true;
  }

  #keepFailure(failure: Failure): void {
    const { sequence, at, attempts, code, text } = failure;
    this.#failures.delete(sequence);
    this.#failures.set(sequence, { sequence, at, ...(attempts !== undefined && { attempts }), code, text });
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= failuresKept) break;
      this.#failures.delete(oldest);
    }
  }

  #restart(base: Extract<AckEvent, { type: 'base' }>): void {
    this.#settledThrough = base.settledThrough;
    this.#forgottenThrough = base.forgottenThrough;
    this.#counts = { ...base.counts };
    this.#poisonedCount = base.poisoned ?? 0;
    for (const set of [this.#above, this.#skipped, this.#failed, this.#poisoned]) set.clear();
    this.#failures.clear();
    this.#retries.clear();
    this.#reading.clear();
    this.#digests.clear();
    this.#inDigest.clear();
    this.#reopened = 0;
  }
}

function withoutType({ sequence, attempts, nextAt, code, text, askedAt }: Retry): Retry {
  return { sequence, attempts, nextAt, code, text, ...(askedAt !== undefined && { askedAt }) };
}
