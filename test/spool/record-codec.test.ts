import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { has, run } from '../support/tools.ts';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BrokenRecord,
  decodeRecord,
  encodeRecord,
  firstChain,
  nextChain,
} from '../../src/spool/mailbox/record-codec.ts';
import { mailboxName } from '../../src/spool/mailbox/mailbox-file.ts';
import { mailboxFolder } from '../../src/spool/mailbox/mailbox-file.ts';
import { request } from '../support/memory.ts';
import { openWriter, readAll, temporaryFolder } from '../support/spool.ts';

const chain = firstChain('test');

function roundTrip(message: Buffer): Buffer {
  const { parts } = encodeRecord(request(message), 7, 5, chain);
  return decodeRecord(Buffer.concat(parts)).request.message;
}

// Lines that a mailbox could trip over, mixed with arbitrary bytes that are not line ends.
const line = fc.oneof(
  fc.constantFrom('', '.', '..', 'From ', 'From a b', '>From x', '>>>From y', 'from z', ' From', '\0', '\u2028'),
  fc.constantFrom('Seawall-Chain: 00', 'Seawall-Sequence: 1', '----', '\u00ff\u00fe'),
  fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => Buffer.from(bytes.map((b) => (b === 10 || b === 13 ? 32 : b))).toString('latin1')),
);
const hostile = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.boolean())
  .map(([lines, closed]) => Buffer.from(lines.join('\r\n') + (closed ? '\r\n' : ''), 'latin1'));

test('any message of CRLF lines comes back byte for byte', () => {
  fc.assert(
    fc.property(hostile, (message) => assert.deepEqual(roundTrip(message), message)),
    { numRuns: 2000 },
  );
});

test('a bare CR or LF is not written', () => {
  for (const text of ['a\nb\r\n', 'a\rb\r\n', '\n', '\r', 'a\r\r\n', '\n\r']) {
    assert.throws(() => encodeRecord(request(text), 1, 1, chain), RangeError, JSON.stringify(text));
  }
});

test('a message of many pieces comes back byte for byte, and is quoted where they meet', () => {
  const about = fc.integer({ min: 32_750, max: 32_790 });
  fc.assert(
    fc.property(about, about, hostile, fc.boolean(), (first, second, between, short) => {
      // The lines meet the end of a piece, or one line is longer than it.
      const lines = short ? `${'x'.repeat(78)}\r\n`.repeat(409) : '';
      const text = `${lines}${'x'.repeat(first - lines.length)}\r\nFrom a\r\n>From b\r\n${between.toString('latin1')}`;
      const message = Buffer.from(`${text}\r\n${'x'.repeat(second)}\r\nFrom c`, 'latin1');
      const bytes = Buffer.concat(encodeRecord(request(message), 7, 5, chain).parts);
      assert.deepEqual(decodeRecord(bytes).request.message, message);
      assert.equal(bytes.toString('latin1').split('\nFrom ').length, 1);
    }),
    { numRuns: 300 },
  );
});

test('a bare CR or LF is not written wherever it stands in a long message', () => {
  const lines = Buffer.from(`${'x'.repeat(78)}\r\n`.repeat(1_000));
  for (let at = 32_700; at < 32_860; at++) {
    for (const bare of ['\r', '\n']) {
      const message = Buffer.from(lines);
      if (message[at] === 13 || message[at] === 10) continue;
      message.write(bare, at);
      assert.throws(() => encodeRecord(request(message), 1, 1, chain), RangeError, `${JSON.stringify(bare)} at ${at}`);
    }
  }
});

test('envelope and client come back whatever they hold', () => {
  const value = fc.string({ unit: 'binary', maxLength: 30 });
  fc.assert(
    fc.property(value, fc.array(value, { maxLength: 3 }), value, (from, to, helo) => {
      const given = request('x\r\n', { envelope: { from, to } });
      const { parts } = encodeRecord({ ...given, client: { ...given.client, helo } }, 1, 1, chain);
      const bytes = Buffer.concat(parts);
      const read = decodeRecord(bytes).request;
      assert.deepEqual([read.envelope, read.client.helo, read.id], [{ from, to }, helo, given.id]);
      assert.equal(bytes.toString('latin1').split('\nFrom ').length, 1);
      assert.ok(bytes.every((byte) => byte === 10 || byte === 13 || (byte >= 32 && byte < 127)));
    }),
  );
});

test('no single changed byte of a record goes unnoticed', () => {
  const { parts } = encodeRecord(request('Subject: x\r\n\r\nhello\r\n>From me\r\n'), 12, 12, chain);
  const whole = Buffer.concat(parts);
  const { request: good, head } = decodeRecord(whole);
  assert.equal(nextChain(chain, head), good.chain);
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at] = changed[at]! ^ 0x01;
    let noticed: boolean;
    try {
      const record = decodeRecord(changed);
      noticed = nextChain(chain, record.head) !== record.request.chain;
    } catch (error) {
      noticed = error instanceof BrokenRecord;
    }
    assert.ok(noticed, `byte ${at} (${JSON.stringify(String.fromCharCode(whole[at]!))})`);
  }
});

test('a record that is cut off anywhere is broken', () => {
  for (const text of ['Subject: x\r\n\r\nhello\r\n', 'no end of line', '']) {
    const whole = Buffer.concat(encodeRecord(request(text), 1, 1, chain).parts);
    for (let length = 0; length < whole.length; length++) {
      assert.throws(
        () => decodeRecord(whole.subarray(0, length)),
        BrokenRecord,
        `${JSON.stringify(text)} cut at ${length}`,
      );
    }
  }
});

const samples = join(import.meta.dirname, '../fixtures/requests');

/** A sample mail as SMTP carries it. */
function sample(name: string): Buffer {
  return Buffer.from(readFileSync(join(samples, name), 'latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}

test('mutt shows every record, whatever a sender says of its length, read as the README says', async (t) => {
  if (!(await has(t, ['mutt', '-v'])) || !(await has(t, ['script', '--version']))) return;
  const spool = await temporaryFolder(t);
  const writer = await openWriter(t, spool);
  const second = request('Subject: two\r\n\r\n2\r\n');
  await writer.append([request(`Content-Length: 0000\r\nSubject: one\r\n\r\n1\r\n`), second, second]);
  const path = join(mailboxFolder(spool), mailboxName(1));
  // Exactly as far as the third record: mutt believes it.
  const text = readFileSync(path, 'latin1');
  const behind = text.lastIndexOf('\nFrom ') - text.indexOf('\n\n1\n') - 2;
  const told = join(spool, 'told.mbox');
  writeFileSync(told, text.replace('Content-Length: 0000', `Content-Length: ${behind}`), 'latin1');
  const shownBy = async (steps: string, name: string): Promise<string[]> => {
    const shown = join(spool, `${name}.txt`);
    const keys = `<tag-pattern>~A<enter><tag-prefix><pipe-message>grep -m1 Seawall-Sequence: >> ${shown}<enter><exit>`;
    const mutt = `HOME=${spool} mutt -n -R -F /dev/null -f ${name} -e 'unset confirmcreate; unset wait_key; set pipe_split; set folder=${spool}; set quit=yes; push "${keys}"'`;
    await run('script', ['-qec', `cd ${spool} && ${steps} && ${mutt}`, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm' },
      timeout: 20_000,
    });
    return [...readFileSync(shown, 'latin1').matchAll(/^Seawall-Sequence: (\d+)/gm)].map(([, number = '']) => number);
  };
  assert.deepEqual(await shownBy('true', 'told.mbox'), ['1', '3']);
  const advice = /^sed (.*) spool\/mailboxes\/\d+\.mbox > look\.mbox$/m.exec(
    readFileSync(join(import.meta.dirname, '../../src/spool/README.md'), 'utf8'),
  )?.[1];
  assert.ok(advice);
  assert.deepEqual(await shownBy(`sed ${advice} told.mbox > look.mbox`, 'look.mbox'), ['1', '2', '3']);
});

test("Python's mailbox module reads the spool: the same count, order and text", async (t) => {
  const spool = await temporaryFolder(t);
  const messages = [
    ...readdirSync(samples).map(sample),
    Buffer.from('Subject: quoting\r\n\r\nFrom here\r\n>From there\r\n\r\nFrom \r\n'),
  ];
  const writer = await openWriter(t, spool);
  await writer.append(messages.map((message) => request(message)));
  assert.deepEqual(
    (await readAll(spool)).map((each) => each.message.toString('latin1')),
    messages.map((each) => each.toString('latin1')),
  );
  const script = `
import mailbox, sys, json, re
box = mailbox.mbox(sys.argv[1], create=False)
out = []
for key in range(len(box)):
    raw = box.get_bytes(key)
    block, rest = raw.split(b'\\nSeawall-Chain: ', 1)
    body = rest.split(b'\\n', 1)[1]
    out.append([box[key]['Seawall-Sequence'], re.sub(rb'(?m)^>(>*From )', rb'\\1', body).decode('latin1')])
print(json.dumps(out))`;
  const path = join(mailboxFolder(spool), mailboxName(1));
  const read = JSON.parse(execFileSync('python3', ['-c', script, path], { encoding: 'utf8' })) as [string, string][];
  assert.deepEqual(
    read.map(([sequence]) => Number(sequence)),
    messages.map((_, i) => i + 1),
  );
  messages.forEach((message, i) => {
    assert.equal(
      read[i]![1].replace(/\n$/, ''),
      message.toString('latin1').replaceAll('\r\n', '\n').replace(/\n$/, ''),
    );
  });
});
