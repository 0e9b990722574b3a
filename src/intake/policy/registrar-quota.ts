// What one registrar has in the house: connections, message bytes, messages in progress. All strangers together have one quota.
// Takes what comes and goes, says what is too much. Owns the counts; the bounds are the book's, or the configuration's.

import type { Registrar } from '../../model/registrar.ts';
import type { Admission } from './admission.ts';
import { Flow } from './fair-queue.ts';
import { Refusal } from '../smtp/replies.ts';

/** Bounds of a registrar for whom the book does not say. */
export interface QuotaLimits {
  readonly connections: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Where message bytes are counted. */
export type Memory = Pick<Admission, 'reserve' | 'release'>;

/** What became of a registrar's messages so far, and what it has here now. */
export interface QuotaState {
  readonly connections: number;
  readonly inProgress: number;
  readonly waiting: number;
  readonly kept: number;
  /** Refused for now (4xx) and for good (5xx). */
  readonly deferred: number;
  readonly refused: number;
}

export class RegistrarQuota {
  /** Empty: the strangers. */
  readonly id: string;
  readonly flow = new Flow(1, 1, 1);
  #limits: QuotaLimits = { connections: 0, messages: 0, bytes: 0 };
  #connections = 0;
  #bytes = 0;
  kept = 0;
  deferred = 0;
  refused = 0;

  constructor(id: string) {
    this.id = id;
  }

  /** Takes new bounds, of the book in force. @param own permits that nobody else ever has */
  bind({ weight, ...limits }: Partial<Pick<Registrar, 'weight'>>, defaults: QuotaLimits, own: number): void {
    const { connections, messages, bytes } = { ...defaults, ...limits } as QuotaLimits;
    this.#limits = { connections, messages, bytes };
    this.flow.weight = weight ?? 1;
    this.flow.own = own;
    this.flow.most = messages;
  }

  /** One more connection. @returns the refusal, and then it is not counted */
  arrive(): Refusal | undefined {
    const { connections } = this.#limits;
    if (this.#connections >= connections) {
      return new Refusal(421, `4.7.0 Too many connections of ${this.#whose} (${connections}), try again later`);
    }
    this.#connections++;
    return undefined;
  }

  get #whose(): string {
    return this.id === '' ? 'senders we do not know (yet)' : `registrar ${this.id}`;
  }

  leave(): void {
    this.#connections--;
  }

  /** Counts message bytes here as well as in the whole house. */
  memory(house: Memory): Memory {
    return {
      reserve: (bytes) => {
        if (this.#bytes + bytes > this.#limits.bytes)
          return new Refusal(452, `4.3.1 Too many bytes of ${this.#whose} in progress, try again later`);
        const refusal = house.reserve(bytes);
        if (!refusal) this.#bytes += bytes;
        return refusal;
      },
      release: (bytes) => {
        this.#bytes -= bytes;
        house.release(bytes);
      },
    };
  }

  /** Nothing of it is here. */
  get gone(): boolean {
    return this.#connections === 0 && this.flow.inProgress === 0 && this.flow.waiting.size === 0;
  }

  get state(): QuotaState {
    const { inProgress, waiting } = this.flow;
    const { kept, deferred, refused } = this;
    return { connections: this.#connections, inProgress, waiting: waiting.size, kept, deferred, refused };
  }
}
