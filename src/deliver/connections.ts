// Keeps the number of connections within a bound. Takes a server, gives nothing; when the house is full the connection
// that has been idle longest makes room, and when none is idle the newcomer is turned away. Owns the list of sockets.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** More requests on their way over one connection than any client needs (HTTP pipelining). */
const pipelined = 16;

export class Connections {
  /** Requests under way on each, the one that has been idle longest first. */
  readonly #sockets = new Map<Socket, number>();
  readonly #most: number;
  #closing = false;

  constructor(server: Server, most: number) {
    this.#most = most;
    server.on('connection', (socket: Socket) => this.#add(socket));
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#begin(request.socket);
      response.on('close', () => this.#end(request.socket));
    });
  }

  /** Ends what is idle now, and each other one when its last answer is out. */
  closeIdle(): void {
    this.#closing = true;
    for (const [socket, busy] of this.#sockets) if (busy === 0) socket.destroy();
  }

  #add(socket: Socket): void {
    if (this.#sockets.size >= this.#most) {
      const idle = [...this.#sockets].find(([, busy]) => busy === 0)?.[0];
      if (!idle) return void socket.destroy();
      this.#sockets.delete(idle);
      idle.destroy();
    }
    this.#sockets.set(socket, 0);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #begin(socket: Socket): void {
    const busy = (this.#sockets.get(socket) ?? 0) + 1;
    if (busy > pipelined) socket.destroy();
    else if (this.#sockets.has(socket)) this.#sockets.set(socket, busy);
  }

  #end(socket: Socket): void {
    const busy = this.#sockets.get(socket);
    if (busy === undefined) return;
    // To the end of the line: it was just in use.
    this.#sockets.delete(socket);
    this.#sockets.set(socket, Math.max(busy - 1, 0));
    if (this.#closing && busy <= 1) socket.destroySoon();
  }
}
