// Looks at every file that the configuration names, before anything listens: a daemon that takes mail and then finds that it
// cannot acknowledge or deliver it has started too early. Each stage looks again at its own. Fails with a ConfigError.

import type { Config } from '../config/config.ts';
import { openRegistrarBook } from '../config/registrar-book-file.ts';
import { silent } from '../lib/logger.ts';
import { nodeRuntime } from '../lib/node/runtime.ts';
import { readTls } from '../lib/tls-files.ts';
import { readNamed } from '../lib/watched-files.ts';

/** Certificates and keys, the registrar book, the clients of the SOAP endpoint, the templates. @throws ConfigError that names the setting */
export async function checkNamedFiles(config: Config): Promise<void> {
  const { disk } = nodeRuntime;
  await readTls(disk, 'smtp', config.smtp);
  await readTls(disk, 'soap', config.soap);
  if (config.soap.clients !== '') {
    const { parseClientAccounts } = await import('../deliver/access/client-accounts.ts');
    const text = await readNamed(disk, { setting: 'soap.clients', path: config.soap.clients });
    parseClientAccounts(config.soap.clients, text);
  }
  const { book } = await openRegistrarBook(config.registrars.file, disk, silent);
  if (!config.ack.enabled) return;
  const { checkLanguages, loadLanguages } = await import('../acknowledge/compose/languages.ts');
  const languages = await loadLanguages(disk, config.templates.dir, config.ack.language);
  if (book) checkLanguages(book, languages, config.templates.dir);
  const { openTransports } = await import('../acknowledge/transport/open-transports.ts');
  const { transports } = await openTransports(config, nodeRuntime, silent, () => undefined);
  for (const transport of transports) transport.close();
}
