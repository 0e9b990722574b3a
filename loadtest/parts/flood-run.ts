// Runs a flood: gives jobs to lanes, when they are due (open loop) or as fast as answers come (closed loop). Takes a plan,
// tells of each outcome. In the open loop a server that stalls changes nothing about when requests are due: they wait in
// their lane, and their latency counts from when they were due.

import type { MakeMail } from './forms.ts';
import { Lane, type Job, type Outcome } from './smtp-lane.ts';
import { wallMicros } from './notes.ts';
import type { Due } from './profiles.ts';
import { deferred } from '../../src/lib/async.ts';
import type { Target } from './target.ts';

/** One request of the schedule, with its number in the whole flood. */
interface Work {
  readonly index: number;
  readonly due: Due;
}

export interface FloodPlan {
  readonly target: Target;
  /** In the order of time. */
  readonly work: readonly Work[];
  /** Sessions at once. */
  readonly sessions: number;
  readonly kept: boolean;
  readonly tls: boolean;
  /** Each lane takes its next request when the last one is answered, whatever the schedule says. */
  readonly closed: boolean;
  /** Microseconds since 1970 at which the schedule begins. */
  readonly start: number;
  readonly registrars: readonly string[];
  readonly recipient: string;
  /** Whom strangers write to. */
  readonly strangersTo: string;
  readonly makeMail: MakeMail;
  readonly referenceOf: (index: number) => string;
  /** How long to wait for answers after the last request was due, in milliseconds. */
  readonly patienceMs: number;
}

/** Answers that a run can still be asked for. */
export interface Running {
  /** Resolves when every request has its outcome. */
  readonly done: Promise<void>;
  /** Requests that were due so far. */
  readonly due: () => number;
  /** Ends it now: what has no outcome is given up. */
  readonly stop: () => void;
}

export function startFlood(plan: FloodPlan, onOutcome: (outcome: Outcome) => void): Running {
  const { work, registrars, start } = plan;
  let next = 0;
  let answered = 0;
  const done = deferred<void>();
  const lanes: Lane[] = [];
  let timer: NodeJS.Timeout | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let over = false;

  const end = (): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    clearTimeout(deadline);
    for (const lane of lanes) lane.end();
    done.resolve();
  };

  const jobOf = ({ index, due }: Work, scheduled: number): Job => {
    const registrar = registrars[index % registrars.length] ?? '';
    const sender = due.stranger ? `win${index}@stranger${index % 1000}.example` : registrar;
    const reference = plan.referenceOf(index);
    return {
      index,
      scheduled,
      sender,
      recipient: due.stranger ? plan.strangersTo : plan.recipient,
      stranger: due.stranger,
      message: () => plan.makeMail(index, reference, sender),
    };
  };

  const arm = (): void => {
    deadline ??= setTimeout(end, plan.patienceMs);
  };

  /** Closed loop: what comes next in the schedule, now. */
  const giveNext = (lane: Lane): void => {
    const one = work.at(next);
    if (!one) return arm();
    next++;
    lane.give(jobOf(one, wallMicros()));
  };

  for (let lane = 0; lane < plan.sessions; lane++) {
    const { target, tls, kept } = plan;
    const options = { target, tls, kept, helo: `lane${lane}.flood.example` };
    const mine = new Lane({
      ...options,
      onOutcome: (outcome) => {
        answered++;
        onOutcome(outcome);
        if (over) return;
        if (plan.closed) giveNext(mine);
        if (answered === work.length) setImmediate(end);
      },
    });
    lanes.push(mine);
  }

  // A registrar has lanes of its own when there are enough of them.
  const groups: Lane[][] = Array.from({ length: Math.min(registrars.length, lanes.length) }, () => []);
  for (const [i, lane] of lanes.entries()) groups.at(i % groups.length)?.push(lane);

  /** Among the lanes of its registrar the first that is free, or the one with the least to do. */
  const laneFor = (index: number): Lane | undefined => {
    let best: Lane | undefined;
    for (const lane of groups.at(index % groups.length) ?? []) {
      if (!best || lane.load < best.load) best = lane;
      if (best.load === 0) break;
    }
    return best;
  };

  const tick = (): void => {
    const now = wallMicros();
    for (let one = work.at(next); one; one = work.at(++next)) {
      const due = start + one.due.at * 1000;
      if (due > now) {
        timer = setTimeout(tick, Math.min(1_000, Math.max(1, (due - now) / 1000)));
        return;
      }
      laneFor(one.index)?.give(jobOf(one, Math.round(due)));
    }
    arm();
  };

  if (work.length === 0) setImmediate(end);
  else if (plan.closed) {
    timer = setTimeout(
      () => {
        for (const lane of lanes) giveNext(lane);
      },
      Math.max(0, (start - wallMicros()) / 1000),
    );
  } else tick();
  return { done: done.promise, due: () => next, stop: end };
}
