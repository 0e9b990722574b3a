// Tells whether a password is right, for whoever lets people in. Takes where it comes from, a name, a password and the hash
// to compare with. A hash is slow on purpose and one is made at a time, so passwords wait: clients (an IPv4 address, an IPv6
// /64) are served round robin, those that have not failed lately first, and whoever guesses delays guessers only. Fails with
// BusyError when too many wait. Keeps signatures of what was right, in memory, and never a password longer than it takes to check it.

import { createHmac } from 'node:crypto';
import type { Runtime } from '../../ports/runtime.ts';
import { clientOf } from '../address-list.ts';
import { LoginThrottle } from './login-throttle.ts';
import { hashPassword, isPassword } from './password-hash.ts';

/** More passwords wait to be checked than there may: ask again later. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
}

/**
 * The most different passwords that wait, each some kilobytes at most: of one client, of one client where each is the first on its
 * connection (many may be behind one address), and of all.
 */
const clientWaiting = 10;
const clientFirsts = 100;
const allWaiting = 1_000;

/** A password that waits. Many connections of a client that bring the same one wait for the same result. */
interface Waiting {
  readonly name: string;
  readonly password: string;
  readonly hash: string | undefined;
  readonly proof: string;
  /** It is the first on its connection: who guesses has others behind it. */
  readonly first: boolean;
  readonly result: Promise<boolean>;
  readonly done: (right: boolean) => void;
  readonly failed: (reason: unknown) => void;
}

export class PasswordCheck {
  /** Made anew with each process. */
  readonly #key: Buffer;
  /** What the passwords of unknown names are compared with, so that they take as long as others. */
  readonly #decoy: Promise<string>;
  readonly #throttle: LoginThrottle;
  /** By name, the proof of the password that was right last. */
  readonly #known = new Map<string, string>();
  /** By client, what waits, by its proof; the client that is served next comes first. */
  readonly #queues = new Map<string, Map<string, Waiting>>();
  /** Connections on which a password was wrong, or had to be refused. */
  readonly #tried = new WeakSet<object>();
  #waiting = 0;
  #hashing = false;

  constructor({ clock, ids }: Pick<Runtime, 'clock' | 'ids'>) {
    this.#key = ids.randomBytes(32);
    this.#decoy = hashPassword('nobody has this password', ids.randomBytes(16));
    this.#throttle = new LoginThrottle(clock);
  }

  /**
   * Whether `password` is the one behind `hash`. The answer "no" comes late, and ever later for a client that goes on failing.
   * @param address the IP address it comes from
   * @param hash undefined: nobody has that name, or no password
   * @param connection on which it came, if that is known: the first password of one comes before others of the same client
   * @throws BusyError at once, or when one that comes first needed the room
   */
  async isRight(
    address: string,
    name: string,
    password: string,
    hash: string | undefined,
    connection?: object,
  ): Promise<boolean> {
    const proof = createHmac('sha256', this.#key)
      .update(`${name}\0${hash ?? ''}\0${password}`)
      .digest('hex');
    if (this.#isKnown(name, hash, proof)) {
      this.#throttle.forget(address);
      return true;
    }
    const first = connection !== undefined && !this.#tried.has(connection);
    if (connection) this.#tried.add(connection);
    const right = await this.#wait(clientOf(address), { name, password, hash, proof, first });
    if (right && connection) this.#tried.delete(connection);
    if (right) this.#throttle.forget(address);
    else await this.#throttle.failed(address);
    return right;
  }

  /** Forgets what was right: the list of those who may come in has changed. */
  forget(): void {
    this.#known.clear();
  }

  #isKnown(name: string, hash: string | undefined, proof: string): boolean {
    return hash !== undefined && this.#known.get(name) === proof;
  }

  #wait(client: string, asked: Omit<Waiting, 'result' | 'done' | 'failed'>): Promise<boolean> {
    const queue = this.#queues.get(client) ?? new Map<string, Waiting>();
    const same = queue.get(asked.proof);
    if (same) return same.result;
    const most = asked.first ? clientFirsts : clientWaiting;
    if (queue.size >= most && !(asked.first && this.#replace(client, queue)))
      throw new BusyError(`${most} passwords of this client wait already`);
    if (this.#waiting >= allWaiting && !this.#makeRoom(client))
      throw new BusyError(`${allWaiting} passwords wait already`);
    let settle: Pick<Waiting, 'done' | 'failed'> | undefined;
    const result = new Promise<boolean>((done, failed) => (settle = { done, failed }));
    if (settle) queue.set(asked.proof, { ...asked, result, ...settle });
    this.#queues.set(client, queue);
    this.#waiting++;
    void this.#serve();
    return result;
  }

  /** Removes the last password of a client that has failed, for one that has not. */
  #makeRoom(client: string): boolean {
    if (this.#throttle.hasFailed(client)) return false;
    for (const [each, queue] of this.#queues) {
      const last = [...queue.values()].at(-1);
      if (!last || !this.#throttle.hasFailed(each)) continue;
      this.#remove(each, queue, last);
      last.failed(new BusyError('others that have not failed come first'));
      return true;
    }
    return false;
  }

  /** Removes the last password of a client that is not the first on its connection, for one that is. */
  #replace(client: string, queue: Map<string, Waiting>): boolean {
    const last = [...queue.values()].findLast((each) => !each.first);
    if (!last) return false;
    this.#remove(client, queue, last);
    last.failed(new BusyError('another connection comes first'));
    return true;
  }

  #remove(client: string, queue: Map<string, Waiting>, { proof }: Waiting): void {
    queue.delete(proof);
    if (queue.size === 0) this.#queues.delete(client);
    this.#waiting--;
  }

  /** One hash at a time: they share their threads with the disk. */
  async #serve(): Promise<void> {
    if (this.#hashing) return;
    this.#hashing = true;
    for (let next = this.#next(); next; next = this.#next()) {
      const { name, password, hash, proof, done, failed } = next;
      try {
        const right =
          this.#isKnown(name, hash, proof) ||
          ((await isPassword(password, hash ?? (await this.#decoy))) && hash !== undefined);
        if (right) this.#known.set(name, proof);
        done(right);
      } catch (error) {
        failed(error);
      }
    }
    this.#hashing = false;
  }

  /** Takes what is checked next, and sends its client behind the others. */
  #next(): Waiting | undefined {
    const clients = [...this.#queues.keys()];
    const client = clients.find((each) => !this.#throttle.hasFailed(each)) ?? clients[0];
    const queue = client === undefined ? undefined : this.#queues.get(client);
    const waiting = [...(queue?.values() ?? [])];
    const next = waiting.find(({ first }) => first) ?? waiting[0];
    if (client === undefined || !queue || !next) return undefined;
    this.#queues.delete(client);
    this.#queues.set(client, queue);
    this.#remove(client, queue, next);
    return next;
  }
}
