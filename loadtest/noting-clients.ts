// Registrars who write everything down: many SMTP sessions that each send one request after the other, for as long as they
// are told to, through every crash of the other side. Each attempt has its own reference and its own bytes, so that a
// position in the order can be laid to exactly one attempt. Owns its sockets; a broken one is opened again.

import { createHash } from 'node:crypto';
import { SmtpClient } from '../test/support/smtp-client.ts';
import { Seeded } from './seeded.ts';

/** One attempt to hand over a request. Times are milliseconds on this process's steady clock. */
export interface Attempt {
  readonly reference: string;
  readonly sha256: string;
  readonly from: string;
  /** When the final dot was written; undefined when the server said no before. */
  dotAt?: number;
  /** When the reply to the final dot came. */
  repliedAt?: number;
  /** The last reply; undefined when the connection broke before it came: the outcome is unknown. */
  reply?: string;
  /** The connection could not be had, or broke. */
  broken?: true;
  /** Set by a 250 only. */
  ticket?: string;
}

/** How the clients work. */
export interface ClientsOptions {
  readonly port: number;
  readonly sessions: number;
  readonly seed: number;
  /** Each session waits up to so long before its next request. */
  readonly thinkMs: number;
  /** Begins every reference, so that several sets of clients keep apart. */
  readonly prefix?: string;
}

const reconnectMs = 20;

export class NotingClients {
  readonly attempts: Attempt[] = [];
  /** Connections refused or broken, and replies other than 250. */
  readonly trouble = new Map<string, number>();
  readonly #options: ClientsOptions;
  readonly #waiting = new Set<{ after: number; done: (attempt: Attempt) => void }>();
  readonly #sessions: Promise<void>[];
  #over = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#sessions = Array.from({ length: options.sessions }, (_, i) => this.#session(i + 1));
  }

  /** The next 250 for a message whose final dot was written after `after`. */
  nextKept(after: number): Promise<Attempt> {
    return new Promise((done) => this.#waiting.add({ after, done }));
  }

  /** Lets every session finish its request and leave. */
  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#sessions);
  }

  async #session(who: number): Promise<void> {
    const { port, seed, thinkMs, prefix = 'R' } = this.#options;
    const chance = new Seeded(seed * 1_000 + who);
    const from = `ops@registrar${who}.example`;
    let smtp: SmtpClient | undefined;
    let count = 0;
    while (!this.#over) {
      const reference = `${prefix}${who}-${++count}`;
      const message = messageOf(who, reference, chance);
      const attempt: Attempt = { reference, from, sha256: createHash('sha256').update(message).digest('hex') };
      this.attempts.push(attempt);
      try {
        smtp ??= await connected(port);
        await this.#send(smtp, attempt, message);
      } catch (error) {
        const words = error instanceof Error ? error.message : String(error);
        if (/^[45]\d\d/.test(words)) attempt.reply = words;
        else attempt.broken = true;
        this.#count(words);
        smtp?.end();
        smtp = undefined;
      }
      if (attempt.reply?.startsWith('421')) {
        smtp?.end();
        smtp = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, smtp ? chance.between(0, thinkMs) : reconnectMs));
    }
    smtp?.end();
  }

  async #send(smtp: SmtpClient, attempt: Attempt, message: string): Promise<void> {
    const commands = [`MAIL FROM:<${attempt.from}>`, 'RCPT TO:<domain@registry.example>', 'DATA'];
    smtp.write(commands.map((line) => `${line}\r\n`).join(''));
    const replies = [await smtp.reply(), await smtp.reply(), await smtp.reply()];
    const refused = replies.find((reply) => !/^(250|354)/.test(reply));
    if (refused !== undefined) {
      attempt.reply = refused;
      this.#count(refused);
      // Some of them may have been taken: the next request begins anew.
      if (!refused.startsWith('421')) await smtp.say('RSET');
      return;
    }
    attempt.dotAt = performance.now();
    smtp.write(`${message}.\r\n`);
    attempt.reply = await smtp.reply();
    attempt.repliedAt = performance.now();
    const ticket = /^250 2\.0\.0 Ok: queued as (\S+)$/.exec(attempt.reply)?.[1];
    if (ticket === undefined) return this.#count(attempt.reply);
    attempt.ticket = ticket;
    for (const each of this.#waiting) {
      if (attempt.dotAt <= each.after) continue;
      this.#waiting.delete(each);
      each.done(attempt);
    }
  }

  #count(what: string): void {
    this.trouble.set(what, (this.trouble.get(what) ?? 0) + 1);
  }
}

async function connected(port: number): Promise<SmtpClient> {
  const smtp = new SmtpClient(port);
  try {
    const greeting = await smtp.reply();
    if (!greeting.startsWith('220')) throw new Error(greeting);
    await smtp.say('EHLO client.example');
    return smtp;
  } catch (error) {
    smtp.end();
    throw error;
  }
}

/** Mostly small; one in thirty is large enough to be cut off on its way. */
function messageOf(who: number, reference: string, chance: Seeded): string {
  const lines = chance.between(0, 29) === 0 ? chance.between(500, 5_000) : chance.between(0, 25);
  const head = `From: Registrar ${who} <ops@registrar${who}.example>\r\nSubject: create [${reference}]\r\n`;
  const form = `1a..: C\r\n1b..: REG${who}\r\n1e..: ${reference}\r\n2a..: ${reference.toLowerCase()}.example\r\n`;
  const line = `3b..: ${'x'.repeat(chance.between(10, 60))}\r\n`;
  return `${head}Message-ID: <${reference}@registrar${who}.example>\r\n\r\n${form}${line.repeat(lines)}`;
}
