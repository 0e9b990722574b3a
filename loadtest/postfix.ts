// A Postfix of our own in a temporary folder on a free port, to measure against. Takes main.cf settings, gives its port and a
// way to end it. Needs root (Postfix drops to its own users) and Debian's postfix package. Touches no other Postfix.

import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function idOf(user: string, flag: '-u' | '-g'): Promise<number> {
  return Number((await run('id', [flag, user])).stdout);
}

export interface Postfix {
  readonly port: number;
  /** How many messages are in its queue. */
  queued(): Promise<number>;
  /** Tries everything in its queue again now. */
  flush(): Promise<void>;
  /** What it has logged so far. */
  log(): Promise<string>;
  /** Removes what is in its queue, between measurements. */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a private Postfix with the given settings on top of a minimal configuration. */
export async function startPostfix(settings: Readonly<Record<string, string>>): Promise<Postfix> {
  const folder = await mkdtemp(join(tmpdir(), 'seawall-postfix-'));
  // Postfix's own users must get through to its queue.
  await run('chmod', ['755', folder]);
  const port = await freePort();
  const [conf, queue, data] = [join(folder, 'conf'), join(folder, 'queue'), join(folder, 'data')];
  await Promise.all([conf, queue, data].map((each) => mkdir(each)));
  await chown(data, await idOf('postfix', '-u'), await idOf('postfix', '-g'));
  const main = {
    compatibility_level: '3.6',
    queue_directory: queue,
    data_directory: data,
    daemon_directory: '/usr/lib/postfix/sbin',
    command_directory: '/usr/sbin',
    mail_owner: 'postfix',
    setgid_group: 'postdrop',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    myhostname: 'postfix.seawall.example',
    mydestination: '',
    relay_domains: '',
    alias_maps: '',
    local_recipient_maps: '',
    default_process_limit: '150',
    maillog_file: join(folder, 'maillog'),
    maillog_file_prefixes: folder,
    smtpd_recipient_restrictions: 'permit_mynetworks, reject',
    ...settings,
  };
  await writeFile(
    join(conf, 'main.cf'),
    Object.entries(main)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join(''),
  );
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'smtp unix - - n - - smtp',
    'lmtp unix - - n - - lmtp',
    'relay unix - - n - - smtp',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  await writeFile(join(conf, 'master.cf'), `${services.join('\n')}\n`);
  try {
    await run('postfix', ['-c', conf, 'start']);
  } catch (error) {
    const log = await readFile(join(folder, 'maillog'), 'utf8').catch(() => '');
    await rm(folder, { recursive: true, force: true });
    throw new Error(`Postfix did not start: ${String(error)}\n${log}`, { cause: error });
  }
  return {
    port,
    queued: async () => {
      const { stdout } = await run('postqueue', ['-c', conf, '-j']);
      return stdout.split('\n').length - 1;
    },
    flush: async () => void (await run('postqueue', ['-c', conf, '-f'])),
    log: () => readFile(join(folder, 'maillog'), 'utf8'),
    empty: async () => void (await run('postsuper', ['-c', conf, '-d', 'ALL'])),
    async stop() {
      await run('postfix', ['-c', conf, 'stop']).catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
