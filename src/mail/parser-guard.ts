// Keeps a mail that no parser comes to the end of from stopping a stage. Takes requests on their way to the parser, gives
// their lines, or undefined for a mail that is set aside: an error in the log, once, and a note so that it is never tried
// again. A mail that ends the whole process cannot be noted afterwards: so the first mails after each start, among them all
// that were under way when the process before died, are noted before and after.

import type { Logger } from '../lib/logger.ts';
import type { StoredRequest } from '../model/request.ts';
import type { Clock } from '../ports/runtime.ts';
import { type MimeParser, NoParserError, PoisonError } from './mime-parser.ts';
import type { Parse } from './read-text.ts';

/** A mail that the process died over so often, without another one in between, is not tried again: kill -9 happens too. */
const deathsMax = 3;

/** What is noted of a mail's parsing, to be remembered across restarts. */
export type ParseEvent =
  /** A parser is about to look at the mail, for the so manieth time without an end: whatever ends the process now is its doing. */
  | { readonly type: 'reading'; readonly sequence: number; readonly times: number }
  /** The parser came to an end with it. */
  | { readonly type: 'read'; readonly sequence: number }
  /** No parser comes to an end with it: it is never read again. Says nothing about how the request is settled. */
  | { readonly type: 'poisoned'; readonly sequence: number; readonly at: number; readonly text: string };

/** What was noted so far. */
interface ParseNotes {
  isPoisoned(sequence: number): boolean;
  /** How many times the parsing of this mail began and never ended. */
  beganReading(sequence: number): number;
}

interface Parts {
  readonly parser: MimeParser;
  readonly state: ParseNotes;
  /** Puts an event on stable storage and applies it to `state`. */
  readonly note: (event: ParseEvent) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many of the first mails are noted beforehand: at least as many as can be under way at once. */
  readonly suspects: number;
}

export class ParserGuard {
  readonly #parts: Parts;
  #begun = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** How one request's mail is to be parsed. Rejects only when a note cannot be written. */
  parseOf(request: StoredRequest): Parse {
    return (piece) => this.#parse(request, piece);
  }

  async #parse(request: StoredRequest, piece: Buffer): Promise<readonly string[] | undefined> {
    const { parser, state, note, log, suspects } = this.#parts;
    const { sequence, ticket } = request;
    if (state.isPoisoned(sequence)) return undefined;
    const deaths = state.beganReading(sequence);
    if (deaths >= deathsMax) {
      await this.#setAside(request, `the process died ${deaths} times while it was read`);
      return undefined;
    }
    const noted = this.#begun++ < suspects;
    const begin = (): Promise<void> => note({ type: 'reading', sequence, times: deaths + 1 });
    try {
      const lines = await parser.read(piece, noted ? begin : undefined);
      if (noted) await note({ type: 'read', sequence });
      return lines;
    } catch (error) {
      if (error instanceof PoisonError) await this.#setAside(request, error.message);
      else if (error instanceof NoParserError)
        log.warn({ sequence, ticket, reason: error.message }, 'mail was not parsed');
      else throw error;
      return undefined;
    }
  }

  async #setAside({ sequence, ticket }: StoredRequest, reason: string): Promise<void> {
    this.#parts.log.error({ sequence, ticket, reason }, 'mail set aside: it is kept, but nothing in it will be read');
    await this.#parts.note({ type: 'poisoned', sequence, at: this.#parts.clock.now(), text: reason });
  }
}
