// Makes every logger of Seawall and keeps secrets out of all of them. One line an event on standard output: JSON in production,
// readable on a terminal. Takes the stage's name and the configuration; a logger never throws.

import { type Logger as PinoLogger, destination, pino, stdSerializers, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';
import { nodeRuntime } from './node/runtime.ts';
import { visible, visibleWhenParsed } from './visible.ts';

export type Logger = PinoLogger;

// Messages, passwords and tokens are never handed to a logger; this is the net below.
const secrets = ['password', 'pass', 'auth', 'token', 'leaseToken'];

/**
 * The same one level deeper, in what is logged as an object. By wildcards the library would look into every value of every
 * line, at twice the cost of the line.
 */
function redactInside(line: Record<string, unknown>): Record<string, unknown> {
  let safe = line;
  for (const [key, value] of Object.entries(line)) {
    if (typeof value !== 'object' || value === null || !secrets.some((secret) => secret in value)) continue;
    // An error keeps being one: its message and its stack are no entries.
    const copy = value instanceof Error ? (Object.create(value) as object) : { ...value };
    for (const secret of secrets) if (secret in value) Object.assign(copy, { [secret]: censor });
    safe = { ...safe, [key]: copy };
  }
  return safe;
}

const censor = '[redacted]';

/** The longest that the last lines may take to go out. */
const flushMs = 1_000;

/** Node has no name for a quota that is used up: "Unknown system error -122" helps nobody. */
function describeError(error: Error): ReturnType<typeof stdSerializers.err> {
  const described = stdSerializers.err(error);
  const message = described.message?.replace(/^(?:Unknown system error -122(?:: )?)+/, 'EDQUOT: disk quota exceeded');
  return message === undefined ? described : { ...described, message };
}

/**
 * The logger of one process, on standard output.
 * @param stage the name in each line: supervisor, intake, acknowledge, deliver
 * @param options `format` auto: readable when standard output is a terminal
 * @returns the logger, and `flush` to be waited for before the process ends
 */
export function makeLogger(
  stage: string,
  options: { level: string; format: 'auto' | 'json' | 'pretty' },
): { log: Logger; flush: () => Promise<void> } {
  const readable = options.format === 'pretty' || (options.format === 'auto' && process.stdout.isTTY);
  const settings = {
    level: options.level,
    base: { stage, pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    redact: { paths: secrets, censor },
    serializers: { err: describeError },
    formatters: { level: (label: string) => ({ level: label }), log: redactInside },
  };
  if (readable) {
    const stream = pretty({ colorize: process.stdout.isTTY, ignore: 'pid', sync: true });
    const hooks = { streamWrite: visibleWhenParsed };
    return { log: pino({ ...settings, hooks }, stream), flush: () => Promise.resolve() };
  }
  // A line a request at thousands a second: gathered for up to a quarter of a second, and written in one call.
  const stream = destination({ dest: 1, sync: false, minLength: 8_192, periodicFlush: 250 });
  // An output that is gone or full is no reason to end, or to stay: whoever waits for it in vain tries again for ever.
  let broken = false;
  stream.on('error', () => (broken = true));
  stream.on('write', () => (broken = false));
  const flush = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      nodeRuntime.clock.after(flushMs, resolve);
      stream.flush(() => resolve());
    });
    if (broken) stream.destroy();
    else stream.flushSync();
  };
  return { log: pino({ ...settings, hooks: { streamWrite: visible } }, stream), flush };
}

/** A logger that says nothing, for tests and tools. */
export const silent: Logger = pino({ level: 'silent' });
