// npm run simulate [-- --seed N --runs N | --mistakes]: the seeded simulation of the log and its followers, many times over.
// Prints progress and figures; at the first broken promise it prints what led there and the seed that replays it, and ends with 1.
// With --mistakes it plants each classic mistake instead, and ends with 1 when one of them is not noticed.

import { parseArgs } from 'node:util';
import { messageOf } from '../../src/model/errors.ts';
import { mistakes, notice } from '../support/sim/mistakes.ts';
import { simulate } from '../support/sim/simulation.ts';
import { loadSubject } from '../support/sim/subject.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, runs: { type: 'string' }, mistakes: { type: 'boolean', default: false } },
});

const begun = performance.now();
const seconds = (): string => `${((performance.now() - begun) / 1000).toFixed(0)} s`;

async function simulateMany(seed: number, runs: number): Promise<void> {
  const subject = await loadSubject();
  const total = { crashStates: 0, acknowledged: 0, steps: 0 };
  const figures = (done: number): string =>
    `${done} runs, ${total.crashStates} crash states, ${total.acknowledged} requests acknowledged, ${total.steps} steps, ${seconds()}`;
  console.log(`seeds ${seed} to ${seed + runs - 1}`);
  for (let run = 1; run <= runs; run++) {
    const { crashStates, acknowledged, steps } = await simulate(subject, seed + run - 1);
    total.crashStates += crashStates;
    total.acknowledged += acknowledged;
    total.steps += steps;
    if (run % 50 === 0) console.log(figures(run));
  }
  console.log(`every promise was kept: ${figures(runs)}`);
}

async function plantAll(): Promise<void> {
  for (const mistake of mistakes) {
    const noticed = await notice(mistake);
    if (!noticed) throw new Error(`not noticed in ${mistake.runs} runs: ${mistake.what}`);
    console.log(`${mistake.what}\n    ${noticed.violation} (${seconds()})`);
  }
}

function wholeNumber(name: 'seed' | 'runs', otherwise: number): number {
  const value = Number(values[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} takes a whole number`);
  return value;
}

try {
  if (values.mistakes) await plantAll();
  else await simulateMany(wholeNumber('seed', Math.floor(Math.random() * 1e9)), wholeNumber('runs', 600));
} catch (error) {
  console.error(`A promise was broken. ${messageOf(error)}`);
  process.exitCode = 1;
}
