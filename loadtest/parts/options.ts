// Command lines of the kit: every tool parses its own with these. A wrong word ends the tool with code 64 and one sentence
// that says what was wanted, what came, and where the help is.

import { parseArgs, type ParseArgsConfig } from 'node:util';

/** What somebody typed cannot be carried out. */
export class WrongUse extends Error {
  override readonly name = 'WrongUse';
}

type Known = NonNullable<ParseArgsConfig['options']>;

/** The options given on the command line; prints the help and ends when that is asked for. */
export function readOptions<const T extends Known>(help: string, options: T, args = process.argv.slice(2)) {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${help}\n`);
    process.exit(0);
  }
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new WrongUse(`${error instanceof Error ? error.message : String(error)} --help says what there is.`);
  }
}

/** A whole number in its bounds. */
export function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new WrongUse(`--${name} wants a whole number from ${least} to ${most}, but got ${JSON.stringify(text)}.`);
}

/** A number in its bounds, fractions allowed. */
export function decimal(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new WrongUse(`--${name} wants a number from ${least} to ${most}, but got ${JSON.stringify(text)}.`);
}

/** One of several words. */
export function oneOf<const T extends string>(name: string, text: string, words: readonly T[]): T {
  const found = words.find((each) => each === text);
  if (found !== undefined) return found;
  throw new WrongUse(`--${name} wants one of ${words.join(', ')}, but got ${JSON.stringify(text)}.`);
}

/** Runs a tool: its number is the exit code, its errors are one sentence each. */
export async function runTool(main: () => Promise<number>): Promise<never> {
  let code = 1;
  try {
    code = await main();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${error instanceof WrongUse ? '' : 'It did not work: '}${text}\n`);
    code = error instanceof WrongUse ? 64 : 1;
  }
  return process.exit(code);
}
