// Turns the notes of a rehearsal into a page to look at, and the same as JSON: see the help below.

import { readFile, writeFile } from 'node:fs/promises';
import { readOptions, runTool, WrongUse } from './parts/options.ts';
import { reportPage } from './parts/page.ts';
import {
  readFlood,
  readRegistry,
  readSamples,
  readSink,
  type FloodRecord,
  type RegistryRecord,
  type SampleRecord,
  type SinkRecord,
} from './parts/records.ts';
import { makeReport } from './parts/report-data.ts';

const help = `npm run report -- --flood FILE [--flood FILE …] [--sink FILE] [--registry FILE] [--samples FILE] [options]

Makes one HTML page that needs no network, and the same figures as JSON: arrivals, accept latency, the depth of the queues,
acknowledgements, pulls, refusals by code, CPU and memory of each stage.

  --out NAME       writes NAME.html and NAME.json (report)
  --title TEXT     (Seawall rehearsal)
  --books FILE     what npm run reconcile printed, to stand in the page

Each option that names notes may stand several times: the nodes of a flood become one picture.
Exit codes: 0 well, 1 failed, 64 wrong use.`;

async function main(): Promise<number> {
  const { values } = readOptions(help, {
    flood: { type: 'string', multiple: true, default: [] },
    sink: { type: 'string', multiple: true, default: [] },
    registry: { type: 'string', multiple: true, default: [] },
    samples: { type: 'string', multiple: true, default: [] },
    out: { type: 'string', default: 'report' },
    title: { type: 'string', default: 'Seawall rehearsal' },
    books: { type: 'string' },
  });
  if (values.flood.length === 0) throw new WrongUse('--flood wants the notes of at least one flood. --help says more.');
  const flood: FloodRecord[] = [];
  const sink: SinkRecord[] = [];
  const registry: RegistryRecord[] = [];
  const samples: SampleRecord[] = [];
  const about: string[] = [];
  for (const file of values.flood) about.push(`flood: ${(await readFlood(file, (each) => flood.push(each))).about}`);
  for (const file of values.sink) about.push(`sink: ${(await readSink(file, (each) => sink.push(each))).about}`);
  for (const file of values.registry)
    about.push(`registry: ${(await readRegistry(file, (each) => registry.push(each))).about}`);
  for (const file of values.samples)
    about.push(`samples: ${(await readSamples(file, (each) => samples.push(each))).about}`);
  const words = values.books === undefined ? undefined : await readFile(values.books, 'utf8');
  const books =
    words === undefined
      ? undefined
      : { balances: words.includes('The books balance.') && !words.includes('PROBLEM'), words };
  const report = makeReport({ title: values.title, about, flood, sink, registry, samples, books });
  await writeFile(`${values.out}.html`, reportPage(report));
  await writeFile(`${values.out}.json`, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`${values.out}.html and ${values.out}.json`);
  return 0;
}

await runTool(main);
