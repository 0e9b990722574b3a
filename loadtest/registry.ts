// Plays the registry: pulls and confirms, at a pace, with pauses and crashes. See the help below.

import { NotesWriter, wallMicros } from './parts/notes.ts';
import { decimal, readOptions, runTool, whole } from './parts/options.ts';
import { writeRegistry } from './parts/records.ts';
import { Registry } from './parts/registry-run.ts';

const help = `npm run registry -- [options]      pulls and confirms requests, as the registry's backend would

  --port N          Seawall's SOAP port on this machine (8025)
  --pace N          requests a second, all workers together; 0: as fast as it goes (0)
  --batch N         the most requests in a Fetch (100)
  --workers N       at once (1); in strict order only one holds the head of the line
  --crashes PERCENT of a hundred batches so many end in a crash of the worker, before or after Confirm (0)
  --lease MS        how long a lease lasts: after a crash its requests come again when it has run out (5000)
  --pause 10:5      after every 10 seconds of work 5 seconds of nothing
  --notes FILE      a line for each request pulled and confirmed (registry.notes)
  --until N         ends when so many are confirmed (never)
  --seconds N       ends by itself after so long (3600)

It checks each message against its SHA-256. Exit codes: 0 well, 1 something pulled was wrong, 64 wrong use.`;

async function main(): Promise<number> {
  const { values } = readOptions(help, {
    port: { type: 'string', default: '8025' },
    pace: { type: 'string', default: '0' },
    batch: { type: 'string', default: '100' },
    workers: { type: 'string', default: '1' },
    crashes: { type: 'string', default: '0' },
    lease: { type: 'string', default: '5000' },
    pause: { type: 'string', default: '0:0' },
    notes: { type: 'string', default: 'registry.notes' },
    until: { type: 'string' },
    seconds: { type: 'string', default: '3600' },
  });
  const [every = '', pause = ''] = values.pause.split(':');
  const pace = decimal('pace', values.pace, 0, 1_000_000);
  const manners = {
    port: whole('port', values.port, 1, 65_535),
    workers: whole('workers', values.workers, 1, 100),
    batch: whole('batch', values.batch, 1, 10_000),
    pace: pace === 0 ? Infinity : pace,
    crashes: whole('crashes', values.crashes, 0, 100),
    pauseEvery: decimal('pause', every, 0, 86_400),
    pauseFor: decimal('pause', pause, 0, 86_400),
    leaseMs: whole('lease', values.lease, 1, 86_400_000),
  };
  let until = values.until === undefined ? Infinity : whole('until', values.until, 1, 100_000_000);
  const about = `${manners.workers} worker${manners.workers > 1 ? 's' : ''}, batches of ${manners.batch}, ${pace === 0 ? 'as fast as it goes' : `${pace} a second`}${manners.crashes > 0 ? `, ${manners.crashes} % crashes` : ''}`;
  const notes = new NotesWriter(values.notes, { notes: 'registry', start: wallMicros(), node: '1/1', about });
  const seen = new Set<number>();
  const registry = new Registry(manners, (record) => {
    writeRegistry(notes, record);
    if (record.what === 'confirmed') seen.add(record.sequence);
    if (seen.size >= until) registry.stop();
  });
  process.on('message', (message) => {
    const said = message as { until?: number };
    until = said.until ?? until;
    if (seen.size >= until) registry.stop();
  });
  const end = setTimeout(() => registry.stop(), whole('seconds', values.seconds, 1, 86_400) * 1000);
  for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.once(signal, () => registry.stop());
  const tell = (): void => {
    notes.flush();
    process.send?.({ progress: { confirmed: seen.size, pulled: registry.pulled } });
  };
  const progress = setInterval(tell, 200);
  try {
    await registry.run();
  } finally {
    clearTimeout(end);
    clearInterval(progress);
    tell();
    await notes.close();
  }
  for (const problem of registry.problems) console.log(`PROBLEM: ${problem}`);
  console.log(`${registry.pulled} pulled, ${seen.size} confirmed, ${registry.crashes} crashes`);
  return registry.problems.length === 0 ? 0 : 1;
}

await runTool(main);
