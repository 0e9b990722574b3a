// Keeps the number of connections within a bound. Takes a server and hears who is known; when there are too many the connection that
// has been idle longest makes room, then one whose caller has not yet said who it is, of the address that has most of these.
// When every other one is known and busy the newcomer is turned away. Owns the list of sockets.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** More requests on their way over one connection than any client needs (HTTP pipelining). */
const pipelined = 16;

interface Entry {
  readonly socket: Socket;
  readonly address: string;
  /** Requests under way. */
  busy: number;
  /** How many of them come from somebody known. */
  known: number;
}

/** The same for a socket and for the TLS socket around it. */
const nameOf = (socket: Socket): string => `${socket.remoteAddress ?? ''} ${socket.remotePort ?? ''}`;

export class ConnectionLimit {
  /** The one that has been idle longest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #most: number;
  #closing = false;

  constructor(server: Server, most: number) {
    this.#most = most;
    server.on('connection', (socket: Socket) => this.#add(socket));
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const name = nameOf(request.socket);
      this.#begin(name);
      response.on('close', () => this.#end(name));
    });
  }

  /** Notes that the caller of a request is known: its connection makes room for nobody until the answer is out. */
  know({ socket }: IncomingMessage): void {
    const entry = this.#entries.get(nameOf(socket));
    if (entry) entry.known = entry.busy;
  }

  /** Ends what is idle now, and each other one when its last answer is out. */
  closeIdle(): void {
    this.#closing = true;
    for (const { socket, busy } of this.#entries.values()) if (busy === 0) socket.destroy();
  }

  #add(socket: Socket): void {
    if (this.#entries.size >= this.#most) {
      const [name, least] = this.#leastWanted() ?? [];
      if (name === undefined || !least) return void socket.destroy();
      this.#entries.delete(name);
      least.socket.destroy();
    }
    const name = nameOf(socket);
    this.#entries.set(name, { socket, address: socket.remoteAddress ?? '', busy: 0, known: 0 });
    socket.on('close', () => {
      if (this.#entries.get(name)?.socket === socket) this.#entries.delete(name);
    });
  }

  #leastWanted(): readonly [string, Entry] | undefined {
    const entries = [...this.#entries];
    const idle = entries.find(([, { busy }]) => busy === 0);
    if (idle) return idle;
    const unknown = entries.filter(([, { known }]) => known === 0);
    const counts = new Map<string, number>();
    for (const [, { address }] of unknown) counts.set(address, (counts.get(address) ?? 0) + 1);
    const most = Math.max(...counts.values());
    return unknown.find(([, { address }]) => counts.get(address) === most);
  }

  #begin(name: string): void {
    const entry = this.#entries.get(name);
    if (entry && ++entry.busy > pipelined) entry.socket.destroy();
  }

  #end(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    entry.busy--;
    entry.known = Math.min(entry.known, entry.busy);
    // To the end of the queue: it was just in use.
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    if (this.#closing && entry.busy === 0) entry.socket.destroySoon();
  }
}
