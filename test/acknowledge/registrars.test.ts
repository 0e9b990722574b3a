// What the registrar book changes about acknowledgements: language and recipient, and both again when it is read again.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Acknowledging } from '../support/acknowledging.ts';
import { MailSink } from '../support/mail-sink.ts';
import { request } from '../support/memory.ts';
import { atEnd } from '../support/spool.ts';

const book = (extra: string): string =>
  `[[registrar]]\nid = "regsarl"\nname = "Registres SARL"\nnetworks = ["192.0.2.0/24"]\n${extra}\n`;

const client = {
  address: '192.0.2.7',
  port: 4711,
  helo: 'mail.registres.example',
  protocol: 'ESMTP',
  session: 's1',
  registrar: { id: 'regsarl', by: 'network' as const },
};

test('a changed book changes language and recipient of the next one; one that cannot be used changes nothing', async (t) => {
  const here = await Acknowledging.open();
  atEnd(t, () => here.close());
  const sink = await MailSink.open();
  atEnd(t, () => sink.close());
  const file = join(here.spool, 'registrars.toml');
  await writeFile(file, book('language = "fr"\ncontact = "accuses@registres.example"'));
  const stage = await here.start({ relays: [sink.url], retry_seconds: 10 }, here.log, file);
  atEnd(t, () => stage.stop());
  const next = async (from = 'ops@registres.example'): Promise<unknown> => {
    const count = sink.taken.length;
    here.log.add(request('Subject: x\r\n\r\ny\r\n', { client, envelope: { from, to: ['d@registry.example'] } }));
    await here.turnUntil(() => sink.taken.length > count);
    const mail = sink.taken.at(-1);
    return [mail?.to, /^Content-Language: (\w+)/m.exec(mail?.text ?? '')?.[1]];
  };
  assert.deepEqual(await next(), ['accuses@registres.example', 'fr']);
  // A program that sends from the null sender: its people are told all the same.
  assert.deepEqual(await next(''), ['accuses@registres.example', 'fr']);

  await writeFile(file, book('language = "xx"\ncontact = "other@registres.example"'));
  await stage.reload?.();
  assert.match(
    String(here.linesOf('the registrar book cannot be used: the one before stays in force')[0]?.reason),
    /wants the language "xx" for regsarl/,
  );
  assert.deepEqual(await next(), ['accuses@registres.example', 'fr']);

  await writeFile(file, book('language = "en"'));
  await stage.reload?.();
  assert.deepEqual(await next(), ['ops@registres.example', 'en']);

  // Between two tries of one mail: another recipient and language, and by its Message-ID the same one.
  const tried: string[] = [];
  sink.answer = (to) => (tried.push(to) === 1 ? { code: 450, text: 'later' } : undefined);
  here.log.add(request('Subject: x\r\n\r\ny\r\n', { client }));
  await here.turnUntil(() => here.replay().pendingCount === 1);
  await writeFile(file, book('language = "fr"\ncontact = "accuses@registres.example"'));
  await stage.reload?.();
  await here.turnUntil(() => sink.taken.length === 5);
  assert.deepEqual(tried, ['ops@registres.example', 'accuses@registres.example']);
  const { ticket, receivedAt } = here.log.stored.at(-1)!;
  assert.ok(sink.taken.at(-1)?.text.includes(`Message-ID: <${ticket}.${receivedAt}@localhost>`));
});

test('an out-of-office without a mark that answers every acknowledgement is answered once, and told to the operator', async (t) => {
  const here = await Acknowledging.open();
  atEnd(t, () => here.close());
  const sink = await MailSink.open();
  atEnd(t, () => sink.close());
  const stage = await here.start({ relays: [sink.url] });
  atEnd(t, () => stage.stop());
  here.log.add(request('Subject: x\r\n\r\ny\r\n'));
  await here.turnUntil(() => sink.taken.length === 1);
  const id = /^Message-ID: (\S+)/m.exec(sink.taken[0]!.text)?.[1];
  for (let each = 0; each < 8; each++)
    here.log.add(request(`Subject: Out of office\r\nIn-Reply-To: ${id}\r\n\r\nI am away.\r\n`));
  await here.turnUntil(() => here.replay().settledThrough === 9);
  assert.equal(sink.taken.length, 1);
  const told = here.lines.filter(({ msg }) => msg.startsWith('a sender keeps answering'));
  assert.deepEqual(
    told.map(({ sender, count }) => [sender, count]),
    [['ops@registres.example', 3]],
  );
});
