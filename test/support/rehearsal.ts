// What the tests of the rehearsal kit share: books that balance, a server that stalls, and a way to run a tool of the kit.

import { execFile } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Books } from '../../loadtest/parts/books.ts';
import { ticketOf } from '../../src/model/ticket.ts';
import { atEnd } from './spool.ts';

export const sender = 'ops@registrar.example';

/** Three requests that went all the way. */
export function goodBooks(): { -readonly [Part in 'flood' | 'spool' | 'sink' | 'registry']: Books[Part] & object } {
  const places = [1, 2, 3];
  return {
    flood: places.map((n) => ({
      reference: `R${n}`,
      sender,
      scheduled: n * 100,
      sent: n * 100 + 1,
      replied: n * 100 + 50,
      code: 250,
      ticket: ticketOf(n),
      stranger: false,
    })),
    spool: places.map((n) => ({
      sequence: n,
      ticket: ticketOf(n),
      sender,
      acknowledgement: 'acknowledged',
      registry: 'confirmed',
    })),
    sink: places.map((n) => ({ at: n, ticket: ticketOf(n), to: sender, code: 250 })),
    registry: (['pulled', 'confirmed'] as const).flatMap((what, i) =>
      places.map((n) => ({
        at: 1_000 + i,
        what,
        worker: 1,
        sequence: n,
        ticket: ticketOf(n),
        reference: `R${n}`,
        deliveryCount: 1,
      })),
    ),
  };
}

/** A server that takes everything, but is silent until it is told to go on. */
export async function stallingServer(t: TestContext): Promise<{ port: number; goOn: () => void }> {
  let silent = true;
  const held: (() => void)[] = [];
  const sockets = new Set<Socket>();
  let kept = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    let data = false;
    socket.on('error', () => undefined);
    const say = (text: string): void => void (silent ? held.push(() => socket.write(text)) : socket.write(text));
    say('220 slow.example\r\n');
    let left = '';
    socket.on('data', (chunk) => {
      const lines = (left + chunk.toString('latin1')).split('\r\n');
      left = lines.pop() ?? '';
      for (const line of lines) {
        if (data && line !== '.') continue;
        if (data) say(`250 2.0.0 Ok: queued as ${ticketOf(++kept)}\r\n`);
        else say(line === 'DATA' ? '354 Go on\r\n' : '250 Ok\r\n');
        data = line === 'DATA';
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const goOn = (): void => {
    silent = false;
    for (const each of held.splice(0)) each();
  };
  return { port: (server.address() as { port: number }).port, goOn };
}

/** Runs a tool of the kit; gives its exit code and what it said. */
export function tool(name: string, ...args: string[]): Promise<{ code: number; said: string }> {
  const file = join(import.meta.dirname, '../../loadtest', `${name}.ts`);
  return new Promise((resolve) => {
    execFile(process.execPath, ['--import', 'tsx', file, ...args], { timeout: 10_000 }, (error, out, err) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, said: out + err }),
    );
  });
}
