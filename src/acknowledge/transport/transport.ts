// What carries acknowledgements away: a relay, or a folder. The words that senders and transports share.

/** A finished acknowledgement. The same request always gives the same bytes. */
export interface Outgoing {
  readonly sequence: number;
  readonly ticket: string;
  /** The one recipient: an address as in an SMTP envelope, without angle brackets. */
  readonly to: string;
  /** The whole message: ASCII (or UTF-8 where the address needs it), CRLF line ends. */
  readonly bytes: Buffer;
}

/** What became of one attempt. `code` is the reply code, 0 where there was none; `text` is clean and short. */
export interface Outcome {
  readonly kind:
    /** Accepted. */
    | 'sent'
    /** This mail not now (4xx): it has a next try of its own. */
    | 'later'
    /** This mail never (5xx). */
    | 'refused'
    /** The connection ended under this mail, or no answer came in time: this mail's try is lost, and nothing else. */
    | 'dropped'
    /** The transport itself is in trouble: no connection, 421 in place of a greeting, no right to send. */
    | 'unreachable';
  readonly code: number;
  readonly text: string;
  /** Who said so, without credentials. */
  readonly transport: string;
}

/** A transport, or a destination of one, that is left alone for a while. */
export interface Trouble {
  readonly name: string;
  readonly code: number;
  readonly text: string;
  /** Milliseconds since 1970 UTC: since when, and when the next try is due. */
  readonly since: number;
  readonly nextTry: number;
}

export interface Transport {
  /** Name for logs: host and port, never a password. */
  readonly name: string;
  /** How many sends may be under way at once. */
  readonly parallel: number;
  /** Destinations that it cannot reach just now, if it has more than one. */
  readonly troubles?: () => readonly Trouble[];
  /** Whether a domain's servers are left alone for now, so that a mail to it would be put off at once. */
  readonly isResting?: (domain: string) => boolean;
  /** Ends the pauses of its destinations: somebody says that they are back. */
  readonly tryNow?: () => void;
  /** Never rejects. After `close` everything is `unreachable`. */
  send(mail: Outgoing): Promise<Outcome>;
  /** Ends the connections; a send that is still under way is cut off and its outcome is unknown. */
  close(): void;
}
