// The counts of the day, whichever process counted them: an intake that is started again goes on where the one before it stopped.
// Takes counters that only grow and begin at 0 with the process; gives what they have grown by since midnight, UTC. Pure.

import type { IntakeCounts } from './intake-status.ts';
import type { RegistrarsState } from './policy/registrars.ts';
import type { QuotaState } from './policy/registrar-quota.ts';

/** What is counted, as one process has it. */
export interface Counted {
  readonly counts: IntakeCounts;
  readonly registrars?: RegistrarsState;
}

/** The same for the day, as 2026-11-21. */
export interface DayCounted extends Counted {
  readonly day: string;
}

type Counters = Record<string, number>;

/** Keys of a registrar's counts among the others; strangers have no id, which no registrar has. */
const keyOf = (id: string, what: string): string => `${id} ${what}`;
const quotaCounts = ['kept', 'deferred', 'refused'] as const;
const noQuota: QuotaState = { connections: 0, inProgress: 0, waiting: 0, kept: 0, deferred: 0, refused: 0 };

function countersOf({ counts, registrars }: Counted): Counters {
  const counters: Counters = { ...counts };
  if (!registrars) return counters;
  for (const [id, state] of [['', registrars.strangers] as const, ...Object.entries(registrars.byId)])
    for (const what of quotaCounts) counters[keyOf(id, what)] = state[what];
  return counters;
}

export class DayCounts {
  #day: string;
  /** Since midnight. */
  #total: Counters;
  /** As they stood when they were looked at last. */
  #seen: Counters = {};

  /** @param before what the intake said last, whichever process that was @param today as 2026-11-21 */
  constructor(before: DayCounted | undefined, today: string) {
    this.#day = today;
    this.#total = before?.day === today ? countersOf(before) : {};
  }

  /** What has been counted today. Call it at least once a second: what is counted around midnight belongs to the day that sees it. */
  of<Now extends Counted>(now: Now, today: string): Now & DayCounted {
    if (today !== this.#day) {
      this.#day = today;
      this.#total = {};
    }
    const counters = countersOf(now);
    for (const [key, value] of Object.entries(counters)) {
      const seen = this.#seen[key] ?? 0;
      // A registrar that had gone from memory begins at 0 again.
      this.#total[key] = (this.#total[key] ?? 0) + (value >= seen ? value - seen : value);
    }
    this.#seen = counters;
    const { kept = 0, repeated = 0, deferred = 0, refused = 0 } = this.#total;
    return {
      ...now,
      day: today,
      counts: { kept, repeated, deferred, refused },
      ...(now.registrars && { registrars: this.#registrars(now.registrars) }),
    };
  }

  #registrars(registrars: RegistrarsState): RegistrarsState {
    const ofDay = (id: string, state: QuotaState): QuotaState => {
      const [kept, deferred, refused] = quotaCounts.map((what) => this.#total[keyOf(id, what)] ?? 0);
      return { ...state, kept: kept ?? 0, deferred: deferred ?? 0, refused: refused ?? 0 };
    };
    const ids = Object.keys(this.#total).flatMap((key) => /^(\S+) kept$/.exec(key)?.[1] ?? []);
    const all = new Set([...Object.keys(registrars.byId), ...ids]);
    const byId = Object.fromEntries([...all].map((id) => [id, ofDay(id, registrars.byId[id] ?? noQuota)]));
    return { ...registrars, strangers: ofDay('', registrars.strangers), byId };
  }
}
