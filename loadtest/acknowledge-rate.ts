// How many acknowledgements a second one acknowledge stage sends: `node --import tsx loadtest/acknowledge-rate.ts [count] [files]`.
// The log and the journal are in memory, the sink is a process of its own, so what is measured is the stage:
// reading, parsing, rendering and sending mails of 4 KB over 10 kept connections. `files` measures .eml files instead;
// `mime` in place of a count compares writing one mail's MIME with nodemailer's composer.

import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AckEvent } from '../src/acknowledge/journal/ack-events.ts';
import { AckState } from '../src/acknowledge/journal/ack-state.ts';
import { startAcknowledge } from '../src/acknowledge/acknowledge.ts';
import { makeConfig } from '../src/config/config.ts';
import MailComposer from 'nodemailer/lib/mail-composer';
import { textPart } from '../src/acknowledge/compose/mime.ts';
import { silent } from '../src/lib/logger.ts';
import type { JournalState, OpenJournal } from '../src/ports/journal.ts';
import { nodeRuntime } from '../src/lib/node/runtime.ts';
import { MailSink } from '../test/support/mail-sink.ts';
import { JournalStore, MemoryLog, request } from '../test/support/memory.ts';

async function sink(): Promise<void> {
  const server = await MailSink.open();
  process.send?.(server.url);
}

async function measure(count: number, files: boolean): Promise<void> {
  const child = fork(process.argv[1] ?? '', ['sink'], { execArgv: process.execArgv });
  const url = await new Promise<string>((resolve) => child.once('message', (message) => resolve(message as string)));
  const spool = await mkdtemp(join(tmpdir(), 'seawall-rate-'));
  const relays = files ? '' : `[ack]\nrelays = ["${url}"]\nunverified_per_minute = 0\nunverified_short = false\n`;
  const config = makeConfig({ name: 'rate', text: `${relays}[spool]\ndir = "${spool}"\n` }, {});
  const form = '1a..: C\r\n1b..: REGSARL\r\n1e..: TRID-1\r\n2a..: boulangerie-dupre.fr\r\n';
  const filler = '3b..: 12 rue de la Poste, a line of a form as long as forms are\r\n'.repeat(58);
  const log = new MemoryLog();
  for (let each = 1; each <= count; each++) {
    log.add(request(`Subject: create ${each}\r\nMessage-ID: <${each}@registres.example>\r\n\r\n${form}${filler}`));
  }
  const store = new JournalStore<AckEvent>();
  const state = new AckState();
  let finish: () => void;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const openJournal = (async (_name: string, held: JournalState<AckEvent>) => {
    const journal = store.open(held);
    return {
      ...journal,
      append: async (events: readonly AckEvent[]) => {
        await journal.append(events);
        for (const event of events) state.apply(event);
        if (state.settledThrough === count) finish();
      },
    };
  }) as unknown as OpenJournal;
  const began = performance.now();
  const used = process.cpuUsage();
  const stage = await startAcknowledge({ config, runtime: nodeRuntime, reader: log, openJournal, log: silent });
  await finished;
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(used);
  await stage.stop();
  child.kill();
  await rm(spool, { recursive: true });
  const rate = Math.round(count / seconds);
  const cpu = Math.round((user + system) / count);
  console.log(
    `${count} acknowledgements of ${log.stored[0]?.size} bytes in ${seconds.toFixed(1)} s: ${rate}/s, ` +
      `${cpu} µs CPU each, ${Math.round(process.memoryUsage().rss / 1e6)} MB`,
  );
}

/** How long the MIME of one mail takes, ours and nodemailer's, in turn. */
async function mime(): Promise<void> {
  const lines = Array.from({ length: 40 }, (_, each) => `Seawall-Name: name-${each}.example, a line of the block`);
  const text = [...lines, `Seawall-SHA256: ${'a'.repeat(64)}`].join('\n');
  const html = `<p>Boulangerie Dupré</p>${lines.join('<br>\n')}`;
  const ways = {
    ours: async () => textPart('plain', text, '=_x') + textPart('html', html, '=_x'),
    nodemailer: () => new MailComposer({ date: new Date(0), messageId: '<a@b>', text, html }).compile().build(),
  };
  for (const [name, write] of [...Object.entries(ways), ...Object.entries(ways)]) {
    const began = performance.now();
    for (let each = 0; each < 5_000; each++) await write();
    console.log(`${name}: ${((performance.now() - began) / 5).toFixed()} µs a mail`);
  }
}

if (process.argv[2] === 'mime') await mime();
else
  await (process.argv[2] === 'sink' ? sink() : measure(Number(process.argv[2] ?? 10_000), process.argv[3] === 'files'));
