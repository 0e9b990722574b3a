import { deepEqual, equal } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { mailParser } from '../../src/mail/parse-mail.ts';
import { openStage } from '../support/deliver.ts';
import { parse } from '../support/parse.ts';
import { MemoryLog, request } from '../support/memory.ts';
import { temporaryFolder } from '../support/spool.ts';
import { has, run } from '../support/tools.ts';
import { plainTicket } from '../../src/model/ticket.ts';

/** With everything in the answers that there can be. */
const reader = () => mailParser(65_536, () => parse);

const pathOf = (name: string): string => new URL(name, import.meta.url).pathname;

/** The fixtures of requests, and some that XML would choke on. */
async function hostileLog(): Promise<MemoryLog> {
  const log = new MemoryLog();
  const folder = pathOf('../fixtures/requests/');
  for (const name of (await readdir(folder)).toSorted()) {
    const text = (await readFile(join(folder, name), 'latin1')).replaceAll(/\r?\n/g, '\r\n');
    log.add(request(text, { envelope: { from: '<![CDATA[\u0001&é]]>', to: ['x'] } }));
  }
  log.add(request(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))));
  return log;
}

/** Lines `sequence digest`, or `sequence message` in hexadecimal, as lines with the digest. */
function digestsIn(lines: readonly string[], hex: boolean): string[] {
  return lines.flatMap((line) => {
    const [, sequence, text = ''] = /^(\d+) ([0-9a-f]+)$/.exec(line) ?? [];
    if (sequence === undefined) return [];
    const digest = hex ? createHash('sha256').update(Buffer.from(text, 'hex')).digest('hex') : text;
    return [`${sequence} ${digest}`];
  });
}

const perl = ['perl', '-MSOAP::Lite', '-e1'];
const php = ['php', '-r', 'class_exists("SoapClient") || exit(1);'];
const zeep = ['/usr/bin/python3', '-c', 'import zeep'];
const gsoap = [
  'sh',
  '-c',
  'command -v wsdl2h && command -v soapcpp2 && echo "#include <stdsoap2.h>" | gcc -E - -o /dev/null',
];

const programs: Record<string, { needs: string[]; command: string[] }> = {
  'SOAP::Lite as in 2004: uri, proxy, call, autotype': { needs: perl, command: ['perl', 'soap-lite-2004.pl'] },
  'SOAP::Lite from the WSDL: service': { needs: perl, command: ['perl', 'soap-lite-service.pl'] },
  'PHP SoapClient without the WSDL': { needs: php, command: ['php', 'no-wsdl.php'] },
};

async function pullsEverything(t: TestContext, command: readonly string[], hex = false): Promise<void> {
  const log = await hostileLog();
  const { url } = await openStage(t, { log, parseMail: reader() });
  const [program = '', ...args] = command;
  const { stdout, stderr } = await run(program, [...args, url], { timeout: 30_000 });
  equal(stderr, '');
  const lines = stdout.trim().split('\n');
  equal(lines[0], 'hello 0.0.0-test');
  deepEqual(
    digestsIn(lines, hex),
    log.stored.map(({ sequence, sha256 }) => `${sequence} ${sha256}`),
  );
  equal(lines.at(-2), `confirmed ${log.stored.length}`);
  equal(lines.at(-1), 'fault LEASE_LOST');
}

for (const [name, { needs, command }] of Object.entries(programs)) {
  test(`pulls and confirms everything, byte for byte: ${name}`, async (t) => {
    if (!(await has(t, needs))) return;
    const [program = '', script = ''] = command;
    await pullsEverything(t, [program, pathOf(`../fixtures/clients/${script}`)]);
  });
}

const jars = [
  'axis',
  'jaxrpc',
  'saaj',
  'wsdl4j',
  'commons-logging',
  'commons-discovery',
  'javax.mail',
  'javax.activation',
];
const classPath = jars.map((jar) => `/usr/share/java/${jar}.jar`).join(':');
const axis = ['sh', '-c', 'command -v java && command -v javac && test -e /usr/share/java/axis.jar'];
const mono = ['sh', '-c', 'command -v mono && command -v wsdl && command -v mcs'];

/** Clients whose code is generated from the WSDL: the steps to build them in a folder with `seawall.wsdl`, and how they are run there. */
const generated: Record<string, { needs: string[]; steps: string[]; command: string[]; hex?: true }> = {
  gSOAP: {
    needs: gsoap,
    steps: [
      'wsdl2h -c -o seawall.h seawall.wsdl',
      'soapcpp2 -c -C -L -x -I/usr/share/gsoap/import seawall.h',
      `gcc -w -I. -o client ${pathOf('../fixtures/clients/gsoap.c')} soapC.c soapClient.c -lgsoap -lz`,
    ],
    command: ['./client'],
    hex: true,
  },
  'Axis 1.4, Java': {
    needs: axis,
    steps: [
      `java -cp ${classPath} org.apache.axis.wsdl.WSDL2Java -p seawall seawall.wsdl`,
      `javac -nowarn -Xlint:none -encoding UTF-8 -d . -cp ${classPath} seawall/*.java seawall/holders/*.java ${pathOf('../fixtures/clients/Axis.java')}`,
    ],
    command: ['java', '-cp', `.:${classPath}`, 'Axis'],
  },
  'wsdl.exe of .NET, Mono': {
    needs: mono,
    steps: [
      'wsdl seawall.wsdl',
      `mcs -out:client.exe -r:System.Web.Services Seawall.cs ${pathOf('../fixtures/clients/DotNet.cs')}`,
    ],
    command: ['mono', 'client.exe'],
  },
};

for (const [name, { needs, steps, command, hex }] of Object.entries(generated)) {
  test(`pulls and confirms everything, byte for byte: stubs from the WSDL by ${name}`, async (t) => {
    if (!(await has(t, needs))) return;
    const folder = await temporaryFolder(t);
    const { url } = await openStage(t);
    await writeFile(join(folder, 'seawall.wsdl'), await (await fetch(`${url}?wsdl`)).text());
    await run('sh', ['-ec', steps.join('\n')], { cwd: folder });
    await pullsEverything(t, ['env', '-C', folder, ...command], hex);
  });
}

const examples: Record<string, { needs: string[]; command: string[] }> = {
  Perl: { needs: perl, command: ['perl', 'registry.pl'] },
  PHP: { needs: php, command: ['php', 'registry.php'] },
  'Python, zeep': { needs: zeep, command: ['/usr/bin/python3', 'registry.py'] },
};

for (const [name, { needs, command }] of Object.entries(examples)) {
  test(`the example client works as it is: ${name}`, async (t) => {
    if (!(await has(t, needs))) return;
    const log = await hostileLog();
    const { url, store } = await openStage(t, { log, parseMail: reader(), toml: '[soap]\nbatch_count = 4\n' });
    const [program = '', script = ''] = command;
    const folder = join(await temporaryFolder(t), 'requests');
    const args = [pathOf(`../../templates/clients/${script}`), url, folder, 'until-empty'];
    const { stderr } = await run(program, args, { timeout: 30_000 });
    equal(stderr, '');
    for (const { ticket, message } of log.stored) {
      deepEqual(await readFile(join(folder, `${plainTicket(ticket)}.eml`)), message, ticket);
    }
    equal((await readdir(folder)).filter((file) => file.endsWith('.eml')).length, log.stored.length);
    equal(store.events.filter(({ type }) => type === 'confirmed').length, 3);
    const lines = (await readFile(args[0] ?? '', 'utf8')).split('\n').length;
    equal(lines <= 61, true, `${script} has ${lines} lines`);
  });
}
