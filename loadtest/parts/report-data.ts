// The figures behind the page: takes the records of a rehearsal, gives totals, quantiles and series over time, as plain data
// that is the JSON report too. Pure. A series has one value for each step of the time axis; null where there is none.

import { Axis, held, type Values } from './axis.ts';
import { Histogram, quantiles } from './histogram.ts';
import type { FloodRecord, RegistryRecord, SampleRecord, SinkRecord } from './records.ts';

interface Series {
  readonly name: string;
  readonly values: Values;
}

/** One picture. */
export interface Chart {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** A sentence on how to read it. */
  readonly note: string;
  readonly scale: 'linear' | 'log';
  readonly series: readonly Series[];
}

export interface Report {
  readonly title: string;
  /** When it began, ISO 8601. */
  readonly began: string;
  readonly seconds: number;
  /** Seconds of one step of the time axis. */
  readonly step: number;
  readonly about: readonly string[];
  /** What reconcile said; undefined when it was not asked. */
  readonly books: { readonly balances: boolean; readonly words: string } | undefined;
  readonly totals: Readonly<Record<string, number>>;
  readonly codes: Readonly<Record<string, number>>;
  /** Milliseconds by name of the quantile; empty when nothing was accepted. */
  readonly latency: Readonly<Record<string, number>>;
  readonly acknowledgeDelay: Readonly<Record<string, number>>;
  /** Of each process: the most memory, and seconds of CPU in all. */
  readonly processes: readonly { readonly name: string; readonly megabytes: number; readonly cpuSeconds: number }[];
  readonly charts: readonly Chart[];
}

export interface Sources {
  readonly title: string;
  readonly about: readonly string[];
  readonly flood: readonly FloodRecord[];
  readonly sink: readonly SinkRecord[];
  readonly registry: readonly RegistryRecord[];
  readonly samples: readonly SampleRecord[];
  readonly books?: { readonly balances: boolean; readonly words: string } | undefined;
}

/** The first time at which each ticket was seen. */
function firsts(records: readonly { readonly at: number; readonly ticket: string }[]): Map<string, number> {
  const times = new Map<string, number>();
  for (const { ticket, at } of records) if (at < (times.get(ticket) ?? Infinity)) times.set(ticket, at);
  return times;
}

function latencyOver(axis: Axis, accepted: readonly FloodRecord[]): Series[] {
  const bins = Array.from({ length: axis.count }, () => new Array<number>());
  for (const { scheduled, replied } of accepted) bins[axis.at(scheduled)]?.push((replied - scheduled) / 1000);
  for (const bin of bins) bin.sort((a, b) => a - b);
  const line = (name: string, q: number): Series => ({
    name,
    values: bins.map((bin) => bin[Math.min(bin.length - 1, Math.floor(q * bin.length))] ?? null),
  });
  return [line('worst', 1), line('99 %', 0.99), line('median', 0.5)];
}

function processesOver(axis: Axis, samples: readonly SampleRecord[]) {
  const names = [...new Set(samples.map(({ name }) => name))];
  return names.map((name) => {
    const own = samples.filter((each) => each.name === name);
    const cpu: (number | null)[] = axis.zeros().map(() => null);
    const memory: (number | null)[] = axis.zeros().map(() => null);
    let used = 0;
    for (const [i, { at, cpuSeconds, megabytes }] of own.entries()) {
      memory[axis.at(at)] = megabytes;
      const before = own[i - 1];
      // A process that was restarted begins to count again.
      if (!before || cpuSeconds < before.cpuSeconds || at === before.at) continue;
      used += cpuSeconds - before.cpuSeconds;
      cpu[axis.at(at)] = Math.round(((cpuSeconds - before.cpuSeconds) / (at - before.at)) * 1e8);
    }
    return {
      name,
      cpu: held(cpu),
      memory: held(memory),
      megabytes: Math.max(...own.map((each) => each.megabytes)),
      cpuSeconds: used,
    };
  });
}

function quantilesOf(micros: Iterable<number>): Readonly<Record<string, number>> {
  const histogram = new Histogram();
  for (const each of micros) histogram.record(each);
  return histogram.count === 0 ? {} : quantiles(histogram);
}

/** A chart without the series that say nothing. */
function chart(
  about: Omit<Chart, 'series' | 'scale'>,
  series: readonly Series[],
  scale: Chart['scale'] = 'linear',
): Chart {
  const told = series.filter(({ values }) => values.some((each) => each !== null && each !== 0));
  return { ...about, scale, series: told };
}

export function makeReport({ title, about, flood, sink, registry, samples, books }: Sources): Report {
  const accepted = flood.filter(({ code }) => code === 250);
  const pulled = firsts(registry.filter(({ what }) => what === 'pulled'));
  const confirmed = firsts(registry.filter(({ what }) => what === 'confirmed'));
  const acknowledged = firsts(sink.filter(({ code }) => code === 250));
  const start = flood.reduce((least, { scheduled }) => Math.min(least, scheduled), Infinity);
  if (start === Infinity) throw new Error('There is nothing to report: the notes of the flood hold no request.');
  const ends = [...flood.map(({ replied }) => replied), ...acknowledged.values(), ...confirmed.values()];
  const end = ends.reduce((most, each) => Math.max(most, each), start);
  const axis = new Axis(start, end);
  const codes: Record<string, number> = {};
  for (const { code } of flood) codes[code] = (codes[code] ?? 0) + 1;
  const refusals = Object.keys(codes).filter((code) => code !== '250');
  const replies = accepted.map(({ replied }) => replied);
  const processes = processesOver(
    axis,
    samples.filter(({ at }) => at >= start && at <= end),
  );
  const delays = accepted.flatMap(({ ticket = '', replied }) => {
    const at = acknowledged.get(ticket);
    return at === undefined ? [] : [at - replied];
  });
  const charts = [
    chart(
      {
        id: 'arrivals',
        title: 'Arrivals',
        unit: 'requests a second',
        note: 'Due: when the schedule wanted them. The two lie upon one another as long as the intake keeps up.',
      },
      [
        { name: 'due', values: axis.rate(flood.map(({ scheduled }) => scheduled)) },
        { name: 'accepted', values: axis.rate(replies) },
      ],
    ),
    chart(
      {
        id: 'latency',
        title: 'Accept latency',
        unit: 'ms, log scale',
        note: 'From when a request was due to the 250 that says that it is on disk.',
      },
      latencyOver(axis, accepted),
      'log',
    ),
    chart(
      {
        id: 'depth',
        title: 'Depth of the queues',
        unit: 'requests',
        note: 'Accepted, and not yet acknowledged by mail or confirmed by the registry.',
      },
      [
        { name: 'to be confirmed', values: registry.length === 0 ? [] : axis.depth(replies, confirmed.values()) },
        { name: 'to be acknowledged', values: sink.length === 0 ? [] : axis.depth(replies, acknowledged.values()) },
      ],
    ),
    chart(
      {
        id: 'out',
        title: 'Acknowledgements and pulls',
        unit: 'requests a second',
        note: 'How fast the sink took mails, and the registry requests.',
      },
      [
        { name: 'acknowledged', values: axis.rate(acknowledged.values()) },
        { name: 'pulled', values: axis.rate(pulled.values()) },
        { name: 'confirmed', values: axis.rate(confirmed.values()) },
      ],
    ),
    chart(
      {
        id: 'cpu',
        title: 'CPU',
        unit: '% of one core',
        note: 'Of each process, the load generators included: they share the machine.',
      },
      processes.map(({ name, cpu }) => ({ name, values: cpu })),
    ),
    chart(
      { id: 'memory', title: 'Memory', unit: 'MB resident', note: 'Of each process.' },
      processes.map(({ name, memory }) => ({ name, values: memory })),
    ),
    chart(
      {
        id: 'refusals',
        title: 'Refusals by code',
        unit: 'a second',
        note: 'Every answer that was not a 250, and connections that gave none.',
      },
      refusals.map((code) => ({
        name: code === '0' ? 'no answer' : code,
        values: axis.rate(flood.filter((each) => String(each.code) === code).map(({ replied }) => replied)),
      })),
    ),
  ];
  return {
    title,
    began: new Date(start / 1000).toISOString(),
    seconds: Math.round((end - start) / 1e5) / 10,
    step: axis.step,
    about,
    books,
    totals: {
      requests: flood.length,
      accepted: accepted.length,
      refused: flood.filter(({ code }) => code !== 0 && code !== 250).length,
      'no answer': codes['0'] ?? 0,
      acknowledged: acknowledged.size,
      pulled: pulled.size,
      confirmed: confirmed.size,
    },
    codes,
    latency: quantilesOf(accepted.map(({ scheduled, replied }) => replied - scheduled)),
    acknowledgeDelay: quantilesOf(delays),
    processes: processes.map(({ name, megabytes, cpuSeconds }) => ({ name, megabytes, cpuSeconds })),
    charts,
  };
}
