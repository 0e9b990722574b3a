// Says whether the books of a rehearsal balance: see the help below.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { seawall } from './daemon.ts';
import { balance, balanceWords, type SpoolRow } from './parts/books.ts';
import { readOptions, runTool, whole, WrongUse } from './parts/options.ts';
import {
  type FloodRecord,
  readFlood,
  readRegistry,
  readSink,
  type RegistryRecord,
  type SinkRecord,
} from './parts/records.ts';

const help = `npm run reconcile -- --spool FOLDER --flood FILE [--flood FILE …] [--sink FILE] [--registry FILE] [options]

Reads the notes of a rehearsal and the spool, and says whether the books balance:
  - seawall verify is content with the spool
  - each ticket was given once, is in the spool, and names the request of the registrar that has it
  - nothing is in the spool that nobody was given (but for requests whose answer was lost on the way)
  - a request that was answered before another one was sent stands before it
  - each is acknowledged, to its sender                (with --sink)
  - each is pulled, in order, the right one, and confirmed   (with --registry)
  - no stranger was let in

  --clock MS   by how much the clocks of several machines may differ (0)
  --json       the result as JSON

Each option that names a FILE may stand several times. The first five offenders of each kind are named.
Exit codes: 0 the books balance, 1 they do not, 64 wrong use.`;

/** Runs a verb of the compiled program on a spool; `each` gets its lines. Gives the exit code. */
async function verb(spool: string, words: readonly string[], each: (line: string) => void): Promise<number> {
  const [file, args] = seawall(...words);
  // The spool that was named, whatever a configuration says of rehearsals.
  const environment = { ...process.env, SEAWALL_SPOOL_DIR: spool, SEAWALL_SERVE_REHEARSAL: 'false' };
  const child = spawn(file, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  for await (const line of createInterface({ input: child.stdout })) each(line);
  return gone;
}

async function main(): Promise<number> {
  const { values } = readOptions(help, {
    spool: { type: 'string' },
    flood: { type: 'string', multiple: true, default: [] },
    sink: { type: 'string', multiple: true },
    registry: { type: 'string', multiple: true },
    clock: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  });
  const { spool } = values;
  if (spool === undefined) throw new WrongUse('--spool wants the folder of the spool. --help says more.');
  if (values.flood.length === 0) throw new WrongUse('--flood wants the notes of at least one flood. --help says more.');
  const flood: FloodRecord[] = [];
  for (const file of values.flood) await readFlood(file, (record) => flood.push(record));
  const sink: SinkRecord[] = [];
  for (const file of values.sink ?? []) await readSink(file, (record) => sink.push(record));
  const registry: RegistryRecord[] = [];
  for (const file of values.registry ?? []) await readRegistry(file, (record) => registry.push(record));
  const rows: SpoolRow[] = [];
  const listed = await verb(spool, ['list', '--json'], (line) => rows.push(JSON.parse(line) as SpoolRow));
  if (listed !== 0) throw new Error(`seawall list ended with ${listed}: is ${spool} a spool?`);
  const said: string[] = [];
  const verified = await verb(spool, ['verify'], (line) => said.push(line));

  const clockMicros = whole('clock', values.clock, 0, 600_000) * 1000;
  const { counts, findings } = balance({
    flood,
    spool: rows,
    sink: values.sink && sink,
    registry: values.registry && registry,
    clockMicros,
  });
  const all = [
    ...(verified === 0 ? [] : [{ what: 'seawall verify is not content', count: said.length, first: said.slice(0, 5) }]),
    ...findings,
  ];
  const result = { counts, findings: all };
  console.log(values.json ? JSON.stringify({ balances: all.length === 0, ...result }, null, 2) : balanceWords(result));
  return all.length === 0 ? 0 : 1;
}

await runTool(main);
