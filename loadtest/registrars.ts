// Plays registrars: many SMTP sessions at once, each sending its share of requests, one after the other, and writing down
// what it was told. Closed loop: a session sends its next request when the last one is answered.

import { SmtpClient } from '../test/support/smtp-client.ts';

/** What a registrar notes about one request. */
export interface Note {
  /** What the registrar calls it; stands in the message. */
  readonly reference: string;
  /** The ticket it was given; undefined when it was refused. */
  readonly ticket?: string;
  readonly reply: string;
  /** Milliseconds from the final dot to the reply. */
  readonly latencyMs: number;
}

export interface RegistrarsOptions {
  readonly port: number;
  readonly requests: number;
  readonly sessions: number;
  /** Begins every reference: without another one, a second play on the same spool sends copies of the first. */
  readonly prefix?: string;
  readonly onNote: (note: Note) => void;
}

/** A request in the numbered form, as registrar `who` would write it. */
function message(who: number, reference: string): string {
  return [
    `From: Registrar ${who} <ops@registrar${who}.example>`,
    'To: domain@registry.example',
    `Subject: create [${reference}]`,
    `Message-ID: <${reference}@registrar${who}.example>`,
    '',
    '1a..: C',
    `1b..: REG${who}`,
    `1e..: ${reference}`,
    `2a..: ${reference.toLowerCase()}.example`,
    '3a..: A holder of names',
    '6a..: ns1.registrar.example',
    '',
  ].join('\r\n');
}

/** Sends the requests. Resolves when every one has its answer. */
export async function playRegistrars({
  port,
  requests,
  sessions,
  prefix = 'R',
  onNote,
}: RegistrarsOptions): Promise<void> {
  let next = 0;
  const session = async (who: number): Promise<void> => {
    const smtp = new SmtpClient(port);
    try {
      await smtp.hello();
      while (next < requests) {
        const reference = `${prefix}${who}-${++next}`;
        smtp.write(`MAIL FROM:<ops@registrar${who}.example>\r\nRCPT TO:<domain@registry.example>\r\nDATA\r\n`);
        for (let i = 0; i < 3; i++) await smtp.reply();
        const began = performance.now();
        smtp.write(`${message(who, reference)}.\r\n`);
        const reply = await smtp.reply();
        const ticket = /^250 .* queued as (\S+)/.exec(reply)?.[1];
        onNote({ reference, reply, latencyMs: performance.now() - began, ...(ticket !== undefined && { ticket }) });
      }
      await smtp.say('QUIT');
    } finally {
      smtp.end();
    }
  };
  await Promise.all(Array.from({ length: sessions }, (_, i) => session(i + 1)));
}
