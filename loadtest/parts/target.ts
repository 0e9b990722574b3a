// Whether a flood may go where it was pointed. Takes a host and a port, gives the address, or refuses in a sentence. A flood
// at the wrong machine is an attack, and in the day's order it stands for ever: a Seawall must say that it rehearses, and so
// must everything that is not loopback, which must be ours besides.

import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { WrongUse } from './options.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export function isLoopback(address: string): boolean {
  return address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address) || address.startsWith('::ffff:127.');
}

/** Reads `host:port`, `[::1]:port`, or a port alone. */
export function targetFrom(text: string): Target {
  const [, six, four, port] = /^(?:(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):)?(\d{1,5})$/.exec(text) ?? [];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) {
    return { host: six ?? four ?? '127.0.0.1', port: Number(port) };
  }
  throw new WrongUse(`--target wants host:port, such as 127.0.0.1:2525, but got ${JSON.stringify(text)}.`);
}

/** The first line that a server says. */
function greetingOf({ host, port }: Target): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 10_000 });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!text.includes('\n') && text.length < 4096) return;
      socket.end('QUIT\r\n');
      resolve(text.split(/\r?\n/)[0] ?? '');
    });
    const fail = (why: string): void => {
      socket.destroy();
      reject(new Error(`${host}:${port} did not greet (${why}). Is the daemon running there?`));
    };
    socket.on('timeout', () => fail('silence for 10 seconds'));
    socket.on('error', (error: Error) => fail(error.message));
    socket.on('close', () => fail('it closed the connection'));
  });
}

/**
 * The address to flood.
 * @param allowed `owned`: the operator says that the machine is theirs; `real`: that a Seawall here may be in earnest
 * @throws WrongUse when it must not be flooded
 */
export async function permitted(target: Target, allowed: { owned: boolean; real: boolean }): Promise<Target> {
  const found = await lookup(target.host);
  const resolved = { host: found.address, port: target.port };
  const local = isLoopback(found.address);
  if (!local && !allowed.owned) {
    throw new WrongUse(
      `${target.host} (${found.address}) is another machine. A flood goes there only with --i-own-this-target, ` +
        'and only if its greeting says that it rehearses. Nothing was sent.',
    );
  }
  const greeting = await greetingOf(resolved);
  const rehearses = /\brehearsal\b/i.test(greeting);
  if (local && !rehearses && /\bSeawall\b/.test(greeting) && !allowed.real) {
    throw new WrongUse(
      `The Seawall at ${target.host}:${target.port} does not say REHEARSAL in its greeting: what it keeps counts. Start it with ` +
        'serve.rehearsal = true (SEAWALL_SERVE_REHEARSAL=true), or say --not-a-rehearsal. Nothing was sent.',
    );
  }
  if (!local && !rehearses) {
    throw new WrongUse(
      `${target.host} wants to say the word "rehearsal" in its greeting, but says ${JSON.stringify(greeting.slice(0, 200))}. ` +
        'Put that daemon into rehearsal first. Nothing was sent.',
    );
  }
  return resolved;
}
