// What the hostile tests share: an intake on a real spool, and the words before a message.

import type { TestContext } from 'node:test';
import { intakeOn, type RunningIntake } from './intake.ts';
import type { SmtpClient } from './smtp-client.ts';
import { temporaryFolder } from './spool.ts';

interface House extends RunningIntake {
  readonly spool: string;
}

/** An intake that tells copies apart from nothing: here the same message is sent many times on purpose. */
export async function house(t: TestContext, settings: Record<string, string> = {}): Promise<House> {
  const spool = await temporaryFolder(t);
  return { ...(await intakeOn(t, spool, { SEAWALL_SMTP_DUPLICATE_SECONDS: '0', ...settings })), spool };
}

export async function announce(smtp: SmtpClient): Promise<void> {
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
}

export function stuffed(message: string): string {
  return `${message.replace(/(^|\r\n)\./g, '$1..')}.\r\n`;
}
