// Plays registrars, many at once, and writes down what each was told: see the help below. One process for each share of the
// work; with --processes the first one starts the others and adds up what they saw.

import { fork } from 'node:child_process';
import { bookFrom } from './parts/book.ts';
import { startFlood } from './parts/flood-run.ts';
import { mailMaker, sizesFrom } from './parts/forms.ts';
import { mergeNotes, notesName } from './parts/merge.ts';
import { NotesWriter, wallMicros } from './parts/notes.ts';
import { decimal, oneOf, readOptions, runTool, whole, WrongUse } from './parts/options.ts';
import { nodeFrom, type ProfileOptions, profileNames, schedule, shareOf } from './parts/profiles.ts';
import { writeFlood } from './parts/records.ts';
import { permitted, targetFrom } from './parts/target.ts';
import { Tally, type TallyData } from './parts/tally.ts';

const help = `npm run flood -- [options]      plays registrars; open loop unless --closed

What comes, and when
  --profile NAME      opening  quiet, then the .fr curve of 2004: 12,000 in the first minute, 45,000 in ten (default)
                      steady   --rate a second               ramp   from none to --rate a second
                      storm    --count at one instant        spam   strangers, 500,000 a minute
                      mixed    an opening with --rate strangers a second beside it (100)
  --seconds N         length (opening and mixed 600, the others 60)       --quiet N  seconds before the opening (10)
  --rate N --count N  see above                                           --scale N  size of the opening (1)
  --closed            closed loop: each session sends its next request when the last one is answered
  --sizes LIST        bytes of a mail, or bytes:weight joined by commas (1500:50,4096:40,20000:10)
  --forms FOLDER      the .txt forms to fill in (loadtest/forms)          --names N  domain names wanted (20000)
  --registrars LIST   a number, addresses joined by commas, or @FILE with one a line (40)
  --to ADDRESS        where requests go (domain@registry.example)         --strangers-to ADDRESS (nobody@elsewhere.example)

How
  --target HOST:PORT  (127.0.0.1:2525)
  --sessions N        SMTP sessions at once, per process (100)            --each     a connection for each message
  --tls               STARTTLS; the certificate is not looked at          --patience N  seconds to wait for answers (60)
  --processes N       processes on this machine (1)
  --node 2/4          this machine is the second of four, and sends its quarter
  --start-at TIME     09:00:00Z, or a whole ISO time: several machines begin at the same instant
  --i-own-this-target the target is not this machine, it is yours, and it rehearses
  --not-a-rehearsal   flood a Seawall on this machine that is not in rehearsal: its order will hold this flood for ever

What is left behind
  --notes FILE        a line for each request: reference, sender, due, sent, answered, code, ticket (flood.notes);
                      one file for each process, NAME.2.notes and so on
  --merge             does not send: adds up the notes files that are named, from every node and machine

Latency counts from when a request was due, not from when it could be sent: a server that stalls is charged for it.
A Seawall must say in its greeting that it rehearses (serve.rehearsal), or is refused without --not-a-rehearsal. A target
that is not loopback is refused without --i-own-this-target, and even then unless its greeting says "rehearsal". Exit codes: 0 every request has an answer, 1 some have none, 64 wrong use.`;

async function main(): Promise<number> {
  const { values, positionals } = readOptions(help, {
    profile: { type: 'string', default: 'opening' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    count: { type: 'string' },
    quiet: { type: 'string' },
    scale: { type: 'string' },
    closed: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '1500:50,4096:40,20000:10' },
    forms: { type: 'string' },
    names: { type: 'string', default: '20000' },
    registrars: { type: 'string', default: '40' },
    to: { type: 'string', default: 'domain@registry.example' },
    'strangers-to': { type: 'string', default: 'nobody@elsewhere.example' },
    target: { type: 'string', default: '127.0.0.1:2525' },
    sessions: { type: 'string', default: '100' },
    each: { type: 'boolean', default: false },
    tls: { type: 'boolean', default: false },
    patience: { type: 'string', default: '60' },
    processes: { type: 'string', default: '1' },
    node: { type: 'string', default: '1/1' },
    'start-at': { type: 'string' },
    'i-own-this-target': { type: 'boolean', default: false },
    'not-a-rehearsal': { type: 'boolean', default: false },
    notes: { type: 'string', default: 'flood.notes' },
    merge: { type: 'boolean', default: false },
  });
  if (values.merge) {
    const { tally, seconds } = await mergeNotes(positionals);
    console.log(tally.words(seconds));
    return tally.lost === 0 ? 0 : 1;
  }
  if (positionals[0] !== undefined)
    throw new WrongUse(`flood does not take ${positionals[0]}. --help says what there is.`);

  const number = (name: 'seconds' | 'rate' | 'quiet' | 'scale', least: number, most: number) =>
    values[name] === undefined ? {} : { [name]: decimal(name, values[name], least, most) };
  const options: ProfileOptions = {
    ...number('seconds', 0.001, 86_400),
    ...number('rate', 0.001, 1_000_000),
    ...number('quiet', 0, 3_600),
    ...number('scale', 0.001, 100),
    ...(values.count !== undefined && { count: whole('count', values.count, 1, 5_000_000) }),
  };
  const profile = oneOf('profile', values.profile, profileNames);
  const { node, nodes } = nodeFrom(values.node);
  const processes = whole('processes', values.processes, 1, 64);
  const work = shareOf(schedule(profile, options), node, nodes);
  // A moment for every process to be there.
  const start =
    values['start-at'] === undefined
      ? wallMicros() + (processes > 1 ? 3_000_000 : 50_000)
      : startFrom(values['start-at']);
  // All that begin at the same instant are one flood; a later one on the same spool must not look like copies of it.
  const run = Math.floor(start / 1000)
    .toString(36)
    .toUpperCase();
  const plan = {
    work,
    sessions: whole('sessions', values.sessions, 1, 20_000),
    kept: !values.each,
    tls: values.tls,
    closed: values.closed,
    registrars: bookFrom(values.registrars),
    recipient: values.to,
    strangersTo: values['strangers-to'],
    makeMail: mailMaker(sizesFrom(values.sizes), whole('names', values.names, 1, 10_000_000), values.forms),
    referenceOf: (index: number) => `${run}-${index}`,
    patienceMs: decimal('patience', values.patience, 0.1, 3_600) * 1000,
  };
  const target = await permitted(targetFrom(values.target), {
    owned: values['i-own-this-target'],
    real: values['not-a-rehearsal'],
  });
  const about = `${profile}, ${values.closed ? 'closed' : 'open'} loop, ${values.each ? 'a connection each' : 'sessions kept'}${values.tls ? ', STARTTLS' : ''}`;
  const tally = new Tally();
  const startedAt = (): number => (wallMicros() - start) / 1e6;

  if (processes > 1) {
    const parts = Array.from({ length: processes }, (_, i) => ({ node: (node - 1) * processes + i + 1, i }));
    const ends = parts.map(({ node: each, i }) => {
      const own = [
        '--processes',
        '1',
        '--node',
        `${each}/${nodes * processes}`,
        '--notes',
        notesName(values.notes, i + 1),
      ];
      const at = ['--start-at', new Date(start / 1000).toISOString()];
      const child = fork(import.meta.filename, [...process.argv.slice(2), ...own, ...at], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      child.on('message', (message) => {
        const { end } = message as { end?: TallyData };
        if (end) tally.merge(end);
      });
      return new Promise<number | null>((resolve) => child.once('exit', resolve));
    });
    const codes = await Promise.all(ends);
    console.log(tally.words(startedAt()));
    return codes.every((code) => code === 0) ? 0 : 1;
  }

  const notes = new NotesWriter(values.notes, { notes: 'flood', start, node: values.node, about });
  let last = start;
  const running = startFlood({ ...plan, target, start }, ({ job, sent, replied, code, reply }) => {
    tally.add(code, replied - job.scheduled);
    last = Math.max(last, replied);
    const ticket = code === 250 ? / queued as (SW-\S+)/.exec(reply)?.[1] : undefined;
    const { scheduled, sender, stranger } = job;
    writeFlood(notes, {
      reference: plan.referenceOf(job.index),
      sender,
      scheduled,
      sent,
      replied,
      code,
      ticket,
      stranger,
    });
  });
  let before = 0;
  const progress = setInterval(() => {
    const { accepted, refused, lost, recent } = tally;
    const inFlight = running.due() - accepted - refused - lost;
    const times = [0.5, 0.99].map((q) => (recent.quantile(q) / 1000).toFixed(1)).join(' / ');
    const line = `${startedAt().toFixed(0).padStart(5)} s   due ${running.due()} of ${work.length}   accepted ${accepted} (${accepted - before}/s)   refused ${refused}   no answer ${lost}   in flight ${inFlight}   median / 99 % ${times} ms`;
    process.stdout.write(process.stdout.isTTY ? `\r${line}\u001b[K` : `${line}\n`);
    before = accepted;
    recent.clear();
    notes.flush();
  }, 1_000);
  // Whoever plays us with others shows us beside them, and they tell as often.
  const telling = setInterval(() => {
    const { accepted, refused, lost } = tally;
    process.send?.({ progress: { accepted, refused, lost, due: running.due() } });
  }, 200);
  for (const signal of ['SIGINT', 'SIGTERM', 'disconnect'] as const) process.once(signal, running.stop);
  await running.done;
  clearInterval(progress);
  clearInterval(telling);
  await notes.close();
  if (process.stdout.isTTY) process.stdout.write('\n');
  console.log(tally.words((last - start) / 1e6));
  if (process.send)
    await new Promise((resolve) =>
      process.send?.({ end: { ...tally.toJSON(), due: running.due(), seconds: (last - start) / 1e6 } }, resolve),
    );
  return tally.lost === 0 ? 0 : 1;
}

function startFrom(text: string): number {
  const today = new Date().toISOString().slice(0, 11);
  const at = Date.parse(/^\d\d:\d\d(:\d\d(\.\d+)?)?Z$/.test(text) ? today + text : text);
  if (Number.isNaN(at))
    throw new WrongUse(`--start-at wants a time such as 09:00:00Z, but got ${JSON.stringify(text)}.`);
  if (at < Date.now() - 1_000) throw new WrongUse(`--start-at ${text} is past: it is ${new Date().toISOString()} now.`);
  if (at > Date.now() + 86_400_000) throw new WrongUse(`--start-at ${text} is more than a day away.`);
  return at * 1000;
}

await runTool(main);
