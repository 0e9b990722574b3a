// A server that expects users and folders of its own on the machine, run without installing it: in a private mount namespace its
// users stand in /etc/passwd, and folders of ours lie over its own. Takes what it expects, gives its port. Owns the
// process and the temporary folder. Needs root and util-linux; one that does not greet gives an error with what it said.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { appendFile, chmod, chown, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../postfix.ts';

export interface Expectations {
  /** Of its temporary folder. */
  readonly name: string;
  /** Users that it drops to; those that the machine does not have are made up. */
  readonly users: readonly string[];
  /** Its folders, by the name that they have in the temporary one; they are emptied by `again`. */
  readonly folders: readonly { readonly name: string; readonly over?: string; readonly owner?: string }[];
  /** Files that `command` writes, and that lie over the machine's own. */
  readonly files?: readonly { readonly name: string; readonly over: string }[];
  /** Writes what else it needs and gives its command line. It must stay in the foreground. */
  readonly command: (folder: string, port: number, idOf: (user: string) => number) => Promise<readonly string[]>;
}

export interface OwnSystem {
  readonly port: number;
  /** Ends it, empties its folders and starts it again. */
  readonly again: () => Promise<void>;
  /** Ends it and removes all of it. */
  readonly stop: () => Promise<void>;
}

/** Numbers that Debian gives to nobody. */
const firstId = 64_900;
/** The longest to wait for its greeting. */
const readyMs = 10_000;

// A mount namespace is private when it is unshared: none of this is seen outside, and all of it ends with the process.
const script = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"';

const userId = async (user: string): Promise<number | undefined> =>
  promisify(execFile)('id', ['-u', user]).then(
    ({ stdout }) => Number(stdout),
    () => undefined,
  );

/** Whether somebody greets on a port of this machine. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 5_000 });
    socket.once('data', (text) => {
      resolve(text.toString('latin1').startsWith('220'));
      socket.end('QUIT\r\n');
    });
    socket.on('error', () => undefined);
    socket.on('timeout', () => socket.destroy());
    socket.once('close', () => resolve(false));
  });
}

/** Starts it and waits for its greeting. */
export async function startOwnSystem({ name, users, folders, files = [], command }: Expectations): Promise<OwnSystem> {
  const folder = await mkdtemp(join(tmpdir(), `seawall-${name}-`));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  let child: ChildProcess | undefined;
  const end = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child?.once('close', resolve));
    child.kill('SIGTERM');
    await gone;
  };
  try {
    // Its users must get through to what is theirs.
    await chmod(folder, 0o755);
    const [passwd, group] = [join(folder, 'passwd'), join(folder, 'group')];
    await copyFile('/etc/passwd', passwd);
    await copyFile('/etc/group', group);
    const ids = new Map<string, number>();
    for (const [i, user] of users.entries()) {
      const known = await userId(user);
      const id = known ?? firstId + i;
      ids.set(user, id);
      if (known !== undefined) continue;
      await appendFile(passwd, `${user}:x:${id}:${id}::/nonexistent:/usr/sbin/nologin\n`);
      await appendFile(group, `${user}:x:${id}:\n`);
    }
    const idOf = (user: string): number => ids.get(user) ?? 0;
    const port = await freePort();
    const words = await command(folder, port, idOf);
    const binds = [passwd, '/etc/passwd', group, '/etc/group'];
    for (const { name: own, over } of [...folders, ...files])
      if (over !== undefined) binds.push(join(folder, own), over);

    const launch = async (): Promise<void> => {
      for (const { name: own, owner } of folders) {
        const path = join(folder, own);
        await rm(path, { recursive: true, force: true });
        await mkdir(path, { recursive: true });
        await chown(path, idOf(owner ?? ''), idOf(owner ?? ''));
      }
      const launched = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...binds, '--', ...words], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child = launched;
      let said = '';
      const hear = (chunk: Buffer): void => void (said = `${said}${chunk.toString()}`.slice(-1_000));
      launched.stdout.on('data', hear);
      launched.stderr.on('data', hear);
      let over = false;
      for (const event of ['error', 'close'] as const) launched.once(event, () => (over = true));
      const deadline = performance.now() + readyMs;
      while (!(await greets(port))) {
        if (over || performance.now() > deadline)
          throw new Error(`it did not start: ${said.trim() || 'it said nothing'}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await launch();
    return {
      port,
      again: () => end().then(launch),
      stop: () => end().then(remove),
    };
  } catch (error) {
    await end();
    await remove();
    throw error;
  }
}
