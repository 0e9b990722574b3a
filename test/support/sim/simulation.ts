// One seeded simulation of a spool's life: intake and followers on a simulated machine, disturbed at random moments, and looked
// at after every recovery. The same seed does the same things. Throws a Violation with the seed and what led to it.

import { messageOf } from '../../../src/model/errors.ts';
import type { AckEvent } from '../../../src/acknowledge/journal/ack-events.ts';
import type { DeliverEvent } from '../../../src/deliver/leases/lease-state.ts';
import type { NewRequest } from '../../../src/model/request.ts';
import { acknowledging, delivering } from './kinds.ts';
import { Oracle, Violation } from './oracle.ts';
import { Random } from './random.ts';
import { randomRequest } from './requests.ts';
import { JournalFacts, SimFollower } from './sim-follower.ts';
import type { SimFileSystem } from './sim-file-system.ts';
import { SimIntake, type Stage } from './sim-intake.ts';
import { SimMachine, type SimProcess } from './sim-machine.ts';
import { runtimeOn } from './sim-runtime.ts';
import type { Subject } from './subject.ts';

/** What a simulation went through. */
export interface Figures {
  crashStates: number;
  acknowledged: number;
  steps: number;
}

const spool = '/srv/seawall/spool';
const day = 86_400_000;

export class Simulation {
  readonly #random: Random;
  readonly #machine: SimMachine;
  readonly #stage: Stage;
  readonly #ack: JournalFacts<AckEvent>;
  readonly #deliver: JournalFacts<DeliverEvent>;
  #intakes: SimIntake[] = [];
  #followers: (SimFollower<AckEvent> | SimFollower<DeliverEvent>)[] = [];
  #violation: unknown;
  #quiet = false;
  readonly #sent: NewRequest[] = [];
  readonly figures: Figures = { crashStates: 0, acknowledged: 0, steps: 0 };

  constructor(subject: Subject, seed: number) {
    this.#random = new Random(seed);
    const machine = new SimMachine(this.#random.next());
    machine.fileSystem.makeFolder('/srv');
    machine.fileSystem.syncFolder('/');
    const oracle = new Oracle(subject, spool);
    const rotation = this.#random.pick([
      { bytes: 1e9, count: 1_000, seconds: 1e6 },
      { bytes: 4_000, count: 1_000, seconds: 1e6 },
      { bytes: 1e9, count: 3, seconds: 1e6 },
      { bytes: 1e9, count: 1, seconds: 1 },
    ]);
    const broken = (violation: unknown): void => void (this.#violation ??= violation);
    this.#machine = machine;
    const duplicateMs = this.#random.pick([0, day]);
    this.#stage = { machine, oracle, subject, spool, rotation, duplicateMs, broken };
    this.#ack = new JournalFacts(this.#stage, acknowledging(subject));
    this.#deliver = new JournalFacts(this.#stage, delivering(subject));
  }

  get trace(): readonly string[] {
    return this.#machine.trace;
  }

  async run(): Promise<Figures> {
    for (let round = this.#random.between(3, 9); round > 0; round--) {
      this.#chooseFaults();
      this.#startMissing();
      await this.#play(this.#random.pick([20, 60, 150, 400]));
      await this.#disturb();
    }
    await this.#finish();
    this.figures.acknowledged = this.#stage.oracle.acknowledgedCount;
    return this.figures;
  }

  #chooseFaults(): void {
    this.#machine.locksFail = false;
    const { pick, chance } = {
      pick: this.#random.pick.bind(this.#random),
      chance: this.#random.chance.bind(this.#random),
    };
    this.#machine.faults = pick([0, 0, 0, 0.005, 0.03]);
    this.#machine.room = chance(0.1) ? this.#random.below(4_000) : Infinity;
  }

  #living<Actor extends SimIntake | SimFollower<AckEvent> | SimFollower<DeliverEvent>>(actors: Actor[]): Actor[] {
    for (const { ended, process } of actors)
      if (ended !== undefined && process.state !== 'dead') this.#machine.kill(process);
    return actors.filter(({ process }) => process.state !== 'dead');
  }

  /** What a supervisor does: ends what has failed, and starts what is missing. */
  #startMissing(): void {
    this.#intakes = this.#living(this.#intakes);
    this.#followers = this.#living(this.#followers);
    if (!this.#intakes.some(({ process }) => process.state === 'running')) this.#startIntake();
    for (const facts of [this.#ack, this.#deliver] as const) {
      if (this.#followers.some(({ name, process }) => name === facts.kind.name && process.state === 'running'))
        continue;
      this.#startFollower(facts.kind.name);
    }
  }

  #startIntake(): void {
    this.#intakes.push(new SimIntake(this.#stage));
  }

  #startFollower(name: string): void {
    this.#followers.push(
      name === this.#ack.kind.name
        ? new SimFollower(this.#stage, this.#ack)
        : new SimFollower(this.#stage, this.#deliver),
    );
  }

  async #play(steps: number, until: () => boolean = () => false): Promise<void> {
    for (let step = 0; step < steps && !until(); step++) {
      if (!this.#quiet && this.#random.chance(0.12)) for (const intake of this.#intakes) this.#submit(intake);
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#violation !== undefined) throw this.#violation;
      // What a failed sync has dropped may leave the cache at any moment.
      if (this.#random.chance(0.01)) this.#machine.fileSystem.evict();
      if (!this.#machine.step() && !this.#quiet) this.#submit(this.#intakes.at(-1));
      this.figures.steps++;
    }
  }

  #submit(intake: SimIntake | undefined): void {
    if (!intake?.isOpen || intake.process.state !== 'running') return;
    for (let count = this.#random.between(1, 4); count > 0; count--) intake.submit(this.#request());
  }

  /** A new request, or a copy of one that was sent before. */
  #request(): NewRequest {
    const { duplicateMs, subject } = this.#stage;
    const fresh = randomRequest(this.#random);
    const copied = this.#sent.length > 0 && this.#random.chance(0.15) ? this.#random.pick(this.#sent) : fresh;
    const { envelope, client, message } = copied;
    this.#sent.push(copied);
    if (duplicateMs === 0) return { ...fresh, envelope, client, message };
    return { ...fresh, envelope, client, message, fingerprint: subject.fingerprintOf(copied) };
  }

  async #disturb(): Promise<void> {
    const machine = this.#machine;
    const all = [...this.#intakes, ...this.#followers];
    // Whoever is stalled goes on in the middle of its call, or later, or never.
    for (const { process } of all)
      if (process.state === 'stalled' && this.#random.chance(0.6)) process.state = 'running';
    const verb = this.#random.pick([
      'rename',
      'rename',
      'write',
      'sync',
      'syncFolder',
      'seal',
      'open',
      'remove',
      'list',
    ]);
    await this.#play(this.#random.pick([0, 40]), () => machine.whoIsAbout(verb) !== undefined);
    const process = machine.whoIsAbout(verb) ?? this.#random.pick(all).process;
    const what = this.#random.below(17);
    if (what < 5) await this.#losePower();
    else if (what < 6) machine.killAll();
    else if (what < 8) this.#intakes.forEach((intake) => machine.kill(intake.process));
    else if (what < 9) machine.kill(process);
    else if (what < 14) this.#stallAndReplace(process);
    else if (what < 15) this.#startIntake();
    else if (what < 16) this.#intakes.at(-1)?.close();
    else this.#jumpClock();
    if (what >= 5) this.figures.crashStates++;
  }

  /** A process is stopped for longer than its lock lasts; another takes over. */
  #stallAndReplace(process: SimProcess): void {
    if (process.state !== 'running') return;
    this.#machine.note(`--- ${process.name}#${process.pid} is stalled`);
    process.state = 'stalled';
    this.#machine.turn(60_000);
    if (process.name === 'intake') this.#startIntake();
    else this.#startFollower(process.name);
  }

  /** By a day. Forward, a lock looks long forgotten to whoever comes now, and somebody does. */
  #jumpClock(): void {
    const ms = this.#random.pick([-day, day]);
    this.#machine.note(`--- the clock jumps by ${ms} ms`);
    this.#machine.wall += ms;
    if (ms < 0) return;
    this.#machine.locksFail = true;
    this.#startIntake();
    this.#startFollower(this.#random.pick(this.#followers).name);
  }

  /** The power goes. Several outcomes are tried on copies; one of them is what really happened. */
  async #losePower(): Promise<void> {
    this.#machine.killAll();
    for (let outcome = 0; outcome < 4; outcome++) {
      const copy = this.#machine.fileSystem.clone();
      copy.crash(this.#random.fork());
      await this.#checkRecovery(copy);
    }
    this.#machine.crash();
    this.figures.crashStates++;
  }

  /** Recovers a spool alone and looks at everything in it. */
  async #checkRecovery(fileSystem: SimFileSystem): Promise<void> {
    const { oracle, subject, rotation, duplicateMs } = this.#stage;
    const { runtime, locks } = runtimeOn(fileSystem, this.#random.next());
    await oracle.checkUnrecovered(runtime);
    const { writer, recovered } = await subject.openMailboxWriter(runtime, locks, spool, rotation, duplicateMs);
    await oracle.check(runtime, recovered.lastSequence);
    await writer.close();
    for (const facts of [this.#ack, this.#deliver] as const) {
      const { journal, state } = await facts.open(runtime, locks);
      if (state.through > recovered.lastSequence) {
        throw new Violation(`${facts.kind.name} is at ${state.through}, but the log ends at ${recovered.lastSequence}`);
      }
      await journal.close();
    }
    this.figures.crashStates++;
  }

  /** The trouble ends: after one more power cut everything must come back by itself and finish its work. */
  async #finish(): Promise<void> {
    this.#machine.faults = 0;
    this.#machine.room = Infinity;
    await this.#losePower();
    this.#startMissing();
    await this.#play(200);
    this.#quiet = true;
    const { oracle } = this.#stage;
    const done = (): boolean =>
      this.#intakes.every(({ isOpen, waiting }) => isOpen && waiting === 0) &&
      this.#followers.every(({ through }) => through >= oracle.knownThrough);
    await this.#play(60 * (oracle.knownThrough + 50), done);
    if (!done()) {
      const reasons = [...this.#intakes, ...this.#followers].map(({ ended }) => messageOf(ended ?? 'still at work'));
      throw new Violation(`the work does not end: ${reasons.join('; ')}`);
    }
    this.#machine.killAll();
    await this.#checkRecovery(this.#machine.fileSystem);
    await this.#checkDamage(this.#machine.fileSystem.clone());
  }

  /** A byte that changes anywhere in the mailboxes is noticed. */
  async #checkDamage(fileSystem: SimFileSystem): Promise<void> {
    const folder = `${spool}/mailboxes`;
    const names = fileSystem.list(folder).filter((name) => name.endsWith('.mbox'));
    const files = names.map((name) => fileSystem.file(`${folder}/${name}`, 'rot')).filter(({ size }) => size > 0);
    if (files.length === 0) return;
    const file = this.#random.pick(files);
    file.rot(this.#random.below(file.size));
    const { problems } = await this.#stage.subject.verifyLog(runtimeOn(fileSystem, 1).runtime.disk, spool);
    if (problems.length === 0) throw new Violation('a changed byte was not noticed');
  }
}

/** Runs one simulation; what it throws names the seed and shows the way there. */
export async function simulate(subject: Subject, seed: number): Promise<Figures> {
  const simulation = new Simulation(subject, seed);
  try {
    return await simulation.run();
  } catch (error) {
    const stack = error instanceof Error && error.name !== 'Violation' ? `\n${error.stack ?? ''}` : '';
    throw new Violation(
      `seed ${seed}: ${messageOf(error)}\n  ${simulation.trace.join('\n  ')}${stack}\nreplay with: npm run simulate -- --seed ${seed} --runs 1`,
      { cause: error },
    );
  }
}
