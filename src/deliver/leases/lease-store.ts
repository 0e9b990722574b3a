// The state of the deliver stage together with its journal: what is answered is on stable storage first.
// Takes events, gives back when they are durable. When an append fails or the journal is lost, memory and disk may differ:
// from then on everything is refused with UNAVAILABLE and `failed` resolves. Owns the journal and the state.

import type { Journal, OpenJournal } from '../../ports/journal.ts';
import type { Ids } from '../../ports/runtime.ts';
import { QueueError } from '../soap/fault.ts';
import { type DeliverEvent, journalName, LeaseState } from './lease-state.ts';
import { Mutex } from '../../lib/async.ts';

export class LeaseStore {
  readonly state: LeaseState;
  /** Resolves with the reason when nothing may be answered any more. */
  readonly failed: Promise<Error>;
  readonly #journal: Journal<DeliverEvent>;
  readonly #turns = new Mutex();
  readonly #bell = new Set<() => void>();
  #failure: Error | undefined;
  #tellFailure: (error: Error) => void = () => undefined;

  private constructor(state: LeaseState, journal: Journal<DeliverEvent>) {
    this.state = state;
    this.#journal = journal;
    this.failed = new Promise((resolve) => (this.#tellFailure = resolve));
    void journal.lost.then((error) => this.#fail(error));
  }

  /** Opens the journal, and makes the key of the lease tokens when it is new. */
  static async open(openJournal: OpenJournal, ids: Ids): Promise<LeaseStore> {
    const state = new LeaseState();
    const leaseStore = new LeaseStore(state, await openJournal(journalName, state));
    if (state.secret === undefined) {
      await leaseStore.commit([{ type: 'secret', secret: ids.randomBytes(32).toString('hex') }]);
    }
    return leaseStore;
  }

  get epoch(): string {
    return this.#journal.epoch;
  }

  /** The key of the lease tokens. */
  get secret(): string {
    if (this.state.secret === undefined) throw new Error('the journal was opened without a secret');
    return this.state.secret;
  }

  /**
   * Runs what decides by the state and changes it, one after the other.
   * @throws QueueError UNAVAILABLE when nothing may be answered any more, and what `work` throws
   */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(() => {
      this.check();
      return work();
    });
  }

  /** Tells everyone who waits that there may be something for them now. */
  ring(): void {
    for (const hear of this.#bell) hear();
  }

  /** @returns the function that stops listening */
  onRing(hear: () => void): () => void {
    this.#bell.add(hear);
    return () => this.#bell.delete(hear);
  }

  /** @throws QueueError UNAVAILABLE when nothing may be answered any more */
  check(): void {
    if (this.#failure) throw new QueueError('UNAVAILABLE', 'The service cannot write; try again later.', {}, 503);
  }

  /**
   * Makes events durable and part of the state.
   * @throws QueueError UNAVAILABLE: it is then unknown whether they are on the disk, and nothing is answered any more
   */
  async commit(events: readonly DeliverEvent[]): Promise<void> {
    this.check();
    try {
      await this.#journal.append(events);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
    this.check();
  }

  /** Finishes what is under way first. */
  async close(): Promise<void> {
    await this.#turns.run(async () => undefined);
    await this.#journal.close();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#tellFailure(error);
  }
}
