// The hour and the clock for `seawall status`: takes the opening as configured, a moment and what is known of the clock;
// gives a report, and words for it. Pure.

import { countdown, type Hour, type Opening, type Phase, standingAt } from '../model/opening.ts';
import type { ClockView } from './views.ts';

/** A phase as the report shows it. Times carry the offset from UTC that the configuration means. */
interface PhaseReport {
  readonly name: string;
  readonly number: number;
  readonly at: string;
}

/** Where the opening stands. */
export interface OpeningReport {
  /** `always`: nothing is configured. */
  readonly state: 'always' | 'before' | 'open' | 'closed';
  readonly phases: number;
  /** The phase in force. */
  readonly phase: PhaseReport | null;
  /** The phase to come. */
  readonly next: (PhaseReport & { readonly inSeconds: number }) | null;
  readonly closes: { readonly at: string; readonly inSeconds: number } | null;
}

/** What is known of the clock; null where nobody knows. */
export interface ClockReport {
  readonly synchronised: boolean | null;
  /** Milliseconds that it is ahead; negative: behind. */
  readonly offsetMs: number | null;
  readonly source: string | null;
  /** Why the opening waits for it. */
  readonly trouble: string | null;
}

const shown = ({ name, number, words }: Phase): PhaseReport => ({ name, number, at: words });

/** @param now milliseconds since 1970 UTC */
export function openingReport(opening: Opening, now: number): OpeningReport {
  const { state, phase, next } = standingAt(opening, now);
  const until = ({ at }: Hour): number => Math.ceil((at - now) / 1000);
  const { phases, closes } = opening;
  return {
    state,
    phases: phases.length,
    phase: phase ? shown(phase) : null,
    next: next ? { ...shown(next), inSeconds: until(next) } : null,
    closes: closes ? { at: closes.words, inSeconds: until(closes) } : null,
  };
}

/** A time as people read it: 2026-12-01 09:00:00 +01:00. */
function readable(words: string): string {
  return words.replace('T', ' ').replace(/(Z|[+-]\d\d:\d\d)$/, ' $1');
}

const wait = (seconds: number): string => countdown(seconds * 1000);

/** The opening as one line. */
export function formatOpening({ state, phases, phase, next, closes }: OpeningReport): string {
  const of = ({ number, name }: PhaseReport): string =>
    `phase ${number} of ${phases}${name === String(number) ? '' : `: ${name}`}`;
  if (state === 'always') return 'always open (opening.phases is empty)';
  if (state === 'closed') return `Closed since ${readable(closes?.at ?? '')}`;
  const end = closes ? `; closes in ${wait(closes.inSeconds)} at ${readable(closes.at)}` : '';
  if (state === 'before' && next) return `Opens in ${wait(next.inSeconds)} at ${readable(next.at)} (${of(next)})`;
  const since = phase ? `Open since ${readable(phase.at)}, ${of(phase)}` : 'Open';
  return `${since}${next ? `; in ${wait(next.inSeconds)} at ${readable(next.at)} ${of(next)}` : ''}${end}`;
}

/** @param trouble why the running intake's opening waits for the clock */
export function clockReport({ synchronised, offsetMs, source }: ClockView, trouble: string | undefined): ClockReport {
  return {
    synchronised: synchronised ?? null,
    offsetMs: offsetMs ?? null,
    source: source === '' ? null : source,
    trouble: trouble ?? null,
  };
}

/** The clock as one line. */
export function formatClock({ synchronised, offsetMs, source, trouble }: ClockReport): string {
  const known =
    synchronised === null ? 'not known to be synchronised' : synchronised ? 'synchronised' : 'NOT SYNCHRONISED';
  const off = offsetMs === null ? '' : `, ${Math.abs(offsetMs)} ms ${offsetMs < 0 ? 'behind' : 'ahead'}`;
  return `${known}${off}${source === null ? '' : ` (${source})`}${trouble === null ? '' : `; THE OPENING WAITS: ${trouble}`}`;
}
