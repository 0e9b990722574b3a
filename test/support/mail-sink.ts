// A real SMTP server that takes acknowledgements, and answers as a test tells it to. On loopback, on a free port.

import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface Taken {
  readonly from: string;
  readonly to: string;
  /** The message as it came over the wire, dots removed. */
  readonly text: string;
  readonly ticket: string;
}

/** What the sink says to one mail: undefined takes it; `never` keeps silent for good, `drop` cuts the connection. */
export type Answer = (to: string, ticket: string) => { code: number; text: string } | 'never' | 'drop' | undefined;

export interface SinkOptions {
  readonly port?: number;
  readonly user?: string;
  readonly pass?: string;
  readonly greeting?: { readonly code: number; readonly text: string };
  /** Offers STARTTLS, or with `secure` speaks TLS from the first byte. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly secure?: boolean };
}

export class MailSink {
  readonly taken: Taken[] = [];
  /** Mails offered, taken or not. */
  offered = 0;
  connections = 0;
  answer: Answer = () => undefined;
  readonly #server: SMTPServer;
  /** Connections open now, and the most at once so far. */
  readonly sockets = new Map<number | undefined, Socket>();
  most = 0;
  /** Logins tried, right or wrong. */
  logins = 0;
  /** Mails that came under TLS. */
  secured = 0;
  #changed = new Set<() => void>();

  private constructor(options: SinkOptions) {
    const disabled = [...(options.user === undefined ? ['AUTH'] : []), ...(options.tls ? [] : ['STARTTLS'])];
    this.#server = new SMTPServer({
      authOptional: options.user === undefined,
      allowInsecureAuth: true,
      disabledCommands: disabled,
      ...options.tls,
      disableReverseLookup: true,
      closeTimeout: 1,
      onConnect: (_session, done) => {
        this.connections++;
        this.#wake();
        done(options.greeting ? reply(options.greeting) : undefined);
      },
      onAuth: (auth, _session, done) => {
        this.logins++;
        if (auth.username === options.user && auth.password === options.pass) done(null, { user: auth.username });
        else {
          const wire = Buffer.from(`\0${auth.username}\0${auth.password}`).toString('base64');
          done(reply({ code: 535, text: `5.7.8 not taken: ${wire} (${auth.password})` }));
        }
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const ticket = /^Seawall-Ticket: (\S+)/m.exec(text)?.[1] ?? '';
          const { mailFrom, rcptTo } = session.envelope;
          const to = rcptTo[0]?.address ?? '';
          this.offered++;
          if (session.secure) this.secured++;
          const answer = this.answer(to, ticket);
          if (answer === undefined) {
            this.taken.push({ from: mailFrom === false ? '' : (mailFrom?.address ?? ''), to, text, ticket });
            done(null);
          } else if (answer === 'drop') this.sockets.get(session.remotePort)?.destroy();
          else if (answer !== 'never') done(reply(answer));
          this.#wake();
        });
      },
    });
    this.#server.on('error', () => undefined);
    this.#server.server.on('connection', (socket: Socket) => {
      const port = socket.remotePort;
      this.sockets.set(port, socket);
      this.most = Math.max(this.most, this.sockets.size);
      socket.once('close', () => {
        this.sockets.delete(port);
        this.#wake();
      });
    });
  }

  static async open(options: SinkOptions = {}): Promise<MailSink> {
    const sink = new MailSink(options);
    await new Promise<void>((resolve) => sink.#server.listen(options.port ?? 0, '127.0.0.1', resolve));
    return sink;
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.port}`;
  }

  /** Resolves when the condition holds; looked at after everything that the sink sees. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#changed.delete(wake);
          resolve();
        };
        this.#changed.add(wake);
      });
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #wake(): void {
    for (const wake of this.#changed) wake();
  }
}

function reply({ code, text }: { code: number; text: string }): Error {
  return Object.assign(new Error(text), { responseCode: code });
}
