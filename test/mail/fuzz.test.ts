// No mail stops whoever reads it: each is read within a bounded time, and ends as lines or as a mail that says nothing.
// The long form: `npm run fuzz`.

import { test } from 'node:test';
import { readHostile, samples } from '../support/hostile-reading.ts';
import { bombsOf, hostileMail } from '../support/hostile-mails.ts';

test('random hostile mails are read within bounds', async () => {
  const known = await samples();
  for (let seed = 1; seed <= 1_500; seed++) await readHostile(`seed ${seed}`, hostileMail(seed, known));
});

test('256 KB of one thing, whatever it is, are read within bounds', async () => {
  for (const { name, mail } of bombsOf(262_144)) await readHostile(name, mail);
});

test('a megabyte of one thing, the most that can be configured, is read or set aside', async () => {
  for (const { name, mail } of bombsOf(1_048_576)) {
    if (/mailparser|parts|levels|one line$|entities|elements/.test(name)) await readHostile(name, mail, 'or set aside');
  }
});

test('ten megabytes cost no more than the piece that is looked at', async () => {
  for (const { name, mail } of bombsOf(10_485_760).slice(0, 6)) await readHostile(name, mail);
});
