// The sessions with one destination: kept between mails, opened when none is free. Takes mails, never more at once than its
// owner allows, gives what became of each. Never rejects. A session that breaks under a mail costs that mail a second
// try on a new connection, nothing else. Owns its sessions; what is silent for `idleMs` is closed.

import type { Clock, Timer } from '../../ports/runtime.ts';
import type { Outcome, Outgoing } from './transport.ts';
import { sanitizeLine } from '../../mail/sanitize.ts';
import { codeOf, type SmtpSession, SmtpTrouble } from './smtp-session.ts';

/** Opens a session. @throws SmtpTrouble */
export type OpenSession = (signal: AbortSignal, ended: (session: SmtpSession) => void) => Promise<SmtpSession>;

export class SmtpPool {
  readonly #name: string;
  readonly #open: OpenSession;
  readonly #clock: Clock;
  readonly #sendMs: number;
  readonly #idleMs: number;
  /** Free ones, the longest unused first. */
  #idle: { readonly session: SmtpSession; readonly since: number }[] = [];
  #underWay = new Set<{ close(): void }>();
  #timer: Timer | undefined;
  #closed = false;

  /** @param parts `sendMs` the longest one mail may take, `idleMs` the longest a session is kept unused */
  constructor(parts: { name: string; open: OpenSession; clock: Clock; sendMs: number; idleMs: number }) {
    this.#name = parts.name;
    this.#open = parts.open;
    this.#clock = parts.clock;
    this.#sendMs = parts.sendMs;
    this.#idleMs = parts.idleMs;
  }

  /** Sessions that wait for a mail. */
  get idle(): number {
    return this.#idle.length;
  }

  /** Mails under way. */
  get busy(): number {
    return this.#underWay.size;
  }

  /** Sends one mail. After `close` everything is `unreachable`. */
  async send(mail: Outgoing): Promise<Outcome> {
    let late = false;
    let session: SmtpSession | undefined;
    const opening = new AbortController();
    const task = {
      close: () => {
        opening.abort();
        session?.close();
      },
    };
    // nodemailer's timeouts count silence; this one counts everything, so that a relay that trickles is cut off too.
    const timer = this.#clock.after(this.#sendMs, () => {
      late = true;
      task.close();
    });
    this.#underWay.add(task);
    try {
      for (let second = false; ; second = true) {
        try {
          if (this.#closed) throw new SmtpTrouble('unreachable', 0, 'cut off by the stop');
          session = second ? undefined : this.#idle.pop()?.session;
          session ??= await this.#open(opening.signal, (ended) => this.#forget(ended));
          const response = await session.send(mail.to, mail.bytes);
          return { kind: 'sent', code: codeOf(response), text: sanitizeLine(response, 200), transport: this.#name };
        } catch (error) {
          const trouble = error instanceof SmtpTrouble ? error : new SmtpTrouble('unreachable', 0, String(error));
          if (trouble.kind === 'dropped' && !second && !late && !this.#closed) continue;
          return this.#outcome(trouble, late);
        }
      }
    } finally {
      timer.cancel();
      this.#underWay.delete(task);
      if (session?.usable) this.#keep(session);
    }
  }

  /** Closes the session that has waited longest for a mail. */
  closeOldest(): void {
    this.#idle.shift()?.session.quit();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const { session } of this.#idle) session.close();
    this.#idle = [];
    for (const task of this.#underWay) task.close();
  }

  #outcome({ kind, code, message }: SmtpTrouble, late: boolean): Outcome {
    const transport = this.#name;
    if (this.#closed) return { kind: 'unreachable', code: 0, text: 'cut off by the stop', transport };
    if (late) return { kind: 'dropped', code: 0, text: `no answer within ${this.#sendMs / 1000} s`, transport };
    return { kind, code, text: message, transport };
  }

  #keep(session: SmtpSession): void {
    if (this.#closed) return session.close();
    this.#idle.push({ session, since: this.#clock.elapsed() });
    this.#timer ??= this.#clock.after(this.#idleMs, () => this.#closeIdle());
  }

  #forget(session: SmtpSession): void {
    this.#idle = this.#idle.filter((each) => each.session !== session);
  }

  #closeIdle(): void {
    this.#timer = undefined;
    const now = this.#clock.elapsed();
    const stale = this.#idle.filter(({ since }) => since + this.#idleMs <= now);
    this.#idle = this.#idle.filter(({ since }) => since + this.#idleMs > now);
    for (const { session } of stale) session.quit();
    const [first] = this.#idle;
    if (first) this.#timer = this.#clock.after(first.since + this.#idleMs - now, () => this.#closeIdle());
  }
}
