// Seawall's intake beside Postfix on the same work in the same run, alternating: medians and ratios. Postfix is told to
// HOLD, so it writes and syncs a queue file for each mail and does no more. Both are private and removed afterwards.
//   npm run compare [-- --rounds 5] [--all-stages]

import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { assertBuilt, type Daemon, startDaemon } from './daemon.ts';
import { type Postfix, startPostfix } from './postfix.ts';

const run = promisify(execFile);

interface Work {
  readonly name: string;
  readonly count: number;
  readonly options: readonly string[];
  readonly goal: number;
}

const works: readonly Work[] = [
  { name: 'sessions kept (smtp-source -d -s 100 -m 8000 -l 4096)', count: 8000, options: ['-d'], goal: 4 },
  { name: 'a connection each (smtp-source -s 100 -m 4000 -l 4096)', count: 4000, options: [], goal: 2.5 },
];

/** Messages a second that a server on `port` accepts. */
async function rate(work: Work, port: number): Promise<number> {
  const began = performance.now();
  const common = ['-s', '100', '-m', String(work.count), '-l', '4096', '-f', 'ops@registrar.example'];
  await run('smtp-source', [...work.options, ...common, '-t', 'domain@registry.example', `127.0.0.1:${port}`]);
  return (work.count / (performance.now() - began)) * 1000;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, 'all-stages': { type: 'boolean', default: false } },
});
const rounds = Number(values.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1 || rounds > 50) throw new Error('--rounds wants a number from 1 to 50');
await assertBuilt();

let postfix: Postfix | undefined;
let daemon: Daemon | undefined;
try {
  postfix = await startPostfix({ smtpd_end_of_data_restrictions: 'check_client_access static:HOLD' });
  daemon = await startDaemon(values['all-stages'] ? undefined : 'intake');
  console.log(
    `Seawall (${values['all-stages'] ? 'all stages' : 'intake alone'}) and Postfix (HOLD), ${rounds} rounds each, alternating`,
  );
  for (const work of works) {
    const ours: number[] = [];
    const theirs: number[] = [];
    // One unmeasured round each: a compiler that is still warm-up work measures nothing.
    for (let round = -1; round < rounds; round++) {
      const a = await rate(work, daemon.smtpPort);
      const b = await rate(work, postfix.port);
      await postfix.empty();
      if (round < 0) continue;
      ours.push(a);
      theirs.push(b);
      console.log(
        `  round ${round + 1}: Seawall ${a.toFixed(0)}/s, Postfix ${b.toFixed(0)}/s, ratio ${(a / b).toFixed(2)}`,
      );
    }
    const ratio = median(ours.map((each, i) => each / (theirs[i] ?? Infinity)));
    console.log(
      `${work.name}: Seawall ${median(ours).toFixed(0)}/s, Postfix ${median(theirs).toFixed(0)}/s, ` +
        `median ratio ${ratio.toFixed(2)} (goal ${work.goal})`,
    );
  }
} finally {
  await daemon?.stop();
  await postfix?.stop();
}
