// Keeps the number of connections within a bound. Takes a server, gives nothing; when there are too many the connection
// that has been idle longest makes room, and when none is idle the newcomer is turned away. Owns the list of sockets.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** More requests on their way over one connection than any client needs (HTTP pipelining). */
const pipelined = 16;

interface Entry {
  readonly socket: Socket;
  /** Requests under way. */
  busy: number;
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

  /** Ends what is idle now, and each other one when its last answer is out. */
  closeIdle(): void {
    this.#closing = true;
    for (const { socket, busy } of this.#entries.values()) if (busy === 0) socket.destroy();
  }

  #add(socket: Socket): void {
    if (this.#entries.size >= this.#most) {
      const [name, idle] = [...this.#entries].find(([, { busy }]) => busy === 0) ?? [];
      if (name === undefined || !idle) return void socket.destroy();
      this.#entries.delete(name);
      idle.socket.destroy();
    }
    const name = nameOf(socket);
    this.#entries.set(name, { socket, busy: 0 });
    socket.on('close', () => {
      if (this.#entries.get(name)?.socket === socket) this.#entries.delete(name);
    });
  }

  #begin(name: string): void {
    const entry = this.#entries.get(name);
    if (entry && ++entry.busy > pipelined) entry.socket.destroy();
  }

  #end(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    entry.busy--;
    // To the end of the queue: it was just in use.
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    if (this.#closing && entry.busy === 0) entry.socket.destroySoon();
  }
}
