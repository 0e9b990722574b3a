// The whole day in a minute and a half, on this machine: daemon, flood, sink, registry, reconcile, report. See the help below.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { decimal, oneOf, readOptions, runTool, whole, WrongUse } from './parts/options.ts';
import { filesOf, play, progressLine, show } from './parts/play.ts';
import { profileNames } from './parts/profiles.ts';

const help = `npm run rehearsal -- [options]      the whole day on this machine, and a page about it

  --profile NAME   as of flood (opening: 10 s of quiet, then the first minute of .fr, 12,000 requests)
  --seconds N      length of the profile (60)      --scale N   size of the opening (1)
  --pace N         requests a second that the registry pulls (500)
  --sink OPTIONS   options of the sink in one word, such as --sink='--later 5'
  --registry OPTIONS  of the registry, such as --registry='--crashes 10 --lease 2000'
  --flood OPTIONS  of the flood, such as --flood='--each --tls'
  --set KEY=VALUE  a key of the daemon's configuration, such as ack.retry_seconds=1; may stand several times
  --limit N        give up after so many seconds (600)
  --folder DIR     where the notes and the page go (a new folder in ${tmpdir()})

Everything is private: free ports on loopback, a temporary spool that is removed.
Exit codes: 0 the books balance, 1 they do not, 64 wrong use.`;

const split = (text: string): string[] => text.split(/\s+/).filter((each) => each !== '');

/** `ack.retry_seconds=1` as the environment variable that overrides the key, and its value. */
function setting(text: string): [string, string] {
  const [, key, value = ''] = /^([a-z]+\.[a-z_]+)=(.*)$/.exec(text) ?? [];
  if (key === undefined) throw new WrongUse(`--set wants key=value, such as ack.retry_seconds=1, but got ${text}.`);
  return [`SEAWALL_${key.replace('.', '_').toUpperCase()}`, value];
}

/** Makes the page. */
async function makePage(folder: string, books: string, title: string): Promise<void> {
  const files = filesOf(folder);
  await writeFile(join(folder, 'books.txt'), `${books}\n`);
  const notes = Object.entries(files).flatMap(([name, file]) => [`--${name}`, file]);
  const words = ['--out', join(folder, 'report'), '--books', join(folder, 'books.txt'), '--title', title];
  const args = [...process.execArgv, join(import.meta.dirname, 'report.ts'), ...notes, ...words];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise((done) => child.once('exit', done));
  if (code !== 0) throw new Error(`the report was not made; the notes are in ${folder}`);
}

async function main(): Promise<number> {
  const { values } = readOptions(help, {
    profile: { type: 'string', default: 'opening' },
    seconds: { type: 'string', default: '60' },
    scale: { type: 'string', default: '1' },
    pace: { type: 'string', default: '500' },
    sink: { type: 'string', default: '' },
    registry: { type: 'string', default: '' },
    flood: { type: 'string', default: '' },
    set: { type: 'string', multiple: true, default: [] },
    limit: { type: 'string', default: '600' },
    folder: { type: 'string' },
  });
  const profile = oneOf('profile', values.profile, profileNames);
  const seconds = decimal('seconds', values.seconds, 1, 86_400);
  const scale = decimal('scale', values.scale, 0.001, 100);
  const pace = whole('pace', values.pace, 0, 1_000_000);
  const limit = whole('limit', values.limit, 1, 86_400);
  const settings = Object.fromEntries(values.set.map(setting));
  const folder =
    values.folder === undefined ? await mkdtemp(join(tmpdir(), 'seawall-rehearsal-')) : resolve(values.folder);
  await mkdir(folder, { recursive: true });
  console.log(
    `A rehearsal: ${profile}, ${seconds} s; the registry pulls ${pace === 0 ? 'as fast as it can' : `${pace} a second`}.`,
  );
  const played = await play({
    folder,
    flood: ['--profile', profile, '--seconds', String(seconds), '--scale', String(scale), ...split(values.flood)],
    sink: split(values.sink),
    registry: ['--pace', String(pace), ...split(values.registry)],
    // Strangers are refused, as they will be on the day.
    settings: { SEAWALL_SMTP_RECIPIENTS: 'domain@registry.example', ...settings },
    sample: true,
    seconds: limit,
    onProgress: (progress) => show(progressLine(progress)),
    onPlayed: () => console.log(`${process.stdout.isTTY ? '\n' : ''}All is played; reading the books …`),
  });
  console.log(`\n${played.floodWords}\n\n${played.books}\n`);
  await makePage(folder, played.books, `Seawall rehearsal: ${profile}`);
  console.log(`The page: file://${join(folder, 'report.html')}`);
  return played.balances ? 0 : 1;
}

await runTool(main);
