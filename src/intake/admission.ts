// Who may come in, and how much at once. Takes what the SMTP session knows, gives nothing or a refusal with its reply. Every
// limit of the intake is looked at here and nowhere else. Local trouble is 4xx, always: the sender will come again.

/** A reply other than 250. The text begins with the enhanced status code (RFC 3463). */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly responseCode: number;

  constructor(code: number, text: string) {
    super(text);
    this.responseCode = code;
  }
}

/** What the intake may hold. */
export interface AdmissionLimits {
  readonly connections: number;
  readonly bufferedBytes: number;
  /** Lower-case addresses that take requests; empty: any. */
  readonly recipients: readonly string[];
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #recipients: ReadonlySet<string>;
  #buffered = 0;
  /** Why nothing is taken at the moment: set until the log is open, and again when it is lost. */
  closedBecause: string | undefined = 'starting';
  /** Whether the disk has too little room for new mail; what is on its way may finish. */
  belowFloor = false;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    this.#recipients = new Set(limits.recipients.map((each) => each.toLowerCase()));
  }

  /** @param connections how many there are, this one included */
  connect(connections: number): Refusal | undefined {
    if (this.closedBecause !== undefined)
      return new Refusal(421, `4.3.2 Not ready (${this.closedBecause}), try again later`);
    if (connections > this.#limits.connections) return new Refusal(421, '4.7.0 Too many connections, try again later');
    return undefined;
  }

  mail(): Refusal | undefined {
    if (this.closedBecause !== undefined)
      return new Refusal(451, `4.3.2 Not ready (${this.closedBecause}), try again later`);
    if (this.belowFloor)
      return new Refusal(452, '4.3.1 Too little room on the disk (spool.floor_bytes), try again later');
    if (this.#buffered >= this.#limits.bufferedBytes) return this.#full();
    return undefined;
  }

  recipient(address: string): Refusal | undefined {
    if (this.#recipients.size === 0 || this.#recipients.has(address.toLowerCase())) return undefined;
    return new Refusal(550, '5.1.1 No such recipient here');
  }

  /** Room for so many more message bytes in memory. What was reserved is given back with `release`. */
  reserve(bytes: number): Refusal | undefined {
    if (this.#buffered + bytes > this.#limits.bufferedBytes) return this.#full();
    this.#buffered += bytes;
    return undefined;
  }

  release(bytes: number): void {
    this.#buffered -= bytes;
  }

  #full(): Refusal {
    return new Refusal(452, '4.3.1 Too many messages in progress, try again later');
  }
}
