// A plain SMTP client for tests: says exactly what it is told, byte for byte, and gives the replies.

import { connect, type Socket } from 'node:net';

export class SmtpClient {
  readonly socket: Socket;
  #buffer = '';
  #replies: string[] = [];
  #waiting: { resolve: (reply: string) => void; reject: (error: Error) => void }[] = [];
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  #over = false;

  /** @param localAddress the address it comes from */
  constructor(port: number, localAddress = '127.0.0.1') {
    this.socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => this.#take(text));
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.once('close', () => {
        this.#over = true;
        for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection was closed'));
        resolve();
      });
    });
  }

  #take(text: string): void {
    this.#buffer += text;
    for (;;) {
      // A reply ends with a line that has a blank behind its code.
      const match = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(this.#buffer);
      if (!match) return;
      this.#buffer = this.#buffer.slice(match[0].length);
      const waiting = this.#waiting.shift();
      if (waiting) waiting.resolve(match[0].trimEnd());
      else this.#replies.push(match[0].trimEnd());
    }
  }

  /** The next reply. Rejects when the connection is closed before it came. */
  reply(): Promise<string> {
    const known = this.#replies.shift();
    if (known !== undefined) return Promise.resolve(known);
    if (this.#over) return Promise.reject(new Error('the connection was closed'));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Sends bytes as they are. */
  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Sends a command line and gives its reply. */
  say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** Greeting and EHLO. */
  async hello(word = 'EHLO'): Promise<string> {
    await this.reply();
    return this.say(`${word} client.example`);
  }

  /** One whole message, dot-stuffed here; gives the reply to the final dot. */
  async send(
    message: string | Buffer,
    from = 'ops@registres.example',
    to = ['domain@registry.example'],
  ): Promise<string> {
    await this.say(`MAIL FROM:<${from}>`);
    for (const each of to) {
      const reply = await this.say(`RCPT TO:<${each}>`);
      if (!reply.startsWith('250')) return reply;
    }
    const ready = await this.say('DATA');
    if (!ready.startsWith('354')) return ready;
    const text = typeof message === 'string' ? message : message.toString('latin1');
    this.write(`${text.replace(/(^|\r\n)\./g, '$1..')}.\r\n`);
    return this.reply();
  }

  end(): void {
    this.socket.destroy();
  }
}
