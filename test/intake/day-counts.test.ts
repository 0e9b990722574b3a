// The counts of the day: they go on when the intake is started again, by registrar too, and begin anew at midnight.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DayCounts } from '../../src/intake/day-counts.ts';
import { lastIntakeStatus } from '../../src/intake/intake-status.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { intakeOn } from '../support/intake.ts';
import { temporaryFolder } from '../support/spool.ts';

const counts = (kept: number) => ({ kept, repeated: 0, deferred: 0, refused: 0 });

test('counts grow by what a process counts, whatever was before it on the same day', () => {
  const first = new DayCounts(undefined, '2026-11-21');
  assert.deepEqual(first.of({ counts: counts(2) }, '2026-11-21'), { day: '2026-11-21', counts: counts(2) });
  const said = first.of({ counts: counts(5) }, '2026-11-21');
  assert.equal(said.counts.kept, 5);
  const second = new DayCounts(said, '2026-11-21');
  assert.equal(second.of({ counts: counts(0) }, '2026-11-21').counts.kept, 5);
  assert.equal(second.of({ counts: counts(1) }, '2026-11-21').counts.kept, 6);
  assert.equal(second.of({ counts: counts(4) }, '2026-11-22').counts.kept, 3);
  assert.equal(new DayCounts(said, '2026-11-22').of({ counts: counts(1) }, '2026-11-22').counts.kept, 1);
});

test('refusals before the hour count by registrar, and survive the intake', async (t) => {
  const spool = await temporaryFolder(t);
  const file = join(await temporaryFolder(t), 'book.toml');
  await writeFile(
    file,
    '[[registrar]]\nid = "tag"\nname = "Tag Ltd"\nsenders = ["@tag.example"]\n[[registrar]]\nid = "gone"\nname = "Gone"\nsenders = ["@gone.example"]\n',
  );
  const settings = { SEAWALL_REGISTRARS_FILE: file, SEAWALL_OPENING_PHASES: '2099-12-01T09:00Z first' };
  for (let life = 1; life <= 2; life++) {
    const intake = await intakeOn(t, spool, settings);
    const smtp = intake.client();
    await smtp.hello();
    for (const sender of life === 1 ? ['a@tag.example', 'b@tag.example', 'a@gone.example'] : ['c@tag.example'])
      assert.match(await smtp.say(`MAIL FROM:<${sender}>`), /^450 .*Not open before/);
    assert.match(await smtp.say('MAIL FROM:<a@nobody.example>'), /^550 /);
    await intake.stop();
    const said = await lastIntakeStatus(nodeRuntime, spool);
    const { byId, strangers } = said!.registrars!;
    assert.deepEqual(
      [byId['tag']!.deferred, byId['gone']!.deferred, strangers.refused, said!.counts.deferred, said!.counts.refused],
      life === 1 ? [2, 1, 1, 3, 1] : [3, 1, 2, 4, 2],
    );
    assert.deepEqual([byId['tag']!.refused, byId['tag']!.kept, byId['gone']!.connections], [0, 0, 0]);
  }
});
