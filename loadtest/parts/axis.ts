// The time axis of a report: puts events into steps of time, and makes rates and depths of them. Pure arithmetic.

/** One value for each step; null where there is none. */
export type Values = readonly (number | null)[];

/** At most so many steps: more do not fit on a page. */
const stepsMost = 300;
const stepsSeconds = [0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3_600];

export class Axis {
  readonly start: number;
  readonly step: number;
  readonly count: number;

  constructor(start: number, end: number) {
    const seconds = Math.max(1, (end - start) / 1e6);
    this.start = start;
    this.step = stepsSeconds.find((each) => seconds / each <= stepsMost) ?? 86_400;
    this.count = Math.floor(seconds / this.step) + 1;
  }

  at(micros: number): number {
    return Math.min(this.count - 1, Math.max(0, Math.floor((micros - this.start) / 1e6 / this.step)));
  }

  zeros(): number[] {
    return Array.from({ length: this.count }, () => 0);
  }

  /** Events a second, from the times of events. */
  rate(times: Iterable<number>): number[] {
    const values = this.zeros();
    for (const time of times) bump(values, this.at(time), 1 / this.step);
    return values.map((each) => Math.round(each * 100) / 100);
  }

  /** How many had come and not gone at the end of each step. */
  depth(came: Iterable<number>, gone: Iterable<number>): number[] {
    const values = this.zeros();
    for (const time of came) bump(values, this.at(time), 1);
    for (const time of gone) bump(values, this.at(time), -1);
    let sum = 0;
    return values.map((each) => Math.max(0, (sum += each)));
  }
}

function bump(values: number[], place: number, by: number): void {
  values[place] = (values[place] ?? 0) + by;
}

/** Between two samples the last one holds. */
export function held(values: Values): Values {
  const last = values.findLastIndex((each) => each !== null);
  let before: number | null = null;
  return values.map((value, i) => (i > last ? null : (before = value ?? before)));
}
