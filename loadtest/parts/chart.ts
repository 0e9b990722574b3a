// One chart as inline SVG: lines over time with axes that a person can read. Takes plain data, gives markup; colours come from
// the page's style sheet by class, so that it reads well in light and dark. Pure.

import type { Chart } from './report-data.ts';

const width = 620;
const height = 230;
const edge = { left: 52, right: 14, top: 12, bottom: 28 };
const inner = { width: width - edge.left - edge.right, height: height - edge.top - edge.bottom };

/** Text for markup. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}

/** A number in as few characters as it takes to tell it. */
export function short(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toLocaleString('en', { maximumFractionDigits: 1 })}k`;
  if (value >= 100 || Number.isInteger(value)) return value.toLocaleString('en', { maximumFractionDigits: 0 });
  return value.toLocaleString('en', { maximumFractionDigits: value < 1 ? 2 : 1 });
}

/** A round number at or above. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((each) => each * power >= value) ?? 10) * power;
}

interface Scale {
  readonly ticks: readonly number[];
  /** From 0 at the bottom to 1 at the top. */
  readonly place: (value: number) => number;
}

function scaleOf({ scale, series }: Chart): Scale {
  const values = series.flatMap((each) => each.values.filter((value) => value !== null));
  const highest = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  if (scale === 'linear') {
    const top = roundUp(highest);
    return { ticks: [0, 0.25, 0.5, 0.75, 1].map((each) => each * top), place: (value) => value / top };
  }
  const least = Math.max(
    0.01,
    values.reduce((a, b) => (b > 0 ? Math.min(a, b) : a), highest),
  );
  const low = Math.floor(Math.log10(least));
  const high = Math.max(low + 1, Math.ceil(Math.log10(highest)));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, place: (value) => Math.max(0, (Math.log10(Math.max(value, 1e-9)) - low) / (high - low)) };
}

/** Whole seconds or minutes at which the time axis is marked. */
function timeTicks(seconds: number): number[] {
  const step =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600].find((each) => seconds / each <= 9) ?? 86_400;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step);
}

function clock(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(seconds % 60).padStart(2, '0')}`;
}

const most = ({ values }: Chart['series'][number]): string =>
  short(values.reduce<number>((a, b) => Math.max(a, b ?? 0), 0));

/** The chart with its heading and legend. @param step seconds of a step of the time axis */
export function drawChart(chart: Chart, step: number): string {
  const steps = Math.max(2, ...chart.series.map(({ values }) => values.length));
  const { ticks, place } = scaleOf(chart);
  const x = (at: number): string => (edge.left + (at / (steps - 1)) * inner.width).toFixed(1);
  const y = (value: number): string => (edge.top + (1 - place(value)) * inner.height).toFixed(1);
  const grid = ticks.map(
    (tick) =>
      `<line class="grid" x1="${edge.left}" x2="${width - edge.right}" y1="${y(tick)}" y2="${y(tick)}"/>` +
      `<text class="tick" x="${edge.left - 8}" y="${y(tick)}" text-anchor="end" dominant-baseline="middle">${short(tick)}</text>`,
  );
  const times = timeTicks((steps - 1) * step).map(
    (seconds) =>
      `<text class="tick" x="${x(seconds / step)}" y="${height - 8}" text-anchor="middle">${clock(seconds)}</text>`,
  );
  const base = y(ticks[0] ?? 0);
  const lines = chart.series.map(({ values }, i) => {
    const runs: string[][] = [];
    let run: string[] | undefined;
    for (const [at, value] of values.entries()) {
      if (value === null) run = undefined;
      else {
        if (!run) runs.push((run = []));
        run.push(`${x(at)},${y(value)}`);
      }
    }
    return runs
      .map((points) => {
        const first = points[0] ?? '';
        if (points.length === 1)
          return `<circle class="dot c${i % 8}" cx="${first.split(',')[0]}" cy="${first.split(',')[1]}" r="2"/>`;
        const area =
          i > 0 || chart.series.length > 3
            ? ''
            : `<path class="area c${i % 8}" d="M${first.split(',')[0]},${base}L${points.join('L')}L${points.at(-1)?.split(',')[0]},${base}Z"/>`;
        return `${area}<polyline class="line c${i % 8}" points="${points.join(' ')}"/>`;
      })
      .join('');
  });
  const legend = chart.series.map(
    (each, i) =>
      `<span class="key"><i class="c${i % 8}"></i>${escape(each.name)} <small>max ${most(each)}</small></span>`,
  );
  const picture =
    chart.series.length === 0
      ? '<p class="none">None.</p>'
      : `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(chart.title)} over time">${grid.join('')}${times.join('')}${lines.join('')}</svg>`;
  return `<section class="card" id="${chart.id}"><header><h2>${escape(chart.title)} <small>${escape(chart.unit)}</small></h2><div class="legend">${legend.join('')}</div></header>${picture}<p class="note">${escape(chart.note)}</p></section>`;
}
