// Configuration: one TOML file and the environment become one frozen, typed object. Nobody else reads either.
// Every key is listed once, in keys.ts; `seawall config` prints that table.

import type { Key } from './key-kinds.ts';
import { keys } from './keys.ts';
import { ConfigError, messageOf } from '../model/errors.ts';
import { readOpening } from '../model/opening.ts';
import { isTable, parseToml } from './toml.ts';

type Keys = typeof keys;
type Value<K> = K extends Key<infer T> ? T : never;

/** The whole configuration, frozen. Units stand in the names. */
export type Config = {
  readonly [Section in keyof Keys]: { readonly [Name in keyof Keys[Section]]: Value<Keys[Section][Name]> };
};

/** A value for an error message. What could be a secret is not repeated. */
function show(name: string, value: unknown): string {
  if (/relays|password|secret|key/.test(name)) return 'a value that is not shown because it may hold a secret';
  const shown = JSON.stringify(value) ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}

/** The known name nearest to a mistyped one, as a hint. */
function hint(name: string, known: readonly string[]): string {
  const shares = (other: string): number => {
    let same = 0;
    while (same < name.length && name[same] === other[same]) same++;
    return same;
  };
  const best = known.toSorted((a, b) => shares(b) - shares(a))[0];
  return best !== undefined && shares(best) >= 3 ? ` Did you mean ${best}?` : '';
}

const variableOf = (name: string): string => `SEAWALL_${name.replace('.', '_').toUpperCase()}`;

/** Every key in the form `section.name`. */
const names = Object.entries(keys).flatMap(([section, entries]) =>
  Object.keys(entries).map((name) => `${section}.${name}`),
);

/**
 * Makes the configuration.
 * @param file the TOML file's name and text, if there is one
 * @param environment variables; those that begin with SEAWALL_ override the file: `smtp.port` is SEAWALL_SMTP_PORT
 * @throws ConfigError that names the key, what it got and what it wants
 */
export function makeConfig(
  file: { name: string; text: string } | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  let tables: Record<string, unknown> = {};
  if (file) {
    tables = parseToml(file.name, file.text);
    for (const [section, table] of Object.entries(tables)) {
      if (!(section in keys) || !isTable(table)) {
        const sections = Object.keys(keys);
        throw new ConfigError(
          `${file.name}: unknown ${isTable(table) ? 'section' : 'key'} "${section}".${hint(section, sections)} The sections are ${sections.join(', ')}.`,
        );
      }
      for (const name of Object.keys(table)) {
        const full = `${section}.${name}`;
        if (!names.includes(full)) throw new ConfigError(`${file.name}: unknown key "${full}".${hint(full, names)}`);
      }
    }
  }
  const variables = new Map(names.map((name) => [variableOf(name), name]));
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('SEAWALL_') && variable !== 'SEAWALL_CONFIG' && !variables.has(variable)) {
      throw new ConfigError(`unknown environment variable ${variable}.${hint(variable, [...variables.keys()])}`);
    }
  }
  const config: Record<string, Record<string, unknown>> = {};
  for (const [section, entries] of Object.entries<Record<string, Key<unknown>>>(keys)) {
    const table = tables[section];
    const values: Record<string, unknown> = {};
    for (const [name, key] of Object.entries(entries)) {
      const full = `${section}.${name}`;
      const fromEnvironment = environment[variableOf(full)];
      const given =
        fromEnvironment !== undefined ? key.fromText(fromEnvironment) : isTable(table) ? table[name] : undefined;
      if (given === undefined) {
        values[name] = key.fallback;
        continue;
      }
      const value = key.check(given);
      if (value === undefined) {
        const where = fromEnvironment !== undefined ? variableOf(full) : `${file?.name ?? ''}: ${full}`;
        throw new ConfigError(`${where} wants ${key.wants}, but got ${show(full, given)}.`);
      }
      values[name] = value;
    }
    config[section] = Object.freeze(values);
  }
  // Built from `keys` itself, so it has the shape that the type derives from `keys`.
  const made = Object.freeze(config) as unknown as Config;
  checkTogether(made);
  if (!made.serve.rehearsal) return made;
  // From here on nobody has to ask which spool is meant.
  const dir = made.spool.rehearsal_dir || `${made.spool.dir.replace(/\/+$/, '')}-rehearsal`;
  return Object.freeze({ ...made, spool: Object.freeze({ ...made.spool, dir }) });
}

/** What no single key can tell. */
function checkTogether(config: Config): void {
  try {
    readOpening(config.opening);
  } catch (error) {
    throw new ConfigError(messageOf(error), { cause: error });
  }
  if ((config.smtp.tls_certificate === '') !== (config.smtp.tls_key === '')) {
    throw new ConfigError('smtp.tls_certificate and smtp.tls_key go together: set both, or neither.');
  }
  if ((config.soap.tls_certificate === '') !== (config.soap.tls_key === '')) {
    throw new ConfigError('soap.tls_certificate and soap.tls_key go together: set both, or neither.');
  }
  if (config.soap.tls_client_ca !== '' && config.soap.tls_certificate === '') {
    throw new ConfigError('soap.tls_client_ca needs soap.tls_certificate and soap.tls_key.');
  }
  if (config.soap.lease_seconds > config.soap.lease_seconds_max) {
    throw new ConfigError('soap.lease_seconds must not be more than soap.lease_seconds_max.');
  }
  if (config.smtp.message_bytes > config.smtp.buffered_bytes) {
    throw new ConfigError('smtp.message_bytes must not be more than smtp.buffered_bytes.');
  }
  const { ack } = config;
  if (new Set([ack.dkim_domain === '', ack.dkim_selector === '', ack.dkim_key === '']).size > 1) {
    throw new ConfigError('ack.dkim_domain, ack.dkim_selector and ack.dkim_key go together: set all three, or none.');
  }
  if (ack.direct && ack.relays.length > 0) {
    throw new ConfigError('ack.direct and ack.relays exclude one another: set one of them.');
  }
  for (const relay of config.ack.relays) {
    if (!URL.canParse(relay)) throw new ConfigError('ack.relays holds an address that is not a valid smtp:// URL.');
  }
}

/** The table of keys as a TOML file with every default, for `seawall config`. */
export function describeConfig(): string {
  const lines: string[] = [];
  for (const [section, entries] of Object.entries<Record<string, Key<unknown>>>(keys)) {
    lines.push(`[${section}]`);
    for (const [name, key] of Object.entries(entries)) {
      lines.push(`# ${key.help}; ${key.wants}`, `${name} = ${JSON.stringify(key.fallback)}`);
    }
    lines.push('');
  }
  return lines.join('\n');
}
