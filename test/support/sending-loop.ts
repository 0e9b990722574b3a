// Clients that send one message after the other for as long as they are let: pipelined up to DATA, then waiting. Takes where
// from and as whom, gives counts and what happened in which order.

import { connect, type Socket } from 'node:net';

export interface Loop {
  /** Messages that got their 250. */
  kept: number;
  /** 354s seen, and DATA commands sent. */
  begun: number;
  asked: number;
  /** For each turn, how many messages of all clients were kept between its DATA and its 354. */
  readonly waits: number[];
  stop(): void;
}

/** What all loops of one test have in common. */
export interface Together {
  kept: number;
  /** Called with each message that is kept. */
  onKept: () => void;
}

const body = 'Subject: a request\r\n\r\nname: example.fr\r\n.\r\n';

/** @param trickles begins its message and never ends it */
export function sendingLoop(
  port: number,
  together: Together,
  how: { readonly from: string; readonly connections: number; readonly trickles?: boolean },
): Loop {
  const sockets: Socket[] = [];
  const loop: Loop = {
    kept: 0,
    begun: 0,
    asked: 0,
    waits: [],
    stop: () => {
      for (const each of sockets) each.destroy();
    },
  };
  for (let i = 0; i < how.connections; i++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: how.from, noDelay: true });
    sockets.push(socket);
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    let text = '';
    let askedAt = 0;
    let number = 0;
    const begin = (): void => {
      loop.asked++;
      askedAt = together.kept;
      socket.write(`MAIL FROM:<${i}.${number++}@registrar.example>\r\nRCPT TO:<domain@registry.example>\r\nDATA\r\n`);
    };
    socket.on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\r\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('220')) socket.write('HELO client.example\r\n');
        else if (line.includes('Nice to meet you')) begin();
        else if (line.startsWith('354')) {
          loop.begun++;
          loop.waits.push(together.kept - askedAt);
          socket.write(how.trickles ? 'S' : body);
        } else if (line.includes('queued as')) {
          loop.kept++;
          together.kept++;
          begin();
          together.onKept();
        }
      }
    });
  }
  return loop;
}
