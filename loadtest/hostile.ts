// Hostile clients at once and in numbers, beside honest ones: what the honest get, what it costs in memory, and whether all is well
// afterwards. A private daemon on loopback, bounded. Wants 25,000 open files: where the limit is lower it says so.
//   npm run hostile [-- --idle 10000]

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { parseArgs, promisify } from 'node:util';
import { assertBuilt, seawall, startDaemon } from './daemon.ts';
import { type Note, playRegistrars } from './registrars.ts';

const { values } = parseArgs({ options: { idle: { type: 'string', default: '10000' } } });
const idleCount = Number(values.idle);
if (!Number.isSafeInteger(idleCount) || idleCount < 1 || idleCount > 20_000) throw new Error('--idle: 1 to 20000');
await assertBuilt();

const limits = await readFile('/proc/self/limits', 'latin1');
const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
if (files < idleCount + 2_500)
  throw new Error(`${files} open files are allowed, ${idleCount + 2_500} are needed: ulimit -n 25000, or --idle fewer`);

const daemon = await startDaemon('intake', {
  // Idlers below four fifths of it: above, the ladder would hurry them away before they can be measured.
  SEAWALL_SMTP_CONNECTIONS: String(Math.ceil(idleCount * 1.4)),
  SEAWALL_SMTP_IDLE_SECONDS: '300',
  SEAWALL_SMTP_UNLIMITED_CLIENTS: '127.0.0.1',
  SEAWALL_SMTP_CLIENT_CONNECTIONS_PER_MINUTE: '600',
}).catch(() => undefined);
if (!daemon) throw new Error('the daemon did not start');
const { process: child, smtpPort: port } = daemon;
const tickets = new Set<string>();
let honestRequests = 0;
let failures = 0;

async function residentMb(field: 'VmRSS' | 'VmHWM'): Promise<string> {
  const status = await readFile(`/proc/${child.pid}/status`, 'latin1');
  return (Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024).toFixed(0);
}

/** Twenty sessions at work; says how they fared. */
async function honest(what: string, requests = 4_000): Promise<void> {
  const notes: Note[] = [];
  const began = performance.now();
  await playRegistrars({
    port,
    requests,
    sessions: 20,
    prefix: `H${honestRequests}-`,
    onNote: (note) => void notes.push(note),
  });
  const seconds = (performance.now() - began) / 1000;
  for (const { ticket, reply } of notes) {
    if (ticket !== undefined && !tickets.has(ticket)) tickets.add(ticket);
    else if (++failures <= 5) {
      console.log(`  an honest request was told: ${reply}`);
    }
  }
  honestRequests += requests;
  const latencies = notes.map((each) => each.latencyMs).toSorted((a, b) => a - b);
  const at = (share: number): string => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1);
  console.log(
    `${what}: honest ${(requests / seconds).toFixed(0)}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ` +
      `most ${at(0.9999)} ms; intake ${await residentMb('VmRSS')} MB`,
  );
}

const sockets = new Set<Socket>();
let told421 = 0;
/** Where hostile connections come from: our own address, which has no limits, or one that has. */
let from = '127.0.0.1';

/** A hostile connection: says `first` once greeted, and then what `drip` makes of every tick. */
function hostile(first: string, onText: (socket: Socket, text: string) => void = () => undefined): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true });
    sockets.add(socket);
    socket.setEncoding('latin1');
    socket.once('data', () => {
      socket.write(first, 'latin1');
      resolve(socket);
    });
    socket.on('data', (text: string) => {
      if (text.includes('421 ')) told421++;
      onText(socket, text);
    });
    socket.on('error', () => resolve(socket));
    socket.once('close', () => {
      sockets.delete(socket);
      resolve(socket);
    });
  });
}

async function many(count: number, make: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i += 200) {
    await Promise.all(Array.from({ length: Math.min(200, count - i) }, () => make()));
  }
}

async function leave(): Promise<void> {
  const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  for (const socket of sockets) socket.resetAndDestroy();
  await Promise.all(closed);
}

/** Runs hostile work beside honest clients; the work goes on until they are done. */
async function beside(what: string, work: (over: () => boolean) => Promise<void>, requests?: number): Promise<void> {
  let over = false;
  const working = work(() => over);
  await honest(what, requests);
  over = true;
  await leave();
  await working;
}

const transaction = 'EHLO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n';
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_000));

try {
  await honest('warm-up');
  await honest('alone');

  await many(idleCount, () => hostile('EHLO idle.example\r\n'));
  await honest(`beside ${sockets.size} idle connections`);
  await leave();

  await many(500, () => hostile('EHLO x.example\r\n'));
  await many(500, () => hostile(transaction));
  const dripping = setInterval(() => {
    for (const socket of sockets) socket.write('x');
  }, 1_000);
  for (let i = 0; i < 3; i++) await honest(`beside ${sockets.size} that send a byte a second`);
  while (sockets.size > 500) await tick();
  console.log(`  those in DATA were sent away: ${told421} times 421`);
  clearInterval(dripping);
  await leave();

  for (const [address, how] of [
    ['127.0.0.1', 'without limits for their address'],
    ['127.0.0.2', 'with limits for their address (50 at once, 600 a minute)'],
  ] as const) {
    from = address;
    await beside(`beside floods of NOOP and AUTH from 100 connections ${how}`, async (over) => {
      const flood = `EHLO x.example\r\n${'NOOP\r\nAUTH PLAIN AGEAYg==\r\n'.repeat(2_500)}`;
      while (!over())
        await many(100, async () =>
          (await hostile(flood, (socket, text) => text.includes('421 ') && socket.destroy())).once(
            'close',
            () => undefined,
          ),
        );
    });

    await beside(`beside connections that reset at every step ${how}`, async (over) => {
      for (let i = 0; !over() && i < 50_000; i += 100) {
        await many(100, async () => (await hostile(transaction.slice(0, i % transaction.length))).resetAndDestroy());
      }
    });
  }
  from = '127.0.0.1';

  const dots = `${transaction}${'..x\r\n'.repeat(50_000)}.\r\n`;
  await beside('beside 20 connections with 50,000 dot-stuffed lines a message', async (over) => {
    const again = (socket: Socket, text: string): void => {
      if (text.includes('queued') && !over()) socket.write(`RSET\r\n${dots.slice(16)}`);
    };
    await many(20, () => hostile(dots, again));
  });

  const large = Buffer.alloc(8_000_000, 'x\r\n').toString('latin1');
  await beside(
    'beside 100 messages of 8 MB that never end (800 MB, 256 MB are allowed)',
    async () => many(100, () => hostile(transaction + large)),
    1_000,
  ).catch((error: unknown) => console.log(`  honest clients were sent away: ${String(error)}`));
  await honest('afterwards');
  console.log(`intake at most ${await residentMb('VmHWM')} MB; ${told421} times 421`);

  const [file, args] = seawall('verify');
  const { stdout } = await promisify(execFile)(file, args, { env: daemon.environment, maxBuffer: 1e7 });
  console.log(stdout.trim());
  console.log(`${honestRequests} honest requests, ${tickets.size} tickets, ${failures} not kept`);
  if (child.exitCode !== null) throw new Error('the intake ended');
} finally {
  await leave();
  await daemon.stop();
}
