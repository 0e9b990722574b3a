// npm run fuzz [-- --seed N --mails N]: hostile mails without number, read as the stages read them. Prints progress; at the
// first one that takes too long or comes out wrong it prints the seed that makes it again, and ends with 1.

import { parseArgs } from 'node:util';
import { messageOf } from '../../src/model/errors.ts';
import { hostileMail } from '../support/hostile-mails.ts';
import { readHostile, samples } from '../support/hostile-reading.ts';

const { values } = parseArgs({ options: { seed: { type: 'string' }, mails: { type: 'string' } } });
const first = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const count = Number(values.mails ?? 100_000);

const begun = performance.now();
try {
  const known = await samples();
  for (let each = 0; each < count; each++) {
    await readHostile(`seed ${first + each}`, hostileMail(first + each, known));
    if ((each + 1) % 10_000 === 0) {
      console.log(`${each + 1} mails from seed ${first}, ${((performance.now() - begun) / 1000).toFixed(0)} s`);
    }
  }
} catch (error) {
  console.error(`A mail did harm. ${messageOf(error)}`, error);
  process.exitCode = 1;
}
