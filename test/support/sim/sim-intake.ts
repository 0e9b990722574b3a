// One intake process of the simulation: opens the log, has it looked at, and takes requests through the real sequencer. Tells
// the oracle of every number that is given out.

import { messageOf } from '../../../src/model/errors.ts';
import type { NewRequest } from '../../../src/model/request.ts';
import type { RequestWriter } from '../../../src/ports/request-log.ts';
import type { Rotation } from '../../../src/spool/mailbox/mailbox-file.ts';
import { type Oracle, Violation } from './oracle.ts';
import type { SimMachine, SimProcess } from './sim-machine.ts';
import { locksOf, runtimeOf, runtimeOn } from './sim-runtime.ts';
import type { Subject } from './subject.ts';

/** What the actors of a simulation share. */
export interface Stage {
  readonly machine: SimMachine;
  readonly oracle: Oracle;
  readonly subject: Subject;
  readonly spool: string;
  readonly rotation: Rotation;
  /** How long a copy of a kept request is recognised, ms. */
  readonly duplicateMs: number;
  /** Hears of a broken promise, wherever it was noticed. */
  readonly broken: (violation: unknown) => void;
}

export class SimIntake {
  readonly process: SimProcess;
  readonly #stage: Stage;
  #sequencer: InstanceType<Subject['Sequencer']> | undefined;
  #writer: RequestWriter | undefined;
  /** Why it can do no more; its process may be ended. */
  ended: unknown;
  /** How many senders wait for an answer. */
  waiting = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.process = stage.machine.start('intake');
    this.#open(stage.oracle.lastEpoch).catch((error: unknown) => {
      this.ended = error;
      stage.machine.note(`    intake#${this.process.pid} ends: ${messageOf(error)}`);
      if (error instanceof Violation || (error instanceof Error && error.name === 'DamagedLogError'))
        stage.broken(error);
    });
  }

  get isOpen(): boolean {
    return this.#sequencer !== undefined && this.ended === undefined;
  }

  async #open(before: number): Promise<void> {
    const { machine, oracle, subject, spool, rotation, duplicateMs } = this.#stage;
    const runtime = runtimeOf(machine, this.process);
    const locks = locksOf(machine, this.process);
    const opened = await subject.openMailboxWriter(runtime, locks, spool, rotation, duplicateMs);
    const { writer, recovered, epoch } = opened;
    machine.note(`    intake#${this.process.pid} opens in epoch ${epoch} after ${recovered.lastSequence}`);
    const newest = oracle.opened(epoch, before);
    if (newest) await oracle.check(runtimeOn(machine.fileSystem, 1).runtime, recovered.lastSequence);
    this.#writer = writer;
    this.#sequencer = new subject.Sequencer(writer, { batchCount: 4, batchBytes: 6_000, waitingCount: 8 });
    void writer.lost.then((reason) => {
      this.ended ??= reason;
      machine.note(`    intake#${this.process.pid} is lost: ${reason.message}`);
    });
  }

  submit(request: NewRequest): void {
    const { oracle, machine, broken } = this.#stage;
    if (!this.#sequencer) return;
    oracle.submitted(request);
    this.waiting++;
    this.#sequencer.submit(request).then(
      ({ sequence, repeated }) => {
        machine.note(`    intake#${this.process.pid} acknowledges ${sequence}${repeated ? ' again' : ''}`);
        this.waiting--;
        try {
          if (repeated) oracle.repeated(sequence, request);
          else oracle.acknowledged(sequence, request.id);
        } catch (error) {
          broken(error);
        }
      },
      () => this.waiting--,
    );
  }

  /** Ends in order, as far as the disk lets it. */
  close(): void {
    const closed = async (): Promise<void> => {
      await this.#sequencer?.idle();
      await this.#writer?.close();
    };
    closed().then(
      () => (this.ended ??= new Error('closed')),
      (error: unknown) => (this.ended ??= error),
    );
  }
}
