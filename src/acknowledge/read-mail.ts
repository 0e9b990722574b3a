// Reads what people see of a mail: subject and text, decoded. Takes a bounded piece, gives both, or undefined when it
// cannot be understood; never rejects. Bounded by the piece, by lines and by time: a parser that does not come to an
// end is left alone. HTML is turned into text by html-text.ts, never by the parser, and no links are looked for.

import { simpleParser } from 'mailparser';
import type { Clock } from '../ports/runtime.ts';
import { htmlToLines } from './html-text.ts';

/** What can be read of a mail. Lines come as they are: not cleaned, not trimmed. */
export interface Readable {
  readonly subject: string;
  readonly lines: readonly string[];
}

const linesMax = 5_000;
const lineLengthMax = 1_000;
/** Far more than any piece takes, because what is quoted must not depend on how busy the machine is. */
export const parseMs = 30_000;

const quick = {
  skipHtmlToText: true,
  skipTextToHtml: true,
  skipTextLinks: true,
  skipImageLinks: true,
  keepCidLinks: true,
};

/** Subject and text lines of a mail, or undefined when the parser fails. */
export async function readMail(piece: Buffer, clock: Clock): Promise<Readable | undefined> {
  let giveUp: (late: undefined) => void;
  const late = new Promise<undefined>((resolve) => (giveUp = resolve));
  const timer = clock.after(parseMs, () => giveUp(undefined));
  try {
    const mail = await Promise.race([simpleParser(piece, quick), late]);
    if (mail === undefined) return undefined;
    const text = mail.text ?? '';
    const html = typeof mail.html === 'string' ? mail.html : '';
    const lines = text.trim() === '' ? htmlToLines(html) : text.split(/\r?\n/, linesMax);
    return { subject: mail.subject ?? '', lines: lines.slice(0, linesMax).map((line) => line.slice(0, lineLengthMax)) };
  } catch {
    return undefined;
  } finally {
    timer.cancel();
  }
}
