// Reads TOML: takes a text and its file's name, gives the table. Fails with a ConfigError that names file and line.

import { parse, TomlError } from 'smol-toml';
import { ConfigError, messageOf } from '../model/errors.ts';

/** @throws ConfigError */
export function parseToml(file: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    const where = error instanceof TomlError ? `, line ${error.line}` : '';
    // The library draws the place over several lines, and a line of a file may hold a secret.
    const what = messageOf(error)
      .split('\n')[0]
      ?.replace(/^Invalid TOML document: /, '');
    throw new ConfigError(`${file}${where} is not valid TOML: ${what}`);
  }
}

/** Whether a value is a table. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
