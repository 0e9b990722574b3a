// Plays the registry's backend: workers that fetch, check and confirm batches at a given pace, with pauses and crashes. Takes
// a port and manners, tells of every request that was pulled and confirmed. A worker that crashes forgets its token and
// comes back as somebody new: what it held comes again when the lease has run out.

import { createHash, randomUUID } from 'node:crypto';
import { wallMicros } from './notes.ts';
import type { RegistryRecord } from './records.ts';
import { inside, SoapCaller, SoapFault } from './soap-call.ts';

export interface RegistryManners {
  readonly port: number;
  readonly workers: number;
  readonly batch: number;
  /** Requests a second, all workers together; Infinity: as fast as it goes. */
  readonly pace: number;
  /** Of a hundred batches so many end in a crash: half of them before Confirm, half right after it. */
  readonly crashes: number;
  /** Every so many seconds … so many seconds of pause; 0: none. */
  readonly pauseEvery: number;
  readonly pauseFor: number;
  readonly leaseMs: number;
}

interface Pulled {
  readonly sequence: number;
  readonly ticket: string;
  readonly reference: string;
  readonly deliveryCount: number;
}

export class Registry {
  confirmed = 0;
  pulled = 0;
  crashes = 0;
  /** What is wrong with what was pulled, in words; at most 100. */
  readonly problems: string[] = [];
  readonly #manners: RegistryManners;
  readonly #onRecord: (record: RegistryRecord) => void;
  readonly #began = performance.now();
  #stopped = false;
  /** When the pace allows the next batch. */
  #free = 0;
  #batches = 0;

  constructor(manners: RegistryManners, onRecord: (record: RegistryRecord) => void) {
    this.#manners = manners;
    this.#onRecord = onRecord;
  }

  /** Works until it is stopped. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#manners.workers }, (_, i) => this.#work(i + 1)));
  }

  stop(): void {
    this.#stopped = true;
  }

  async #work(worker: number): Promise<void> {
    const soap = new SoapCaller(this.#manners.port);
    for (let life = 1; !this.#stopped; life++) {
      try {
        while (!this.#stopped) {
          const given = await this.#batch(soap, worker, `w${worker}-${life}`);
          if (given === undefined) break;
          await this.#pause(given);
        }
      } catch (error) {
        if (this.#stopped) break;
        // Another worker holds the head of the line, or the daemon is starting again: come back.
        const held = error instanceof SoapFault && error.code === 'LEASE_HELD';
        if (
          error instanceof SoapFault &&
          !['LEASE_HELD', 'LEASE_LOST', 'BUSY', 'UNAVAILABLE', 'PAUSED'].includes(error.code)
        )
          throw error;
        await new Promise((resolve) => setTimeout(resolve, held ? 20 : 200));
      }
    }
    soap.close();
  }

  /** One batch. @returns how many it held; undefined when the worker crashed */
  async #batch(soap: SoapCaller, worker: number, clientId: string): Promise<number | undefined> {
    const { batch, leaseMs, crashes } = this.#manners;
    const answer = await soap.call(
      'Fetch',
      `<clientId>${clientId}</clientId><attemptId>${randomUUID()}</attemptId><max>${batch}</max><waitMs>200</waitMs><leaseMs>${leaseMs}</leaseMs>`,
    );
    const token = inside(answer, 'leaseToken');
    if (token === undefined) return 0;
    const requests = this.#read(answer);
    const tell = (what: 'pulled' | 'confirmed'): void => {
      const at = wallMicros();
      for (const request of requests) this.#onRecord({ at, what, worker, ...request });
    };
    tell('pulled');
    this.pulled += requests.length;
    const luck = (++this.#batches * 37) % 100;
    const crash = luck < crashes;
    if (crash) this.crashes++;
    if (luck < crashes / 2) return undefined;
    await soap.call(
      'Confirm',
      `<leaseToken>${token}</leaseToken><throughSequence>${requests.at(-1)?.sequence ?? 0}</throughSequence>`,
    );
    tell('confirmed');
    this.confirmed += requests.length;
    return crash ? undefined : requests.length;
  }

  /** The requests of an answer, each checked against its own digest. */
  #read(answer: string): Pulled[] {
    const requests: Pulled[] = [];
    for (let at = answer.indexOf('<request>'); at !== -1; at = answer.indexOf('<request>', at + 9)) {
      const field = (name: string): string => inside(answer, name, at) ?? '';
      const message = Buffer.from(field('message'), 'base64');
      const ticket = field('ticket');
      const digest = createHash('sha256').update(message).digest('hex');
      if (digest !== field('sha256') || message.length !== Number(field('size'))) {
        if (this.problems.length < 100) this.problems.push(`${ticket}: the message does not have its size and SHA-256`);
      }
      const head = message.toString('latin1', 0, 4_096);
      const reference = /^1e\.\.: (\S+)/m.exec(head)?.[1] ?? /^Subject: .*\[(\S+)\]/m.exec(head)?.[1] ?? '';
      requests.push({
        sequence: Number(field('sequence')),
        ticket,
        reference,
        deliveryCount: Number(field('deliveryCount')),
      });
    }
    return requests;
  }

  /** Keeps the pace, and the pauses. */
  async #pause(given: number): Promise<void> {
    const { pace, batch, pauseEvery, pauseFor } = this.#manners;
    const passed = performance.now() - this.#began;
    // What was not pulled in a quiet time is not made up for later.
    const free = Math.max(this.#free, performance.now() - (batch / pace) * 1000) + (given / pace) * 1000;
    this.#free = free;
    let ms = free - performance.now();
    if (pauseEvery > 0) {
      const into = passed % ((pauseEvery + pauseFor) * 1000);
      if (into > pauseEvery * 1000) ms = Math.max(ms, (pauseEvery + pauseFor) * 1000 - into);
    }
    const end = performance.now() + ms;
    while (!this.#stopped && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(100, end - performance.now())));
    }
  }
}
