// Exim and OpenSMTPD, which are measured where they are: Debian lets one machine have one mail server, so beside Postfix they
// stand in a folder of their own. Takes where their programs are, gives contenders that accept and keep, and do not deliver,
// as Postfix with HOLD; or says why there is none. Whether and when they sync is left as it was shipped.

import { constants } from 'node:fs';
import { access, chown, copyFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { messageOf } from '../../src/model/errors.ts';
import { WrongUse } from '../parts/options.ts';
import type { Certificate } from './certificate.ts';
import type { Contender, NotMeasured } from './contenders.ts';
import { type Expectations, startOwnSystem } from './own-system.ts';

/** Programs by name: where each is, or undefined where it was not found. */
export interface Programs {
  readonly exim: string | undefined;
  readonly opensmtpd: string | undefined;
}

const isProgram = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/** The first of some names on PATH or where Debian puts it. */
async function search(names: readonly string[]): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const name of names) {
    for (const folder of folders) if (folder !== '' && (await isProgram(join(folder, name)))) return join(folder, name);
  }
  return undefined;
}

/** Where they are; what was named on the command line must be there. */
export async function findPrograms(named: {
  exim?: string | undefined;
  opensmtpd?: string | undefined;
}): Promise<Programs> {
  for (const [option, path] of Object.entries(named)) {
    if (path !== undefined && !(path.startsWith('/') && (await isProgram(path))))
      throw new WrongUse(`--${option} wants the whole path of a program, but got ${JSON.stringify(path)}.`);
  }
  return {
    exim: named.exim ?? (await search(['exim4', 'exim'])),
    opensmtpd: named.opensmtpd ?? (await search(['smtpd'])),
  };
}

const lines = (...text: readonly string[]): string => `${text.join('\n')}\n`;

/** Starts one as a contender, or says why it is not measured. */
async function contend(
  name: string,
  program: string | undefined,
  expected: Expectations,
): Promise<Contender | NotMeasured> {
  if (program === undefined) return { name, why: `it is not on this machine; --${expected.name} PATH says where else` };
  try {
    const { port, again, stop } = await startOwnSystem(expected);
    return { name, port, through: async () => undefined, settle: again, stop };
  } catch (error) {
    return { name, why: messageOf(error) };
  }
}

const eximUser = 'Debian-exim';

/** Exim that queues each mail in its spool and leaves it there. */
export function eximQueue(program: string | undefined, certificate?: Certificate): Promise<Contender | NotMeasured> {
  const command = async (folder: string, port: number, idOf: (user: string) => number): Promise<string[]> => {
    const tls: string[] = [];
    if (certificate) {
      // Whoever serves a connection is not root any more.
      const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      await copyFile(certificate.certificate, cert);
      await copyFile(certificate.key, key);
      await chown(key, idOf(eximUser), idOf(eximUser));
      tls.push('tls_advertise_hosts = *', `tls_certificate = ${cert}`, `tls_privatekey = ${key}`);
    } else tls.push('tls_advertise_hosts =');
    const conf = join(folder, 'exim.conf');
    await writeFile(
      conf,
      lines(
        `spool_directory = ${join(folder, 'spool')}`,
        `log_file_path = ${join(folder, 'log')}/%s`,
        `pid_file_path = ${join(folder, 'exim.pid')}`,
        `exim_path = ${program}`,
        'primary_hostname = exim.example',
        'local_interfaces = 127.0.0.1',
        `daemon_smtp_ports = ${port}`,
        // Accept and keep. No queue runner is started either.
        'queue_only',
        'smtp_accept_max = 0',
        'smtp_accept_max_per_connection = 0',
        'smtp_connect_backlog = 1024',
        'host_lookup =',
        'rfc1413_hosts =',
        'keep_environment =',
        ...tls,
        'acl_smtp_rcpt = all',
        'acl_smtp_data = all',
        'begin acl',
        'all:',
        '  accept',
      ),
    );
    return [program ?? '', '-C', conf, '-bdf'];
  };
  const folders = [
    { name: 'spool', owner: eximUser },
    { name: 'log', owner: eximUser },
  ];
  return contend('Exim', program, { name: 'exim', users: [eximUser], folders, command });
}

/** OpenSMTPD where each mail comes on a connection of its own. */
export async function openSmtpdEach(): Promise<NotMeasured> {
  return {
    name: 'OpenSMTPD',
    why: 'its listen backlog of 5 is compiled in, so that most of many new connections at once wait for TCP to try again',
  };
}

/** OpenSMTPD that keeps each mail in its queue, with deliveries paused. Its paths are compiled in. */
export function openSmtpdQueue(program: string | undefined): Promise<Contender | NotMeasured> {
  const command = async (folder: string, port: number): Promise<string[]> => {
    const conf = join(folder, 'smtpd.conf');
    // It looks up each client's name: in /etc/hosts, and not somewhere on the network.
    await writeFile(join(folder, 'resolv.conf'), 'lookup file\n');
    await writeFile(
      conf,
      lines(
        // As shipped it takes a hundred mails a session.
        'smtp limit max-mails 10000000',
        `listen on 127.0.0.1 port ${port}`,
        'action "relay" relay',
        'match from any for any action "relay"',
      ),
    );
    return [program ?? '', '-F', '-P', 'mda', '-P', 'mta', '-f', conf];
  };
  const folders = [
    { name: 'spool', over: '/var/spool' },
    { name: 'run', over: '/run' },
    { name: 'lib', over: '/var/lib' },
    { name: 'lib/opensmtpd/empty' },
  ];
  const files = [{ name: 'resolv.conf', over: '/etc/resolv.conf' }];
  const users = ['opensmtpd', 'opensmtpq'];
  return contend('OpenSMTPD', program, { name: 'opensmtpd', users, folders, files, command });
}
