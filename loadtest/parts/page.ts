// The report as one HTML page that needs nothing else: styles and pictures are in it, and it names no other address. Takes
// the figures, gives the text. Pure.

import { drawChart, escape, short } from './chart.ts';
import type { Report } from './report-data.ts';

const style = `
:root{--ink:#16202b;--soft:#5b6b7b;--line:#dfe5eb;--back:#f4f6f8;--card:#fff;--good:#0b7a4b;--bad:#b3261e;
--c0:#1565c0;--c1:#ef7d00;--c2:#2e9e5b;--c3:#8e44ad;--c4:#c2185b;--c5:#00838f;--c6:#8d6e63;--c7:#546e7a}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#93a1b0;--line:#2b3541;--back:#0e141a;--card:#161e27;--good:#4cc38a;--bad:#ff8a80;
--c0:#5aa9ff;--c1:#ffa64d;--c2:#5fd08f;--c3:#c690e8;--c4:#ff7eb0;--c5:#4dd0e1;--c6:#c5a698;--c7:#9fb3bf}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1280px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0;letter-spacing:-.01em}
.sub{color:var(--soft);margin:4px 0 20px}.verdict{display:inline-block;padding:4px 14px;border-radius:99px;font-weight:600;color:#fff;background:var(--good);margin-left:12px;font-size:14px;vertical-align:4px}
.verdict.no{background:var(--bad)}@media(prefers-color-scheme:dark){.verdict{color:#0e141a}}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr));gap:12px;margin-bottom:12px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:22px;line-height:1.2;font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:13px}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:12px}
.card header{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 16px;align-items:baseline}
h2{font-size:16px;margin:0}h2 small,.key small{color:var(--soft);font-weight:400;font-size:12px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px}.key i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:5px}
svg{width:100%;height:auto;display:block;margin-top:8px}.grid{stroke:var(--line)}.tick{fill:var(--soft);font-size:12px}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.area{opacity:.13;stroke:none}
.note,.none{color:var(--soft);font-size:13px;margin:6px 0 0}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td,th{padding:4px 0;text-align:right;border-bottom:1px solid var(--line);font-weight:400}th{color:var(--soft)}td:first-child,th:first-child{text-align:left}
pre{white-space:pre-wrap;font:12.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;margin:8px 0 0}
${[0, 1, 2, 3, 4, 5, 6, 7].map((i) => `.line.c${i}{stroke:var(--c${i})}.area.c${i},.dot.c${i}{fill:var(--c${i})}i.c${i}{background:var(--c${i})}`).join('')}
@media print{body{background:#fff}.card,.tile{break-inside:avoid}}`;

const row = (cells: readonly string[], tag: string): string =>
  `<tr>${cells.map((each) => `<${tag}>${escape(each)}</${tag}>`).join('')}</tr>`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return `<table>${row(head, 'th')}${rows.map((each) => row(each, 'td')).join('')}</table>`;
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return '–';
  return value >= 10_000 ? `${(value / 1000).toFixed(1)} s` : `${short(value)} ms`;
}

export function reportPage(report: Report): string {
  const { totals, latency, acknowledgeDelay, books } = report;
  const tiles = [
    ...Object.entries(totals).map(([name, count]) => [count.toLocaleString('en'), name]),
    [milliseconds(latency['median']), 'median accept latency'],
    [milliseconds(latency['99 %']), '99 % accept latency'],
  ].map(([value = '', name = '']) => `<div class="tile"><b>${escape(value)}</b><span>${escape(name)}</span></div>`);
  const verdict = books
    ? `<span class="verdict${books.balances ? '' : ' no'}">${books.balances ? 'The books balance' : 'The books do not balance'}</span>`
    : '';
  const quantileRows = Object.keys(latency).map((name) => [
    name,
    milliseconds(latency[name]),
    milliseconds(acknowledgeDelay[name]),
  ]);
  const processRows = report.processes.map(({ name, megabytes, cpuSeconds }) => [
    name,
    `${megabytes.toFixed(0)} MB`,
    `${cpuSeconds.toFixed(1)} s`,
  ]);
  const codeRows = Object.entries(report.codes).map(([code, count]) => [
    code === '0' ? 'no answer' : code,
    count.toLocaleString('en'),
  ]);
  const cards = [
    `<section class="card"><h2>Latency</h2>${table(['', 'accepted', 'acknowledged after that'], quantileRows)}</section>`,
    `<section class="card"><h2>Processes</h2>${table(['', 'most memory', 'CPU'], processRows)}</section>`,
    `<section class="card"><h2>Answers by code</h2>${table(['', 'requests'], codeRows)}<p class="note">${report.about.map(escape).join('<br>')}</p></section>`,
    ...(books ? [`<section class="card"><h2>The books</h2><pre>${escape(books.words)}</pre></section>`] : []),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(report.title)}</title><style>${style}</style></head>
<body><main><h1>${escape(report.title)}${verdict}</h1>
<p class="sub">began ${escape(report.began)}, took ${report.seconds} s; each point stands for ${report.step} s</p>
<div class="tiles">${tiles.join('')}</div>
<div class="grid2">${report.charts.map((chart) => drawChart(chart, report.step)).join('\n')}
${cards.join('\n')}</div></main></body></html>
`;
}
