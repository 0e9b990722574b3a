import { deepEqual, equal } from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { openStage } from './support/deliver.ts';
import { MemoryLog, request } from './support/memory.ts';
import { has, run } from './support/tools.ts';

/** The fixtures of requests, and some that XML would choke on. */
async function hostileLog(): Promise<MemoryLog> {
  const log = new MemoryLog();
  const folder = new URL('fixtures/requests/', import.meta.url);
  for (const name of (await readdir(folder)).toSorted()) {
    const text = (await readFile(new URL(name, folder), 'latin1')).replaceAll(/\r?\n/g, '\r\n');
    log.add(request(text, { envelope: { from: '<![CDATA[\u0001&é]]>', to: ['x'] } }));
  }
  log.add(request(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))));
  return log;
}

const clients: Record<string, { needs: string[]; command: string[] }> = {
  'SOAP::Lite as in 2004: uri, proxy, call, autotype': {
    needs: ['perl', '-MSOAP::Lite', '-e1'],
    command: ['perl', 'soap-lite-2004.pl'],
  },
  'SOAP::Lite with default_ns and without autotype': {
    needs: ['perl', '-MSOAP::Lite', '-e1'],
    command: ['perl', 'soap-lite-default-ns.pl'],
  },
  'PHP SoapClient from the WSDL': {
    needs: ['php', '-r', 'class_exists("SoapClient") || exit(1);'],
    command: ['php', 'soap-client.php'],
  },
};

for (const [name, { needs, command }] of Object.entries(clients)) {
  test(`pulls and confirms everything, byte for byte: ${name}`, async (t) => {
    const [tool = '', ...toolArgs] = needs;
    if (!(await has(t, tool, ...toolArgs))) return;
    const log = await hostileLog();
    const { url } = await openStage(t, { log });
    const [program = '', script = ''] = command;
    const path = new URL(`fixtures/clients/${script}`, import.meta.url).pathname;
    const { stdout, stderr } = await run(program, [path, url], { timeout: 30_000 });
    equal(stderr, '');
    const lines = stdout.trim().split('\n');
    equal(lines[0], 'hello 0.0.0-test');
    deepEqual(
      lines.filter((line) => /^\d/.test(line)),
      log.stored.map(({ sequence, sha256 }) => `${sequence} ${sha256}`),
    );
    equal(lines.at(-2), `confirmed ${log.stored.length}`);
    equal(lines.at(-1), 'fault LEASE_LOST');
  });
}
