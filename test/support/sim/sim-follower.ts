// One follower process of the simulation: reads the log from where its journal says it is, and journals what it does, through the
// real reader, the real journal and the real state of a stage. And what is known from outside about such a journal.

import { messageOf } from '../../../src/model/errors.ts';
import type { StoredRequest } from '../../../src/model/request.ts';
import type { Journal, JournalState } from '../../../src/ports/journal.ts';
import type { Runtime } from '../../../src/ports/runtime.ts';
import type { Locks } from '../../../src/spool/fencing/lock-file.ts';
import { type Numbered, NumberedState } from './numbered-state.ts';
import { Violation } from './oracle.ts';
import type { Random } from './random.ts';
import type { Stage } from './sim-intake.ts';
import type { SimProcess } from './sim-machine.ts';
import { locksOf, runtimeOf } from './sim-runtime.ts';

/** A stage that follows: its state, and the events that requests give rise to. */
export interface Kind<Event> {
  readonly name: string;
  newState(): JournalState<Event>;
  events(requests: readonly StoredRequest[], random: Random, unique: string): Event[];
}

/** One journal as the world outside knows it: what was kept for sure, and what may have been. */
export class JournalFacts<Event> {
  readonly kind: Kind<Event>;
  readonly #stage: Stage;
  /** The fewest events that rebuild what was kept for sure. */
  #kept: readonly Numbered<Event>[] = [];
  #keptCount = 0;
  #keptEpoch = 0;
  /** What holders have tried to append since, each behind all that it knew: of any of them a beginning may be there. */
  #attempts: (readonly Numbered<Event>[])[] = [];

  constructor(stage: Stage, kind: Kind<Event>) {
    this.#stage = stage;
    this.kind = kind;
  }

  newState(): NumberedState<Event> {
    return new NumberedState(this.kind.newState());
  }

  /** A holder is about to append these to a state. */
  attempt(state: NumberedState<Event>, events: readonly Numbered<Event>[]): void {
    this.#attempts.push([...state.snapshot(), ...events]);
  }

  /** An append of a holder has resolved. */
  kept(state: NumberedState<Event>, epochName: string): void {
    const epoch = Number.parseInt(epochName, 10);
    // It was on the disk before the next holder looked, and is only told of late.
    if (epoch < this.#keptEpoch && state.count <= this.#keptCount) return;
    if (epoch < this.#keptEpoch || state.count < this.#keptCount) {
      throw new Violation(`${this.kind.name}: epoch ${epoch} keeps ${state.count} events after ${this.#keptCount}`);
    }
    this.#kept = state.snapshot();
    this.#keptCount = state.count;
    this.#keptEpoch = epoch;
    this.#attempts = [];
  }

  #isRight(found: NumberedState<Event>): boolean {
    const { text } = found;
    const known = found.count === this.#keptCount ? [this.#kept] : this.#attempts;
    return known.some((events) => {
      const expected = this.newState();
      for (const event of events) {
        expected.apply(event);
        if (expected.count === found.count && expected.text === text) return true;
      }
      return found.count === 0;
    });
  }

  /** Opens the journal and looks at what is in it. */
  async open(
    runtime: Runtime,
    locks: Locks,
  ): Promise<{ journal: Journal<Numbered<Event>>; state: NumberedState<Event> }> {
    const state = this.newState();
    const { subject, spool } = this.#stage;
    const journal = await subject.openJournalFile(runtime, locks, spool, this.kind.name, state);
    // Whoever was stalled while it opened, and was replaced meanwhile, finds out with its first write.
    if (Number.parseInt(journal.epoch, 10) < this.#keptEpoch) return { journal, state };
    if (state.count < this.#keptCount) {
      throw new Violation(`${this.kind.name}: ${state.count} events are left of ${this.#keptCount}`);
    }
    if (!this.#isRight(state))
      throw new Violation(`${this.kind.name}: after ${state.count} events the state is another`);
    return { journal, state };
  }
}

export class SimFollower<Event> {
  readonly process: SimProcess;
  readonly name: string;
  readonly #stage: Stage;
  readonly #facts: JournalFacts<Event>;
  ended: unknown;
  /** The last request that is settled for sure. */
  through = 0;

  constructor(stage: Stage, facts: JournalFacts<Event>) {
    this.#stage = stage;
    this.#facts = facts;
    this.name = facts.kind.name;
    this.process = stage.machine.start(this.name);
    this.#follow().catch((error: unknown) => {
      this.ended = error;
      stage.machine.note(`    ${this.name}#${this.process.pid} ends: ${messageOf(error)}`);
      if (error instanceof Violation || (error instanceof Error && error.name === 'DamagedLogError'))
        stage.broken(error);
    });
  }

  async #follow(): Promise<void> {
    const { machine, oracle, subject, spool } = this.#stage;
    const { random } = machine;
    const runtime = runtimeOf(machine, this.process);
    const { journal, state } = await this.#facts.open(runtime, locksOf(machine, this.process));
    void journal.lost.then((reason) => (this.ended ??= reason));
    const reader = subject.openReader(runtime, spool);
    const never = new AbortController().signal;
    for (let turn = 1; ; turn++) {
      this.through = state.through;
      const limit = { count: random.between(1, 6), bytes: random.pick([1, 2_000, 100_000]) };
      const requests = await reader.read(state.through, limit, never);
      for (const request of requests) oracle.seen(request);
      const through = requests.at(-1)?.sequence ?? state.through;
      const unique = `${journal.epoch}-${turn}`;
      const events = this.#facts.kind
        .events(requests, random, unique)
        .map((event, index) => ({ number: state.count + index + 1, through, event }));
      this.#facts.attempt(state, events);
      const half = random.between(0, events.length);
      const parts = [events.slice(0, half), events.slice(half)].filter((part) => part.length > 0);
      await Promise.all(parts.map((part) => journal.append(part)));
      this.#facts.kept(state, journal.epoch);
      machine.note(`    ${this.name}#${this.process.pid} has kept ${state.count} events, through ${through}`);
    }
  }
}
