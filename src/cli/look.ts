// The verbs that only look: status, cat, verify. Take the configuration and their options, print, give an exit code. They work
// while the daemon runs and when it does not.

import { resolve } from 'node:path';
import { print, sequenceFrom } from './words.ts';
import type { Config } from '../config/config.ts';
import { exitCode, UsageError } from '../model/errors.ts';
import { visible } from '../lib/visible.ts';
import { nagiosReport } from '../operate/health.ts';
import { humanBytes } from '../operate/human.ts';
import { formatStatus, statusNow } from '../operate/status.ts';
import { openViews, verifySpool } from '../operate/spool-views.ts';

/**
 * What stands where, at a glance; or for monitoring whether all is well.
 * @param origin where the configuration came from, in words
 */
export async function status(
  config: Config,
  origin: string,
  { json = false, check = false }: { json?: boolean; check?: boolean },
): Promise<number> {
  const report = await statusNow(config);
  if (check) {
    const { text, code } = nagiosReport(report.checks);
    print(text);
    return code;
  }
  print(json ? JSON.stringify({ configuration: origin, ...report }, null, 2) : formatStatus(report, origin));
  return exitCode.ok;
}

/** The bytes of one request, or part of them. @throws UsageError */
export async function cat(
  config: Config,
  values: { headers?: boolean; envelope?: boolean },
  which: string | undefined,
): Promise<number> {
  if (which === undefined) throw new UsageError('cat wants a sequence number or a ticket.');
  const sequence = sequenceFrom(which, 'cat');
  const views = await openViews(config);
  const [request] = await views.reader.read(sequence - 1, { count: 1, bytes: 1 });
  await views.reader.close();
  if (!request)
    throw new UsageError(`There is no request ${which}: ${await views.reader.durable()} have been kept so far.`);
  const { message, id, ...rest } = request;
  if (values.envelope) {
    print(JSON.stringify({ id, ...rest, receivedAt: new Date(rest.receivedAt).toISOString() }, null, 2));
    return exitCode.ok;
  }
  const end = message.indexOf('\r\n\r\n');
  const headers = message.indexOf('\r\n') === 0 ? 0 : end === -1 ? message.length : end + 2;
  const bytes = values.headers ? message.subarray(0, headers) : message;
  // To a pipe or a file go the exact bytes; to a terminal what people can read of them.
  process.stdout.write(process.stdout.isTTY ? visible(bytes.toString('utf8').replaceAll('\r\n', '\n')) : bytes);
  return exitCode.ok;
}

/** Proves the spool; exit code 1 when it is not well. */
export async function verify(config: Config): Promise<number> {
  const bar = process.stderr.isTTY;
  let shown = -1;
  const report = await verifySpool(config, (done, all) => {
    const percent = all === 0 ? 100 : Math.floor((done / all) * 100);
    if (!bar || percent === shown) return;
    shown = percent;
    process.stderr.write(`\r[${'#'.repeat(percent / 2.5).padEnd(40)}] ${percent} % of ${humanBytes(all)}`);
  });
  if (bar && shown >= 0) process.stderr.write('\n');
  for (const note of report.notes) print(`note: ${note}`);
  for (const problem of report.problems) print(`PROBLEM: ${problem}`);
  print(
    `${report.requests} requests in ${report.mailboxes} mailboxes of ${resolve(config.spool.dir)}, ${humanBytes(report.bytes)}: ${report.problems.length === 0 ? 'all is well' : 'NOT well'}`,
  );
  if (report.chain) print(`chain ${report.chain}`);
  return report.problems.length === 0 ? exitCode.ok : exitCode.failed;
}
