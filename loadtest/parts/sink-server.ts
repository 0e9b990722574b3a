// An SMTP server that takes acknowledgements and keeps none: raw sockets, no stream a mail, so that it costs little beside what
// is measured. Takes how it is to misbehave, tells of each mail by its ticket. Owns its sockets. What a client says wrong
// is answered; nothing a client does ends it.

import { createServer, type Server, type Socket } from 'node:net';
import { wallMicros } from './notes.ts';
import type { SinkRecord } from './records.ts';

/** How the sink fails: of every hundred mails so many, spread evenly. */
export interface SinkFailures {
  /** Milliseconds before the answer to a mail. */
  readonly slowMs: number;
  /** Percent that get 451, 550, and a closed connection instead of an answer. */
  readonly later: number;
  readonly never: number;
  readonly drop: number;
}

export const noFailures: SinkFailures = { slowMs: 0, later: 0, never: 0, drop: 0 };

/** More than this of a mail's header is not looked at for the ticket. */
const headBytes = 8_192;

export class Sink {
  /** Mails taken, and mails answered in any way. */
  taken = 0;
  offered = 0;
  readonly #failures: SinkFailures;
  readonly #onMail: (record: SinkRecord) => void;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(failures: SinkFailures, onMail: (record: SinkRecord) => void) {
    this.#failures = failures;
    this.#onMail = onMail;
    this.#server = createServer({ noDelay: true }, (socket) => this.#session(socket));
  }

  /** Listens on loopback. @param port 0: the system picks @returns the port */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', 1024, resolve);
    });
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What becomes of the next mail: the same share of every hundred, whatever the load. */
  #fate(): 250 | 451 | 550 | 0 {
    const place = (this.offered++ * 37) % 100;
    const { later, never, drop } = this.#failures;
    if (place < later) return 451;
    if (place < later + never) return 550;
    return place < later + never + drop ? 0 : 250;
  }

  #session(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    let text = '';
    let head = '';
    let inData = false;
    let to = '';
    const read = (): void => {
      let replies = '';
      for (;;) {
        if (inData) {
          const end = text.startsWith('.\r\n') && head === '' ? 0 : text.indexOf('\r\n.\r\n');
          if (head.length < headBytes) head += text.slice(0, Math.min(headBytes, end === -1 ? text.length : end));
          if (end === -1) {
            // The end may be cut in two.
            text = text.slice(-4);
            break;
          }
          text = text.slice(end + (text.startsWith('.\r\n') && end === 0 ? 3 : 5));
          inData = false;
          const reply = this.#mail(head, to);
          head = '';
          if (reply === undefined) return void socket.destroy();
          if (this.#failures.slowMs > 0) {
            const before = replies;
            socket.pause();
            setTimeout(() => {
              socket.write(before + reply);
              read();
              socket.resume();
            }, this.#failures.slowMs);
            return;
          }
          replies += reply;
          continue;
        }
        const end = text.indexOf('\n');
        if (end === -1) {
          if (text.length > 4_096) return void socket.destroy();
          break;
        }
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'EHLO') replies += '250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n';
        else if (verb === 'DATA') {
          replies += '354 Go on\r\n';
          inData = true;
        } else if (verb === 'QUIT') {
          socket.end(`${replies}221 Bye\r\n`);
          return;
        } else {
          if (verb === 'RCPT') to = /<([^>]*)>/.exec(line)?.[1] ?? '';
          replies += '250 Ok\r\n';
        }
      }
      if (replies !== '') socket.write(replies, 'latin1');
    };
    socket.on('data', (chunk: string) => {
      text += chunk;
      read();
    });
    socket.write('220 sink.example ESMTP\r\n');
  }

  #mail(head: string, to: string): string | undefined {
    const code = this.#fate();
    const ticket = /^Seawall-Ticket: (\S+)/im.exec(head)?.[1] ?? '';
    if (code === 250) this.taken++;
    this.#onMail({ at: wallMicros(), ticket, to, code });
    if (code === 0) return undefined;
    return { 250: '250 2.0.0 Ok\r\n', 451: '451 4.3.0 Not now\r\n', 550: '550 5.1.1 Not here\r\n' }[code];
  }
}
