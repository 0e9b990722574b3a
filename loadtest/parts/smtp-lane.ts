// One SMTP session of a flood, on a raw socket. Takes jobs, gives each exactly one outcome: the reply, or that the connection
// went away. Commands are pipelined as RFC 2920 allows: MAIL, RCPT and DATA in one write, the next envelope in the write of
// a message. Owns its socket; connects again when it must. No stream, no promise, no timer for a message: it has to be cheap.

import { connect, type Socket } from 'node:net';
import { connect as secure } from 'node:tls';
import { wallMicros } from './notes.ts';
import type { Target } from './target.ts';

export interface Job {
  readonly index: number;
  /** Microseconds since 1970. */
  readonly scheduled: number;
  readonly sender: string;
  readonly recipient: string;
  readonly stranger: boolean;
  /** Makes the message: called when the server is ready for it. */
  readonly message: () => string;
}

export interface Outcome {
  readonly job: Job;
  /** When the final dot was written; 0 when it was not. */
  readonly sent: number;
  readonly replied: number;
  /** 0: the connection went away first. */
  readonly code: number;
  readonly reply: string;
}

export interface LaneOptions {
  readonly target: Target;
  readonly tls: boolean;
  /** A connection a message, or one kept. */
  readonly kept: boolean;
  readonly helo: string;
  readonly onOutcome: (outcome: Outcome) => void;
}

type Step = 'greeting' | 'hello' | 'starttls' | 'reset' | 'mail' | 'rcpt' | 'data' | 'dot' | 'quit';

/** How long not to connect after a connection that failed. */
const pauseMs = 100;

export class Lane {
  readonly #options: LaneOptions;
  #socket: Socket | undefined;
  #text = '';
  /** What the replies to come are for. */
  #steps: Step[] = [];
  readonly #waiting: Job[] = [];
  /** The job that is on the wire, what refused it, and when its message was written. */
  #job: Job | undefined;
  #refusal: { code: number; reply: string } | undefined;
  #sent = 0;
  /** An envelope that was refused still stands. */
  #dirty = false;
  #ready = false;
  #secured = false;
  #ended = false;
  /** QUIT has been said. */
  #leaving = false;
  /** An outcome is being told: what is given meanwhile waits for its turn. */
  #telling = false;
  /** Jobs that this connection has carried. */
  #carried = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Jobs that have no outcome yet. */
  get load(): number {
    return this.#waiting.length + (this.#job ? 1 : 0);
  }

  give(job: Job): void {
    this.#waiting.push(job);
    if (this.#telling || this.#ended) return;
    if (!this.#socket) this.#connect();
    else if (this.#ready && !this.#job) this.#next();
  }

  /** Gives up what has no outcome, and closes. */
  end(): void {
    this.#ended = true;
    const left = [...(this.#job ? [this.#job] : []), ...this.#waiting.splice(0)];
    const { onOutcome } = this.#options;
    for (const job of left) {
      const sent = job === this.#job ? this.#sent : 0;
      onOutcome({ job, sent, replied: wallMicros(), code: 0, reply: 'given up: no answer in time' });
    }
    this.#job = undefined;
    if (this.#ready) this.#socket?.end('QUIT\r\n', () => this.#socket?.destroySoon());
    else this.#socket?.destroy();
  }

  #connect(): void {
    if (this.#ended) return;
    const { host, port } = this.#options.target;
    this.#steps = ['greeting'];
    this.#secured = this.#dirty = this.#ready = this.#leaving = false;
    this.#carried = 0;
    this.#use(connect({ host, port, noDelay: true }));
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    this.#text = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#read(text));
    let why = 'the connection was closed';
    socket.on('error', (error) => (why = error.message));
    socket.once('close', () => {
      if (this.#socket === socket) this.#lost(why);
    });
  }

  #lost(why: string): void {
    this.#socket = undefined;
    let clean = this.#leaving || (this.#ready && !this.#job);
    this.#ready = false;
    if (this.#job && this.#sent === 0 && this.#carried > 0 && !this.#ended) {
      // A kept session that the server closed between two messages: nothing of this one has been said.
      this.#waiting.unshift(this.#job);
      this.#job = undefined;
      clean = true;
    }
    if (!clean) {
      // Before the envelope is out it is the first in the line that pays: each job has one outcome, and the line moves.
      const job = this.#job ?? this.#waiting.shift();
      if (job) this.#done(job, this.#refusal?.code ?? 0, this.#refusal?.reply ?? why);
    }
    if (this.#ended || this.#waiting.length === 0) return;
    if (clean) this.#connect();
    else setTimeout(() => this.#socket ?? this.#connect(), pauseMs);
  }

  #read(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n'); end !== -1; end = this.#text.indexOf('\n')) {
      const line = this.#text.slice(0, end).trimEnd();
      this.#text = this.#text.slice(end + 1);
      // Lines before the last one of a reply have a hyphen behind the code.
      if (line[3] !== '-') this.#reply(Number(line.slice(0, 3)), line);
    }
  }

  #reply(code: number, line: string): void {
    const step = this.#steps.shift();
    const well = code >= 200 && code < 300;
    if (step === 'mail' || step === 'rcpt') {
      if (!well) this.#refusal ??= { code, reply: line };
    } else if (step === 'data') {
      if (code === 354) this.#sendMessage();
      else this.#refused(code, line);
    } else if (step === 'dot') {
      const job = this.#job;
      if (job) this.#done(job, this.#refusal?.code ?? code, this.#refusal?.reply ?? line);
      this.#after();
    } else if (step === 'quit' || step === undefined) this.#socket?.destroy();
    else if (step === 'reset') this.#dirty = false;
    else if (!well) {
      this.#refusal = { code, reply: line };
      this.#socket?.destroy();
    } else if (step === 'greeting') this.#say('hello');
    else if (step === 'starttls') this.#encrypt();
    else if (this.#options.tls && !this.#secured) this.#say('starttls');
    else {
      this.#ready = true;
      this.#next();
    }
  }

  #say(step: 'hello' | 'starttls' | 'quit'): void {
    this.#steps.push(step);
    const line = { hello: `EHLO ${this.#options.helo}`, starttls: 'STARTTLS', quit: 'QUIT' }[step];
    this.#socket?.write(`${line}\r\n`);
  }

  #encrypt(): void {
    const plain = this.#socket;
    if (!plain) return;
    plain.removeAllListeners('data');
    plain.removeAllListeners('close');
    this.#secured = true;
    const { host } = this.#options.target;
    // A rehearsal's certificate is its own; the work is the same.
    const socket = secure({
      socket: plain,
      rejectUnauthorized: false,
      ...(/[a-z]/i.test(host) && { servername: host }),
    });
    this.#use(socket);
    socket.once('secureConnect', () => this.#say('hello'));
  }

  /** The commands of the next job's envelope; empty when nobody waits. */
  #envelope(job: Job | undefined): string {
    if (!job) return '';
    const reset = this.#dirty ? 'RSET\r\n' : '';
    if (this.#dirty) this.#steps.push('reset');
    this.#steps.push('mail', 'rcpt', 'data');
    return `${reset}MAIL FROM:<${job.sender}>\r\nRCPT TO:<${job.recipient}>\r\nDATA\r\n`;
  }

  #next(): void {
    this.#job = this.#waiting.shift();
    if (this.#job) this.#socket?.write(this.#envelope(this.#job), 'latin1');
  }

  #sendMessage(): void {
    if (!this.#job) return;
    this.#steps.unshift('dot');
    // Without a recipient there is nothing to send: the empty message brings the session back in step.
    const text = this.#refusal ? '' : this.#job.message();
    const following = this.#options.kept ? this.#envelope(this.#waiting[0]) : '';
    this.#sent = this.#refusal ? 0 : wallMicros();
    this.#socket?.write(`${text}.\r\n${following}`, 'latin1');
  }

  #refused(code: number, line: string): void {
    this.#dirty = true;
    const job = this.#job;
    if (job) this.#done(job, this.#refusal?.code ?? code, this.#refusal?.reply ?? line);
    // Told to go away: what comes next is a new connection.
    if (code === 421) this.#socket?.destroy();
    else this.#after();
  }

  /** A job is over: the next one, which may be on the wire already, or the end of the session. */
  #after(): void {
    if (!this.#options.kept) {
      this.#ready = false;
      this.#leaving = true;
      this.#say('quit');
    } else if (this.#steps.length > 0) this.#job = this.#waiting.shift();
    else this.#next();
  }

  #done(job: Job, code: number, reply: string): void {
    const sent = this.#sent;
    this.#job = undefined;
    this.#refusal = undefined;
    this.#sent = 0;
    this.#carried++;
    this.#telling = true;
    this.#options.onOutcome({ job, sent, replied: wallMicros(), code, reply });
    this.#telling = false;
  }
}
