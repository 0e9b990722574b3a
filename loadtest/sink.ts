// Receives acknowledgements and writes down which tickets it has seen: see the help below.

import { NotesWriter, wallMicros } from './parts/notes.ts';
import { readOptions, runTool, whole } from './parts/options.ts';
import { writeSink } from './parts/records.ts';
import { Sink } from './parts/sink-server.ts';

const help = `npm run sink -- [options]      an SMTP server that takes acknowledgements and keeps none

  --port N          on loopback; 0: the system picks (0)
  --notes FILE      a line for each mail: time, ticket, recipient, what was said (sink.notes)
  --slow MS         pause before the answer to each mail (0)
  --later PERCENT   so many of a hundred get 451 (0)       --never PERCENT   550 (0)
  --drop PERCENT    so many get no answer: the connection is closed (0)
  --seconds N       ends by itself after so long (3600)

Point Seawall at it: SEAWALL_ACK_RELAYS=smtp://127.0.0.1:PORT. It ends with Ctrl-C, and then says what it has seen.
Exit codes: 0 well, 1 failed, 64 wrong use.`;

async function main(): Promise<number> {
  const { values } = readOptions(help, {
    port: { type: 'string', default: '0' },
    notes: { type: 'string', default: 'sink.notes' },
    slow: { type: 'string', default: '0' },
    later: { type: 'string', default: '0' },
    never: { type: 'string', default: '0' },
    drop: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '3600' },
  });
  const percent = (name: 'later' | 'never' | 'drop'): number => whole(name, values[name], 0, 100);
  const failures = {
    slowMs: whole('slow', values.slow, 0, 600_000),
    later: percent('later'),
    never: percent('never'),
    drop: percent('drop'),
  };
  const said = Object.entries(failures).filter(([, value]) => value > 0);
  const about = said.length === 0 ? 'takes every mail' : said.map(([name, value]) => `${name} ${value}`).join(', ');
  const notes = new NotesWriter(values.notes, { notes: 'sink', start: wallMicros(), node: '1/1', about });
  const codes = new Map<number, number>();
  const tickets = new Set<string>();
  let repeats = 0;
  const sink = new Sink(failures, (record) => {
    writeSink(notes, record);
    codes.set(record.code, (codes.get(record.code) ?? 0) + 1);
    if (record.code !== 250) return;
    if (tickets.has(record.ticket)) repeats++;
    tickets.add(record.ticket);
  });
  const port = await sink.listen(whole('port', values.port, 0, 65_535));
  if (process.send) process.send({ port });
  else console.log(`The sink listens on smtp://127.0.0.1:${port}. Stop with Ctrl-C.`);
  const progress = setInterval(() => {
    notes.flush();
    process.send?.({ progress: { tickets: tickets.size, offered: sink.offered } });
  }, 200);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, whole('seconds', values.seconds, 1, 86_400) * 1000);
    timer.unref();
    for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.once(signal, () => resolve());
  });
  clearInterval(progress);
  await sink.close();
  await notes.close();
  const words = [...codes].map(([code, count]) => `${code === 0 ? 'dropped' : code}: ${count}`).join(', ');
  console.log(`${tickets.size} requests acknowledged, ${repeats} of them again; mails by answer ${words || 'none'}`);
  return 0;
}

await runTool(main);
