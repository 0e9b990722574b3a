// npm run simulate [-- --seed N --runs N]: the seeded simulation of the log and its followers, many times over. Prints its progress
// and figures; at the first broken promise it prints what led there and the seed that replays it, and ends with 1.

import { parseArgs } from 'node:util';
import { messageOf } from '../src/errors.ts';
import { simulate } from './support/sim/simulation.ts';
import { loadSubject } from './support/sim/subject.ts';

const { values } = parseArgs({ options: { seed: { type: 'string' }, runs: { type: 'string' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const runs = Number(values.runs ?? 800);
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(runs)) throw new Error('--seed and --runs take whole numbers');

const subject = await loadSubject();
const begun = performance.now();
const total = { crashStates: 0, acknowledged: 0, steps: 0 };
const figures = (done: number): string =>
  `${done} runs, ${total.crashStates} crash states, ${total.acknowledged} requests acknowledged, ` +
  `${total.steps} steps, ${((performance.now() - begun) / 1000).toFixed(0)} s`;

console.log(`seeds ${seed} to ${seed + runs - 1}`);
try {
  for (let run = 0; run < runs; run++) {
    const { crashStates, acknowledged, steps } = await simulate(subject, seed + run);
    total.crashStates += crashStates;
    total.acknowledged += acknowledged;
    total.steps += steps;
    if ((run + 1) % 50 === 0) console.log(figures(run + 1));
  }
  console.log(`every promise was kept: ${figures(runs)}`);
} catch (error) {
  console.error(`A promise was broken. ${messageOf(error)}`);
  process.exitCode = 1;
}
