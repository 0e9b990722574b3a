// Whose message may begin: weighted fair turns between registrars, before DATA. Takes who asks, calls back when it may go on.
// Everyone has places of its own (`own`); the common ones go round in turn by weight (start-time fair queueing, Goyal et
// al. 1996), one message at a time. Owns the queues, whose lengths are bounded by the connections of those who wait.

/** One who takes part. The counts are this module's; weight and bounds may change at any moment. */
export class Flow {
  weight: number;
  /** Places that nobody else ever sits on. */
  own: number;
  /** The most of its messages at once. */
  most: number;
  /** Messages between their turn and their end; and how many of them sit on common places. */
  inProgress = 0;
  common = 0;
  readonly waiting = new Set<Permit>();
  /** Virtual time at which its next common turn begins. */
  start = 0;

  constructor(weight: number, own: number, most: number) {
    this.weight = weight;
    this.own = own;
    this.most = most;
  }
}

/** One message that waits for its place, or has it. */
export interface Permit {
  readonly claimant: Flow;
  readonly go: (turn: Permit) => void;
}

/** A turn is a message of up to so many bytes; a larger one has used as many turns as it has of these begun. */
const turnBytes = 65_536;

export class FairQueue {
  readonly #common: number;
  #commonUsed = 0;
  /** Virtual time: the start of the latest common turn. */
  #now = 0;
  /** Who has somebody waiting, in the order in which they began to. */
  readonly #queues = new Set<Flow>();

  /** @param common places that go round in turn */
  constructor(common: number) {
    this.#common = common;
  }

  /**
   * Asks for a place; `go` runs at once or later, exactly once, unless the turn is given up before.
   * Every turn that got its place must end with `release`.
   */
  ask(claimant: Flow, go: Permit['go']): Permit {
    const turn = { claimant, go };
    const { waiting } = claimant;
    if (waiting.size === 0 && this.#mayGo(claimant)) return this.#begin(turn);
    waiting.add(turn);
    this.#queues.add(claimant);
    return turn;
  }

  /** A turn that still waits is given up. */
  giveUp(turn: Permit): void {
    const { claimant } = turn;
    if (claimant.waiting.delete(turn) && claimant.waiting.size === 0) this.#queues.delete(claimant);
  }

  /** A message is kept, refused or gone. @param bytes its size */
  release({ claimant }: Permit, bytes: number): void {
    claimant.inProgress--;
    if (claimant.common > 0) {
      claimant.common--;
      this.#commonUsed--;
      claimant.start += Math.max(0, Math.ceil(bytes / turnBytes) - 1) / claimant.weight;
    }
    this.serve();
  }

  /** Lets go whoever may; to be called when bounds have become wider. */
  serve(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      const [turn] = next.waiting;
      if (!turn) return;
      this.giveUp(turn);
      this.#begin(turn);
    }
  }

  /** Whose turn it is: first who sits on less than its own places, then the earliest in virtual time. */
  #next(): Flow | undefined {
    let next: Flow | undefined;
    for (const each of this.#queues) {
      if (!this.#mayGo(each)) continue;
      if (ownFree(each)) return each;
      if (!next || each.start < next.start) next = each;
    }
    return next;
  }

  #mayGo(claimant: Flow): boolean {
    return claimant.inProgress < claimant.most && (ownFree(claimant) || this.#commonUsed < this.#common);
  }

  #begin(turn: Permit): Permit {
    const { claimant } = turn;
    if (!ownFree(claimant)) {
      this.#commonUsed++;
      claimant.common++;
      // Whoever could not go for a while, by bounds of its own, has not saved up turns.
      this.#now = Math.max(this.#now, claimant.start);
      claimant.start = this.#now + 1 / claimant.weight;
    }
    claimant.inProgress++;
    turn.go(turn);
    return turn;
  }
}

function ownFree({ inProgress, common, own }: Flow): boolean {
  return inProgress - common < own;
}
