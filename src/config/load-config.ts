// Finds and reads the configuration file. Takes the name from the command line and the environment; gives the configuration and
// where it came from, in words. Fails with a ConfigError that names the file.

import { type Config, makeConfig } from './config.ts';
import { ConfigError, messageOf } from '../model/errors.ts';
import type { Disk } from '../ports/runtime.ts';
import { errorCode } from '../lib/system-error.ts';

/** Read when nothing else is named, if it is there. */
const systemFile = '/etc/seawall/seawall.toml';

/** A configuration, and for people where it came from. */
export interface LoadedConfig {
  readonly config: Config;
  readonly origin: string;
}

/**
 * @param named by `--config`; undefined: SEAWALL_CONFIG, and without that /etc/seawall/seawall.toml. An empty name: no file
 * @throws ConfigError
 */
export async function loadConfig(
  disk: Pick<Disk, 'readFile'>,
  named: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<LoadedConfig> {
  const asked = named ?? environment['SEAWALL_CONFIG'];
  if (asked === '') return { config: makeConfig(undefined, environment), origin: 'none (SEAWALL_CONFIG is empty)' };
  const name = asked ?? systemFile;
  let text: string;
  try {
    text = (await disk.readFile(name)).toString('utf8');
  } catch (error) {
    if (asked !== undefined || errorCode(error) !== 'ENOENT')
      throw new ConfigError(`The configuration file ${name} cannot be read: ${messageOf(error)}`);
    const origin = `none (no --config, no SEAWALL_CONFIG, and no ${systemFile})`;
    return { config: makeConfig(undefined, environment), origin };
  }
  return { config: makeConfig({ name, text }, environment), origin: name };
}
