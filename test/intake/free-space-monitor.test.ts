import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { makeConfig } from '../../src/config/config.ts';
import { startIntake } from '../../src/intake/intake.ts';
import { AckState } from '../../src/acknowledge/journal/ack-state.ts';
import { LeaseState } from '../../src/deliver/leases/lease-state.ts';
import { collectStatus, formatStatus } from '../../src/operate/status.ts';
import { openReader } from '../../src/spool/mailbox/reader.ts';
import { unparsedMail } from '../../src/model/parsed-mail.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { settle, TurnedClock } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, openWriter, temporaryFolder } from '../support/spool.ts';

type Free = { bytes: number; inodes: number };

const plenty: Free = { bytes: 1e12, inodes: 1e6 };

async function start(t: TestContext, settings: Record<string, string>) {
  const spool = await temporaryFolder(t);
  const clock = new TurnedClock();
  const disk = { free: plenty as Free | Error };
  const lines: string[] = [];
  const config = makeConfig(undefined, { SEAWALL_SPOOL_DIR: spool, SEAWALL_SMTP_PORT: '0', ...settings });
  const writer = await openWriter(t, spool);
  const stage = await startIntake({
    config,
    runtime: {
      ...nodeRuntime,
      clock,
      disk: {
        ...nodeRuntime.disk,
        free: async () => {
          if (disk.free instanceof Error) throw disk.free;
          return disk.free;
        },
      },
    },
    openLog: async () => writer,
    log: pino({ level: 'warn' }, { write: (line) => lines.push(line) }),
  });
  atEnd(t, () => stage.stop());
  await settle();
  const smtp = new SmtpClient(stage.address!.port);
  atEnd(t, async () => smtp.end());
  assert.match(await smtp.hello(), /^250-/);
  const pass = async (free: Free | Error, ms = 1_000) => {
    disk.free = free;
    await clock.turn(ms);
    await settle();
  };
  return { smtp, lines, pass };
}

const floors: [string, Free][] = [
  ['bytes', { bytes: 268_435_455, inodes: 1e6 }],
  ['inodes', { bytes: 1e12, inodes: 999 }],
];

for (const [what, little] of floors) {
  test(`too few free ${what} give 452 at MAIL, said once, until there is room again`, async (t) => {
    const { smtp, lines, pass } = await start(t, {});
    assert.match(await smtp.send('Subject: before\r\n\r\n'), /^250 /);
    await pass(little);
    assert.match(await smtp.say('MAIL FROM:<a@b.example>'), /^452 4\.3\.1 Too little room on the disk/);
    await pass(little, 5_000);
    assert.equal(lines.length, 1, 'logged when it changes, and not each second');
    assert.match(lines[0]!, /spool\.floor_bytes/);
    await pass(plenty);
    assert.match(await smtp.send('Subject: after\r\n\r\n'), /^250 /);
    assert.match(lines[1]!, /has room again/);
  });
}

test('a message that has passed MAIL may finish below the floor', async (t) => {
  const { smtp, pass } = await start(t, {});
  for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA']) await smtp.say(line);
  await pass({ bytes: 1, inodes: 1 });
  smtp.write('Subject: on its way\r\n\r\n.\r\n');
  assert.match(await smtp.reply(), /^250 /);
});

test('a floor of 0 is none, and what is not known changes nothing', async (t) => {
  const { smtp, lines, pass } = await start(t, { SEAWALL_SPOOL_FLOOR_BYTES: '0', SEAWALL_SPOOL_FLOOR_INODES: '0' });
  await pass({ bytes: 0, inodes: 0 });
  assert.match(await smtp.send('Subject: no floor\r\n\r\n'), /^250 /);
  const other = await start(t, {});
  await other.pass(new Error('ENOENT'));
  assert.match(await other.smtp.send('Subject: unknown\r\n\r\n'), /^250 /);
  assert.deepEqual([...lines, ...other.lines], []);
});

test('status says when the disk is below the floor', async (t) => {
  const spool = await temporaryFolder(t);
  const views = {
    spool,
    rehearsal: false,
    opening: { phases: [], closes: undefined },
    clock: async () => ({ synchronised: undefined, source: '' }),
    reader: openReader(nodeRuntime, spool),
    acks: new AckState(),
    registry: new LeaseState(),
    problems: [],
    holders: [],
    copied: undefined,
    parseMail: async () => unparsedMail,
    floor: { bytes: 1_000, inodes: 10 },
    intake: undefined,
    sending: undefined,
    sends: true,
    certificates: [],
    bounds: { relaySeconds: 0, ackSeconds: 0, pullSeconds: 0 },
  };
  const report = await collectStatus({ ...views, free: { bytes: 999, inodes: Infinity } }, 0);
  assert.deepEqual(report.disk, { freeBytes: 999, freeInodes: null, belowFloor: true });
  assert.match(formatStatus(report), /BELOW the floor, new mail gets 452/);
  const well = await collectStatus({ ...views, free: { bytes: 1_000, inodes: 10 } }, 0);
  assert.deepEqual(well.disk, { freeBytes: 1_000, freeInodes: 10, belowFloor: false });
  assert.doesNotMatch(formatStatus(well), /BELOW/);
});
