// A small landrush on this machine: a private daemon, many registrars at once, a real SMTP sink for the acknowledgements and
// a registry that pulls and confirms everything. Exits 0 only if the books balance.
//   npm run demo [-- --requests 2000] [--registrars 40] [--pace 1000]

import { parseArgs } from 'node:util';
import { sequenceOf } from '../src/model/ticket.ts';
import { MailSink } from '../test/support/mail-sink.ts';
import { assertBuilt, type Daemon, startDaemon } from './daemon.ts';
import { type Note, playRegistrars } from './registrars.ts';
import { playRegistry, type Pulled } from './registry.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    registrars: { type: 'string', default: '40' },
    pace: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '120' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  console.log(`npm run demo -- [options]
  --requests N     requests in all (2000)
  --registrars N   SMTP sessions at once (40)
  --pace N         requests a second that the registry pulls (1000)
  --seconds N      give up after so long (120)`);
  process.exit(0);
}

function whole(name: 'requests' | 'registrars' | 'pace' | 'seconds', most: number): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 1 || value > most) {
    console.error(`--${name} wants a whole number from 1 to ${most}, but got ${values[name]}.`);
    process.exit(64);
  }
  return value;
}

const requests = whole('requests', 1_000_000);
const registrars = Math.min(whole('registrars', 1_000), requests);
const pace = whole('pace', 1_000_000);
const deadline = performance.now() + whole('seconds', 86_400) * 1000;

const notes: Note[] = [];
const pulled: Pulled[] = [];

function quantile(sorted: readonly number[], q: number): string {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  return value === undefined ? '-' : `${value.toFixed(1)} ms`;
}

function row(name: string, count: number, inSeconds: number): string {
  const rate = inSeconds > 0 ? `${(count / inSeconds).toFixed(0).padStart(9)}/s` : '';
  return `  ${name.padEnd(14)}${String(count).padStart(9)}${rate}`;
}

/** What does not balance, in words; empty when all does. */
function audit(acknowledged: ReadonlySet<string>): { lost: number; outOfOrder: number; problems: string[] } {
  const problems: string[] = [];
  const byTicket = new Map(notes.flatMap((note) => (note.ticket === undefined ? [] : [[note.ticket, note] as const])));
  const pulledTickets = new Map(pulled.map((each) => [each.ticket, each]));
  const lost = [...byTicket.keys()].filter((ticket) => !pulledTickets.has(ticket));
  for (const ticket of lost.slice(0, 5)) problems.push(`${ticket} was given to a registrar and never pulled`);
  let outOfOrder = 0;
  for (const [i, { sequence, ticket, message }] of pulled.entries()) {
    if (sequence !== i + 1 || sequenceOf(ticket) !== sequence) outOfOrder++;
    const note = byTicket.get(ticket);
    if (!note) problems.push(`${ticket} was pulled, but no registrar was given it`);
    else if (!message.includes(`1e..: ${note.reference}\r\n`))
      problems.push(`${ticket} is not the request that got it`);
  }
  if (outOfOrder > 0) problems.push(`${outOfOrder} requests were pulled out of order`);
  const unacknowledged = [...byTicket.keys()].filter((ticket) => !acknowledged.has(ticket));
  for (const ticket of unacknowledged.slice(0, 5)) problems.push(`${ticket} was not acknowledged by mail`);
  if (byTicket.size !== requests) problems.push(`${requests - byTicket.size} requests were not accepted`);
  return { lost: lost.length, outOfOrder, problems };
}

await assertBuilt();
const sink = await MailSink.open();
let daemon: Daemon | undefined;
let exitCode = 1;
try {
  daemon = await startDaemon(undefined, { SEAWALL_ACK_RELAYS: sink.url });
  console.log(`A landrush of ${requests} requests from ${registrars} registrars; the registry pulls ${pace} a second.`);
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const show = (end: string): void => {
    const line = `${seconds().toFixed(1).padStart(6)} s   accepted ${notes.length}   acknowledged ${sink.taken.length}   pulled ${pulled.length}`;
    process.stdout.write(process.stdout.isTTY ? `\r${line}\u001b[K${end}` : `${line}\n`);
  };
  const progress = setInterval(() => show(''), process.stdout.isTTY ? 200 : 1_000);
  const overdue = (): boolean => performance.now() > deadline;
  let acceptedIn = 0;
  let pulledIn = 0;
  try {
    await Promise.all([
      playRegistrars({
        port: daemon.smtpPort,
        requests,
        sessions: registrars,
        onNote: (note) => notes.push(note),
      }).then(() => (acceptedIn = seconds())),
      playRegistry({
        wsdl: `http://127.0.0.1:${daemon.soapPort}/soap?wsdl`,
        pace,
        batch: 100,
        onConfirmed: (some) => pulled.push(...some),
        enough: () => pulled.length >= requests || overdue(),
      }).then(() => (pulledIn = seconds())),
    ]);
    await Promise.race([
      sink.until(() => sink.taken.length >= requests),
      new Promise((resolve) => setTimeout(resolve, Math.max(0, deadline - performance.now())).unref()),
    ]);
  } finally {
    clearInterval(progress);
  }
  const acknowledgedIn = seconds();
  show('\n');
  const accepted = notes.filter((note) => note.ticket !== undefined).length;
  const { lost, outOfOrder, problems } = audit(new Set(sink.taken.map((each) => each.ticket)));
  const latencies = notes.map((note) => note.latencyMs).toSorted((a, b) => a - b);
  console.log(
    [
      '',
      row('accepted', accepted, acceptedIn),
      row('acknowledged', new Set(sink.taken.map((each) => each.ticket)).size, acknowledgedIn),
      row('pulled', pulled.length, pulledIn),
      row('confirmed', pulled.length, pulledIn),
      row('lost', lost, 0),
      row('out of order', outOfOrder, 0),
      `  accept latency  median ${quantile(latencies, 0.5)}, 99 % ${quantile(latencies, 0.99)}, worst ${quantile(latencies, 1)}`,
      '',
    ].join('\n'),
  );
  const stopped = await daemon.stop();
  if (stopped !== 0) problems.push(`the daemon ended with ${stopped}:\n${daemon.log().slice(-2_000)}`);
  for (const problem of problems) console.log(`PROBLEM: ${problem}`);
  console.log(problems.length === 0 ? 'The books balance.' : 'The books do NOT balance.');
  exitCode = problems.length === 0 ? 0 : 1;
} finally {
  await daemon?.stop();
  await sink.close();
}
process.exit(exitCode);
