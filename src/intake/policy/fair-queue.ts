// Whose message may begin: weighted fair queueing between registrars, before DATA. Takes who asks, calls back when it may go on.
// Everyone has permits of its own (`own`); the common ones go round by weight (start-time fair queueing, Goyal et
// al. 1996), one message at a time. Owns the queues, whose lengths are bounded by the connections of those who wait.

/** One who takes part. The counts are this module's; weight and bounds may change at any moment. */
export class Flow {
  weight: number;
  /** Permits that nobody else ever has. */
  own: number;
  /** The most of its messages at once. */
  most: number;
  /** Messages between their permit and their end; and how many of them have a common permit. */
  inProgress = 0;
  common = 0;
  readonly waiting = new Set<Permit>();
  /** Messages that had a common permit and went on without it: they take so long that others waited. */
  readonly aside = new Set<Permit>();
  /** Virtual time at which its next common permit begins. */
  start = 0;

  constructor(weight: number, own: number, most: number) {
    this.weight = weight;
    this.own = own;
    this.most = most;
  }
}

/** One message that may go on, or waits until it may. */
export interface Permit {
  readonly flow: Flow;
  readonly go: (permit: Permit) => void;
}

/** A permit is for a message of up to so many bytes; a larger one has used as many as it has of these begun. */
const permitBytes = 65_536;

export class FairQueue {
  readonly #common: number;
  #commonUsed = 0;
  /** Virtual time: the start of the latest common permit. */
  #now = 0;
  /** Who has somebody waiting, in the order in which they began to. */
  readonly #queues = new Set<Flow>();

  /** @param common permits that go round */
  constructor(common: number) {
    this.#common = common;
  }

  /**
   * Asks for a permit; `go` runs at once or later, exactly once, unless it is given up before.
   * Every permit that was given must end with `release`.
   */
  ask(flow: Flow, go: Permit['go']): Permit {
    const permit = { flow, go };
    const { waiting } = flow;
    if (waiting.size === 0 && this.#mayGo(flow)) return this.#begin(permit);
    waiting.add(permit);
    this.#queues.add(flow);
    return permit;
  }

  /** A permit that was not given yet is given up. */
  giveUp(permit: Permit): void {
    const { flow } = permit;
    if (flow.waiting.delete(permit) && flow.waiting.size === 0) this.#queues.delete(flow);
  }

  /** A message is kept, refused or gone. @param bytes what it cost: its size, or as much as its lines stand for */
  release(permit: Permit, bytes: number): void {
    const { flow } = permit;
    flow.inProgress--;
    const aside = flow.aside.delete(permit);
    if (aside || flow.common > 0) {
      if (!aside) this.#giveBack(flow);
      flow.start += Math.max(0, Math.ceil(bytes / permitBytes) - 1) / flow.weight;
    }
    this.serve();
  }

  /**
   * A message takes long. If another flow waits for a common permit, one of this flow's is given back and the message goes on
   * without: whoever lets bytes drip holds no common permit for longer than it takes to notice.
   */
  setAside(permit: Permit): void {
    const { flow } = permit;
    if (flow.common === 0 || flow.aside.has(permit)) return;
    let wanted = false;
    for (const each of this.#queues) wanted ||= each !== flow && each.inProgress < each.most;
    if (!wanted) return;
    flow.aside.add(permit);
    this.#giveBack(flow);
    this.serve();
  }

  #giveBack(flow: Flow): void {
    flow.common--;
    this.#commonUsed--;
  }

  /** Lets go whoever may; to be called when bounds have become wider. */
  serve(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      const [permit] = next.waiting;
      if (!permit) return;
      this.giveUp(permit);
      this.#begin(permit);
    }
  }

  /** Who is next: first who has less than its own permits, then the earliest in virtual time. */
  #next(): Flow | undefined {
    let next: Flow | undefined;
    for (const each of this.#queues) {
      if (!this.#mayGo(each)) continue;
      if (ownFree(each)) return each;
      if (!next || each.start < next.start) next = each;
    }
    return next;
  }

  #mayGo(flow: Flow): boolean {
    return flow.inProgress < flow.most && (ownFree(flow) || this.#commonUsed < this.#common);
  }

  #begin(permit: Permit): Permit {
    const { flow } = permit;
    if (!ownFree(flow)) {
      this.#commonUsed++;
      flow.common++;
      // Whoever could not go for a while, by bounds of its own, has saved up nothing.
      this.#now = Math.max(this.#now, flow.start);
      flow.start = this.#now + 1 / flow.weight;
    }
    flow.inProgress++;
    permit.go(permit);
    return permit;
  }
}

function ownFree({ inProgress, common, aside, own }: Flow): boolean {
  return inProgress - common - aside.size < own;
}
