// When mail is taken: the hour of the opening, its phases, its end. Takes the words of the configuration, gives instants, and
// tells where a moment stands between them. Pure. A time that does not exist, or exists twice, is an Error that says why.

/** An instant, and how it was meant: with the offset from UTC that holds there then, as 2026-12-01T09:00:00+01:00. */
export interface Hour {
  /** Milliseconds since 1970 UTC. */
  readonly at: number;
  readonly words: string;
}

/** From its hour to the next phase's. What its name stands for (the letters a–f, say) is the registry's to judge. */
export interface Phase extends Hour {
  readonly name: string;
  /** 1, 2, 3 … */
  readonly number: number;
}

/** The opening as configured. Without phases and without an end, mail is always taken. */
export interface Opening {
  readonly phases: readonly Phase[];
  readonly closes: Hour | undefined;
}

/** Where a moment stands. `phase`: the one in force; `next`: the one to come. */
export interface Standing {
  readonly state: 'always' | 'before' | 'open' | 'closed';
  readonly phase: Phase | undefined;
  readonly next: Phase | undefined;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const wantedTime =
  'a time with its offset or zone, such as 2026-12-01T09:00:00+01:00, 2026-12-01T08:00Z or "2026-12-01T09:00 Europe/Paris"';
/** A phase's name stands in header fields, replies and records. */
const namePattern = /^[ -~]{0,60}$/;
const timePattern = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(Z|[+-]\d\d:\d\d)?$/;

const two = (value: number): string => String(value).padStart(2, '0');

/** An offset from UTC, in minutes, as +01:00. */
function offsetWords(minutes: number): string {
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** Minutes by which a zone is ahead of UTC at an instant. */
function offsetIn(zone: Intl.DateTimeFormat, at: number): number {
  const parts = new Map(zone.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0;
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
  return Math.round((local - at) / minuteMs);
}

function zoneOf(name: string): Intl.DateTimeFormat | undefined {
  try {
    const numeric = { year: 'numeric', month: 'numeric', day: 'numeric' } as const;
    const time = { hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' } as const;
    return new Intl.DateTimeFormat('en-u-ca-gregory', { ...numeric, ...time, timeZone: name });
  } catch {
    return undefined;
  }
}

/** The wall-clock time of a zone as an instant. Clocks that are put back or forward make two of it, or none: both are errors. */
function inZone(local: number, written: string, zoneName: string): Hour {
  const zone = zoneOf(zoneName);
  if (!zone) throw new Error(`${JSON.stringify(zoneName)} is no time zone (such as Europe/Paris) known here`);
  const offsets = new Set([local - dayMs, local + dayMs].map((near) => offsetIn(zone, near)));
  const found = [...offsets].filter((offset) => offsetIn(zone, local - offset * minuteMs) === offset);
  const [offset] = found;
  if (offset === undefined) {
    throw new Error(
      `${written} does not exist in ${zoneName}: the clocks are put forward over it. Choose another time`,
    );
  }
  if (found.length > 1) {
    const both = found.map((each) => `${written}${offsetWords(each)}`).join(' or ');
    throw new Error(`${written} comes twice in ${zoneName}: the clocks are put back. Write ${both}`);
  }
  return { at: local - offset * minuteMs, words: `${written}${offsetWords(offset)}` };
}

/**
 * Reads a time from the beginning of a text.
 * @returns the time, and what stands behind it
 * @throws Error that says what is wrong and what would do
 */
function readHour(text: string): { hour: Hour; rest: string } {
  const [time = '', ...words] = text.trim().split(/\s+/);
  const [, date, minutes, seconds = ':00', offset] = timePattern.exec(time) ?? [];
  const written = `${date}T${minutes}${seconds}`;
  const local = Date.parse(`${written}Z`);
  // Date.parse takes the 30th of February for the 2nd of March.
  if (Number.isNaN(local) || !new Date(local).toISOString().startsWith(written)) {
    throw new Error(`wants ${wantedTime}, but got ${JSON.stringify(text)}`);
  }
  if (offset !== undefined) {
    const at = Date.parse(`${written}${offset}`);
    if (Number.isNaN(at)) throw new Error(`has the offset ${offset}, which is none`);
    return { hour: { at, words: `${written}${offset}` }, rest: words.join(' ') };
  }
  const [zone, ...rest] = words;
  if (zone === undefined) {
    throw new Error(`has no offset and no zone: it wants ${wantedTime}, but got ${JSON.stringify(text)}`);
  }
  return { hour: inZone(local, written, zone), rest: rest.join(' ') };
}

/** Runs `read`; what it throws gets the name of the entry in front. */
function named<T>(entry: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${entry} ${error instanceof Error ? error.message : String(error)}.`, { cause: error });
  }
}

/**
 * Reads the opening from its words in the configuration.
 * @param phases each a time and, if there is one, the phase's name; ascending
 * @param closes a time, or '' when there is no end
 * @throws Error that names the entry, says what is wrong with it and what would do
 */
export function readOpening({ phases, closes }: { phases: readonly string[]; closes: string }): Opening {
  const read = phases.map((text, i): Phase => {
    const { hour, rest } = named(`opening.phases, entry ${i + 1},`, () => {
      const found = readHour(text);
      if (namePattern.test(found.rest)) return found;
      throw new Error(`wants a name of at most 60 ASCII characters, but got ${JSON.stringify(found.rest)}`);
    });
    return { ...hour, name: rest === '' ? String(i + 1) : rest, number: i + 1 };
  });
  for (const [i, phase] of read.entries()) {
    const before = read[i - 1];
    if (before && before.at >= phase.at) {
      throw new Error(`opening.phases wants later and later times, but ${phase.words} comes behind ${before.words}.`);
    }
  }
  if (closes === '') return { phases: read, closes: undefined };
  const end = named('opening.closes', () => {
    const { hour, rest } = readHour(closes);
    if (rest !== '') throw new Error(`wants ${wantedTime} and nothing behind it, but got ${JSON.stringify(closes)}`);
    return hour;
  });
  const last = read.at(-1);
  if (last && last.at >= end.at) {
    throw new Error(`opening.closes wants a time after the last phase (${last.words}), but got ${end.words}.`);
  }
  return { phases: read, closes: end };
}

/** Where a moment stands. The hour itself is open; the closing time itself is closed. @param now milliseconds since 1970 UTC */
export function standingAt({ phases, closes }: Opening, now: number): Standing {
  const next = phases.find(({ at }) => at > now);
  const phase = phases.findLast(({ at }) => at <= now);
  if (closes && now >= closes.at) return { state: 'closed', phase: undefined, next: undefined };
  if (phases.length === 0) return { state: closes ? 'open' : 'always', phase, next };
  return { state: phase ? 'open' : 'before', phase, next };
}

/** A wait in words, as 00:12:31 or "2 d 03:04:05"; a part of a second counts as a whole one. @param ms milliseconds */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const days = Math.floor(seconds / 86_400);
  const time = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days === 0 ? time : `${days} d ${time}`;
}
