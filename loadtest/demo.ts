// A small landrush on this machine, put together from the kit: a private daemon, many registrars at once, a sink for the
// acknowledgements and a registry that pulls and confirms everything. Exits 0 only if the books balance.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOptions, runTool, whole } from './parts/options.ts';
import { play, progressLine, show } from './parts/play.ts';

const help = `npm run demo -- [options]      a small landrush, played on this machine

  --requests N     requests in all (2000)
  --registrars N   registrars, and SMTP sessions at once (40)
  --pace N         requests a second that the registry pulls (1000)
  --seconds N      give up after so long (120)`;

async function main(): Promise<number> {
  const { values } = readOptions(help, {
    requests: { type: 'string', default: '2000' },
    registrars: { type: 'string', default: '40' },
    pace: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '120' },
  });
  const requests = whole('requests', values.requests, 1, 1_000_000);
  const registrars = Math.min(whole('registrars', values.registrars, 1, 1_000), requests);
  const pace = whole('pace', values.pace, 1, 1_000_000);
  console.log(`A landrush of ${requests} requests from ${registrars} registrars; the registry pulls ${pace} a second.`);
  const folder = await mkdtemp(join(tmpdir(), 'seawall-demo-'));
  try {
    const sessions = ['--sessions', String(registrars), '--registrars', String(registrars)];
    const played = await play({
      folder,
      flood: ['--profile', 'storm', '--count', String(requests), '--closed', '--sizes', '1000', ...sessions],
      sink: [],
      registry: ['--pace', String(pace)],
      sample: false,
      seconds: whole('seconds', values.seconds, 1, 86_400),
      onProgress: (progress) => show(progressLine(progress)),
    });
    console.log(`\n\n${played.floodWords}\n\n${played.books}`);
    return played.balances && played.progress.accepted === requests ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await runTool(main);
