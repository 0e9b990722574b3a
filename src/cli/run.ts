// The verbs. Takes the command line, gives words on standard output and an exit code. Errors of use and configuration
// are one sentence on standard error; nothing here knows how anything is stored.

import { parseArgs, type ParseArgsConfig } from 'node:util';
import { cat, status, verify } from './look.ts';
import { complain, print } from './words.ts';
import { type Config, describeConfig } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { ConfigError, exitCode, InUseError, messageOf, UsageError } from '../model/errors.ts';
import { readOpening } from '../model/opening.ts';
import { formatOpening, openingReport } from '../operate/opening-status.ts';
import { list } from './list.ts';
import { unknownHealth } from '../operate/health.ts';
import { passwdVerb } from './passwd.ts';
import { keepAlive, nodeRuntime } from '../lib/node/runtime.ts';
import { registrarsVerb } from './registrars.ts';
import {
  acceptRestored,
  actAsOwner,
  assertSpool,
  refuseForeignRoot,
  refuseOpenFolders,
  type StageName,
  stages,
} from '../operate/spool-views.ts';

const usage = `seawall: keeps registration requests in the order in which they came

usage: seawall VERB [options]

  serve                  run the daemon: intake, acknowledge and deliver, restarted when they die
  serve STAGE            run one stage: ${stages.join(', ')}
      --restored                           this spool is a copy, and its original runs nowhere any more: go on with it
  status                 counts, positions, what waits and who runs      [--json]
      --check                              for monitoring: a line a check, exit code 0 ok, 1 warning, 2 critical, 3 unknown
  list                   the requests, one a line                        [--json] [filters]
      --from N --to N --limit N --last N   by sequence or ticket
      --sender TEXT                        envelope sender contains TEXT
      --state STATE                        waiting, retrying, acknowledged, none due, failed; ready, leased, parked,
                                           confirmed
      --since TIME --until TIME            time of receipt, ISO 8601
      --name TEXT                          a name asked for contains TEXT (mühle or xn--mhle-0ra)
      --brief                              without names: does not read the mails, and is fast
  cat SEQUENCE|TICKET    the exact bytes that the registrar sent
      --headers                            only the mail's own header section
      --envelope                           who sent it to whom, from where and when, as JSON
  acks list              acknowledgements that wait or failed            [--json] [--state STATE] [--limit N]
  acks show SEQUENCE|TICKET                how one stands, and its mail  [--json]
  acks retry SEQUENCE|TICKET|--failed|--all  try again now: one, those that failed, and those that wait too
      --again                              send one that was sent already once more, the same message
  acks preview SEQUENCE|TICKET|--sample    the mail in every language, from the templates as they are now
      --language L --html --text           in one language; only its HTML, only its text
  verify                 read the whole spool and prove it: framing, digests, chain, sequence, journals
  passwd NAME            sets the password of a SOAP client in the file soap.clients; asks, or reads standard input
      --roles R,R                          consumer, reader, operator (a new client: consumer)
  passwd --registrar ID  sets a registrar's password in the book         [--user USER]
  registrars             the registrar book                              [--json]
  registrars check       whether the book will do (exit code 78: it will not)
  registrars reload      checks it, then has the running daemon read it again
  config                 every configuration key with its default, as TOML
  help, --version

Every verb takes --config FILE (or SEAWALL_CONFIG; without either /etc/seawall/seawall.toml is read, if it is there). An environment
variable overrides each key: smtp.port is SEAWALL_SMTP_PORT. Exit codes: 0 well, 1 failed, 64 wrong use, 65 damaged, 74 disk trouble, 75 in use, 78 configuration.`;

const options = {
  config: { type: 'string' },
  json: { type: 'boolean' },
  check: { type: 'boolean' },
  restored: { type: 'boolean' },
  headers: { type: 'boolean' },
  envelope: { type: 'boolean' },
  from: { type: 'string' },
  to: { type: 'string' },
  limit: { type: 'string' },
  last: { type: 'string' },
  sender: { type: 'string' },
  state: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  name: { type: 'string' },
  brief: { type: 'boolean' },
  roles: { type: 'string' },
  registrar: { type: 'string' },
  user: { type: 'string' },
  failed: { type: 'boolean' },
  all: { type: 'boolean' },
  again: { type: 'boolean' },
  language: { type: 'string' },
  html: { type: 'boolean' },
  text: { type: 'boolean' },
  sample: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const satisfies ParseArgsConfig['options'];

function parseCommandLine(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${messageOf(error)}. See seawall --help.`);
  }
}

type Options = ReturnType<typeof parseCommandLine>['values'];

/** What the verb `serve` runs: the composition root's. */
export interface Daemon {
  /** Runs one stage until it is asked to stop or cannot go on. @returns the exit code */
  runStage(stage: StageName, config: Config, version: string): Promise<number>;
  /** Runs all stages under the supervisor. @returns the exit code */
  runAll(
    config: Config,
    childArguments: readonly string[],
    onReady: (addresses: ReadonlyMap<string, { host: string; port: number }>) => void,
  ): Promise<number>;
}

/** Which options a verb takes besides --config. A verb may have two words. */
const taken: Readonly<Record<string, readonly (keyof Options)[]>> = {
  serve: ['restored'],
  status: ['json', 'check'],
  list: ['json', 'from', 'to', 'limit', 'last', 'sender', 'state', 'since', 'until', 'name', 'brief'],
  cat: ['headers', 'envelope'],
  'acks list': ['json', 'state', 'limit'],
  'acks show': ['json'],
  'acks retry': ['failed', 'all', 'again'],
  'acks preview': ['language', 'html', 'text', 'sample'],
  verify: [],
  passwd: ['roles', 'registrar', 'user'],
  registrars: ['json'],
  config: [],
  help: [],
};

async function version(): Promise<string> {
  const text = (await nodeRuntime.disk.readFile(new URL('../../package.json', import.meta.url).pathname)).toString(
    'utf8',
  );
  return (JSON.parse(text) as { version: string }).version;
}

function printAll(lines: readonly string[]): number {
  for (const line of lines) print(line);
  return exitCode.ok;
}

async function serve(config: Config, values: Options, stage: string | undefined, daemon: Daemon): Promise<number> {
  if (stage === undefined) {
    const childArguments = values.config === undefined ? [] : ['--config', values.config];
    // For people only: where no terminal is, standard error may be a journal of JSON, and the log says the same.
    return daemon.runAll(config, childArguments, (addresses) => {
      if (process.stderr.isTTY) process.stderr.write(banner(config, addresses));
    });
  }
  const known = stages.find((each) => each === stage);
  if (!known) throw new UsageError(`There is no stage ${JSON.stringify(stage)}: the stages are ${stages.join(', ')}.`);
  // Whatever a library still holds open, a stage that has stopped is over.
  return process.exit(await daemon.runStage(known, config, await version()));
}

/** The verbs that look at a spool: one that is not there is a mistake, and not an empty list. */
const looking = ['status', 'list', 'cat', 'verify', 'acks list', 'acks show', 'acks retry', 'acks preview'];

/** When it opens, for the banner; nothing when it is always open. */
function openingLine(config: Config): string {
  const report = openingReport(readOpening(config.opening), nodeRuntime.clock.now());
  return report.state === 'always' ? '' : `  the hour              ${formatOpening(report)}\n`;
}

/** What people see once all runs. A stage that has no address was given up. */
export function banner(config: Config, addresses: ReadonlyMap<string, { host: string; port: number }>): string {
  const at = (stage: string): string => {
    const address = addresses.get(stage);
    return address ? `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}` : '';
  };
  const soap = `${config.soap.tls_certificate === '' ? 'http' : 'https'}://${at('deliver')}/soap`;
  const registry = addresses.has('deliver') ? `${soap}   (WSDL: ${soap}?wsdl)` : 'does NOT run: see the log';
  const relays = config.ack.relays.map((relay) => new URL(relay).host).join(', ');
  const acks = config.ack.enabled ? relays || `.eml files below ${config.spool.dir}/acknowledgements` : 'off';
  return `
Seawall is running${config.serve.rehearsal ? ': REHEARSAL, nothing that it keeps counts' : ''}.
${openingLine(config)}  mail for requests     ${config.smtp.lmtp ? 'lmtp' : 'smtp'}://${at('intake')}
  registry's SOAP       ${registry}
  health and status     http://${at('admin')}/health   http://${at('admin')}/status
  spool                 ${config.spool.dir}
  acknowledgements      ${acks}
Try:  swaks --server ${at('intake')} --from you@example.net --to domain@registry.example
      npx seawall list    npx seawall status    npx seawall cat 1
Stop with Ctrl-C.

`;
}

async function run(args: string[], daemon: Daemon): Promise<number> {
  const { values, positionals } = parseCommandLine(args);
  const [first = 'help', second] = positionals;
  if (values.version) return (print(`seawall ${await version()}`), exitCode.ok);
  if (values.help || first === 'help') return (print(usage), exitCode.ok);
  const subs = Object.keys(taken).flatMap((name) => (name.startsWith(`${first} `) ? [name.split(' ')[1] ?? ''] : []));
  const verb = subs.length > 0 ? `${first} ${second ?? ''}` : first;
  const allowed = Object.hasOwn(taken, verb) ? taken[verb] : undefined;
  if (!allowed && subs.length > 0)
    throw new UsageError(`${first} wants one of ${subs.join(', ')}. See seawall --help.`);
  if (!allowed) throw new UsageError(`There is no verb ${JSON.stringify(verb)}. See seawall --help.`);
  const unknown = Object.keys(values).find((name) => name !== 'config' && !allowed.some((each) => each === name));
  if (unknown !== undefined) throw new UsageError(`${verb} does not take --${unknown}. See seawall --help.`);
  const [argument, ...rest] = positionals.slice(subs.length > 0 ? 2 : 1);
  const most = ['serve', 'cat', 'passwd', 'registrars', 'acks show', 'acks retry', 'acks preview'].includes(verb)
    ? 1
    : 0;
  if (rest.length > 0 || (most === 0 && argument !== undefined))
    throw new UsageError(`${verb} got more words than it takes. See seawall --help.`);
  if (verb === 'config') return (print(describeConfig()), exitCode.ok);
  const { config, origin } = await loadConfig(nodeRuntime.disk, values.config, process.env);
  if (verb === 'serve') {
    await refuseForeignRoot(config.spool.dir);
    await refuseOpenFolders(config.spool.dir);
    if (values.restored) await acceptRestored(config.spool.dir);
    return serve(config, values, argument, daemon);
  }
  // passwd writes files that are not the spool's.
  if (verb !== 'passwd') await actAsOwner(config.spool.dir);
  if (looking.includes(verb) && values.sample !== true) await assertSpool(config.spool.dir, origin);
  if (verb === 'status') return status(config, origin, values);
  if (verb === 'list') return list(config, values);
  if (verb === 'cat') return cat(config, values, argument);
  if (verb === 'passwd') return printAll(await passwdVerb(config, values, argument));
  if (verb === 'registrars') return printAll(await registrarsVerb(config, argument, values.json === true));
  if (first === 'acks') {
    const { acks } = await import('./acks.ts');
    return acks(config, values, second ?? '', argument);
  }
  return verify(config);
}

/**
 * Runs one command line to its end and sets the exit code.
 * @param args without the program's own name
 */
export async function runCommandLine(args: string[], daemon: Daemon): Promise<void> {
  // `seawall list | head` ends the reader first: that is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCode.ok);
    throw error;
  });
  const alive = keepAlive();
  try {
    process.exitCode = await run(args, daemon);
  } catch (error) {
    if (args[0] === 'status' && args.includes('--check')) {
      print(`SEAWALL UNKNOWN - ${messageOf(error)}`);
      process.exitCode = unknownHealth;
      return;
    }
    complain(messageOf(error));
    process.exitCode =
      error instanceof UsageError
        ? exitCode.usage
        : error instanceof ConfigError
          ? exitCode.config
          : error instanceof InUseError
            ? exitCode.inUse
            : exitCode.failed;
  } finally {
    alive.cancel();
  }
}
