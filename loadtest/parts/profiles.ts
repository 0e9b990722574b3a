// When requests come: each profile is a curve of arrivals over time, given as the times at which the first, second, third …
// request is due. Pure arithmetic: every node of a flood computes the same schedule and takes its own share of it.

import { WrongUse } from './options.ts';

export const profileNames = ['opening', 'steady', 'ramp', 'storm', 'spam', 'mixed'] as const;
export type ProfileName = (typeof profileNames)[number];

/** What shapes a profile. What is not given is the profile's own. */
export interface ProfileOptions {
  /** Length in seconds; for `opening`, of the curve after the quiet. */
  readonly seconds?: number;
  /** Requests a second: of `steady`, at the end of `ramp`, of the strangers in `spam` and `mixed`. */
  readonly rate?: number;
  /** Requests in all, of `storm`. */
  readonly count?: number;
  /** Seconds of quiet (one request a second) before the opening. */
  readonly quiet?: number;
  /** Makes an opening larger or smaller. */
  readonly scale?: number;
}

/** One request that is due. */
export interface Due {
  /** Milliseconds after the start. */
  readonly at: number;
  /** From somebody who is to be refused. */
  readonly stranger: boolean;
}

/** .fr, 11 May 2004: 12,000 in the first minute, 45,000 in ten. */
export const openingMinute = 12_000;
export const openingTenMinutes = 45_000;
/** The requests after the first minute come evenly, and as evenly below the rush of the first one. */
const evenly = (openingTenMinutes - openingMinute) / 540;
const rush = openingMinute - evenly * 60;
/** The rush fades with this time constant: two thirds of it are there in the first four seconds. */
const fadesSeconds = 4;

/** Requests of an opening that have come so many seconds after the doors opened. */
function opened(seconds: number): number {
  const faded = (1 - Math.exp(-seconds / fadesSeconds)) / (1 - Math.exp(-60 / fadesSeconds));
  return evenly * seconds + rush * Math.min(1, faded);
}

/** The times (seconds) at which a growing curve passes 1, 2, 3 … up to its value at `end`. */
function crossings(curve: (seconds: number) => number, end: number): number[] {
  const count = Math.round(curve(end));
  const times: number[] = [];
  for (let n = 1; n <= count; n++) {
    // Half a request early, so that the last one is due before the end and not at it.
    let [low, high] = [times.at(-1) ?? 0, end];
    for (let step = 0; step < 40 && high - low > 1e-6; step++) {
      const middle = (low + high) / 2;
      if (curve(middle) < n - 0.5) low = middle;
      else high = middle;
    }
    times.push(high);
  }
  return times;
}

const even = (rate: number, seconds: number): number[] =>
  Array.from({ length: Math.round(rate * seconds) }, (_, i) => (i + 0.5) / rate);

function openingTimes({ seconds = 600, quiet = 10, scale = 1 }: ProfileOptions): number[] {
  const rushed = crossings((at) => scale * opened(at), seconds).map((at) => quiet + at);
  return [...even(1, quiet), ...rushed];
}

/** The most requests that a schedule may hold. */
const limit = 5_000_000;

const dueAt = (times: readonly number[], stranger: boolean): Due[] => times.map((at) => ({ at: at * 1000, stranger }));

/** The whole schedule of a profile, in the order of time. @throws WrongUse when it would be too large */
export function schedule(name: ProfileName, options: ProfileOptions): Due[] {
  const { seconds = 60, rate, count = 12_000 } = options;
  const inOpening = (options.scale ?? 1) * opened(options.seconds ?? 600);
  const flow = (rate ?? (name === 'spam' ? 500_000 / 60 : 1000)) * seconds;
  const inAll = name === 'storm' ? count : name === 'opening' ? inOpening : name === 'mixed' ? inOpening + flow : flow;
  if (inAll > limit) {
    throw new WrongUse(`This ${name} would be more than ${limit} requests: make it shorter or slower.`);
  }
  if (name === 'opening') return dueAt(openingTimes(options), false);
  if (name === 'steady') return dueAt(even(rate ?? 100, seconds), false);
  if (name === 'ramp')
    return dueAt(
      crossings((at) => ((rate ?? 1000) * at * at) / (2 * seconds), seconds),
      false,
    );
  if (name === 'storm') return Array.from({ length: count }, () => ({ at: 0, stranger: false }));
  // 500,000 a minute is what OnetPoczta saw.
  if (name === 'spam') return dueAt(even(rate ?? 500_000 / 60, seconds), true);
  const length = (options.quiet ?? 10) + (options.seconds ?? 600);
  const all = [...dueAt(openingTimes(options), false), ...dueAt(even(rate ?? 100, length), true)];
  return all.toSorted((a, b) => a.at - b.at);
}

/** The share of node `node` (1 to `nodes`): every so-manieth request, so that all nodes together are the whole. */
export function shareOf<T>(all: readonly T[], node: number, nodes: number): { index: number; due: T }[] {
  return all.flatMap((due, i) => (i % nodes === node - 1 ? [{ index: i + 1, due }] : []));
}

/** Reads `2/4`. */
export function nodeFrom(text: string): { node: number; nodes: number } {
  const [, node = NaN, nodes = NaN] = /^(\d{1,4})\/(\d{1,4})$/.exec(text)?.map(Number) ?? [];
  if (node >= 1 && node <= nodes) return { node, nodes };
  throw new WrongUse(`--node wants which of how many, such as 2/4, but got ${JSON.stringify(text)}.`);
}
