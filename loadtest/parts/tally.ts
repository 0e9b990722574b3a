// What a flood counts while it runs: outcomes by code, and latencies from the scheduled time. Adds up over processes and
// machines, and has the words for the end.

import { Histogram, type HistogramData, quantiles } from './histogram.ts';

export interface TallyData {
  readonly accepted: number;
  readonly refused: number;
  /** No answer: the server may have kept them or not. */
  readonly lost: number;
  readonly codes: Readonly<Record<string, number>>;
  readonly latency: HistogramData;
}

export class Tally {
  accepted = 0;
  refused = 0;
  lost = 0;
  readonly codes: Record<string, number> = {};
  /** Accepted requests, from scheduled to answered. */
  readonly latency = new Histogram();
  /** The same since the last look. */
  readonly recent = new Histogram();

  add(code: number, latencyMicros: number): void {
    this.codes[code] = (this.codes[code] ?? 0) + 1;
    if (code === 0) this.lost++;
    else if (code >= 200 && code < 300) {
      this.accepted++;
      this.latency.record(latencyMicros);
      this.recent.record(latencyMicros);
    } else this.refused++;
  }

  merge(other: TallyData): void {
    this.accepted += other.accepted;
    this.refused += other.refused;
    this.lost += other.lost;
    for (const [code, count] of Object.entries(other.codes)) this.codes[code] = (this.codes[code] ?? 0) + count;
    this.latency.merge(other.latency);
  }

  toJSON(): TallyData {
    const { accepted, refused, lost, codes } = this;
    return { accepted, refused, lost, codes, latency: this.latency.toJSON() };
  }

  /** The end of a flood in a few lines. */
  words(seconds: number): string {
    const rate = seconds > 0 ? ` (${(this.accepted / seconds).toFixed(0)}/s over ${seconds.toFixed(1)} s)` : '';
    const codes = Object.entries(this.codes).map(([code, count]) => `${code === '0' ? 'no answer' : code}: ${count}`);
    const times = Object.entries(quantiles(this.latency)).map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`);
    return [
      `accepted ${this.accepted}${rate}, refused ${this.refused}, without an answer ${this.lost}`,
      `replies   ${codes.join(', ') || 'none'}`,
      `latency   ${this.latency.count === 0 ? 'none' : times.join(', ')}   (from when each was due)`,
    ].join('\n');
  }
}
