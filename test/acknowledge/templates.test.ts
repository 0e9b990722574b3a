// Templates are tried at start: one that is missing or broken stops the stage with words that say where.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { loadTemplates } from '../../src/acknowledge/compose/templates.ts';
import { checkLanguages, loadLanguages } from '../../src/acknowledge/compose/languages.ts';
import { startAcknowledge } from '../../src/acknowledge/acknowledge.ts';
import { silent } from '../../src/lib/logger.ts';
import { nodeRuntime } from '../../src/lib/node/runtime.ts';
import { parseRegistrarBook } from '../../src/config/registrar-book-file.ts';
import { configOf, templates } from '../support/acknowledging.ts';
import { MemoryLog } from '../support/memory.ts';

let folder = '';
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'seawall-templates-'))));
beforeEach(async () => {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true });
  await cp(templates, folder, { recursive: true });
});
after(() => rm(folder, { recursive: true }));

const openJournal = (): never => assert.fail('the journal was opened');
const load = (language = 'en'): Promise<unknown> => loadTemplates(nodeRuntime.disk, folder, language);
const broken = (file: string, text: string): Promise<void> => writeFile(join(folder, 'fr', file), text);

const loadAll = (): Promise<ReadonlyMap<string, unknown>> => loadLanguages(nodeRuntime.disk, folder, 'en');

test('templates: each folder that holds some is a language, and no other', async () => {
  await mkdir(join(folder, 'it'));
  await mkdir(join(folder, 'fr.old'));
  await writeFile(join(folder, 'fr.old', 'acknowledgement.txt.hbs'), '{{#if}}');
  const shipped = (await readdir(templates)).filter((name) => /^[a-z]{2,3}$/.test(name));
  assert.deepEqual([...(await loadAll()).keys()].toSorted(), shipped.toSorted());
  await cp(join(folder, 'fr'), join(folder, 'it'), { recursive: true });
  assert.ok((await loadAll()).has('it'));
});

test('templates: a language that nobody uses is tried too, and may not be half there', async () => {
  await broken('acknowledgement.html.hbs', 'one\n<p>{{tiket}}</p>\n');
  await assert.rejects(loadAll(), { name: 'ConfigError', message: /html\.hbs \(language fr, line 2\).*tiket/ });
  await rm(join(folder, 'fr', 'acknowledgement.html.hbs'));
  await assert.rejects(loadAll(), { name: 'ConfigError', message: /fr\/acknowledgement\.html\.hbs.*does not exist/ });
});

test('templates: a book that wants a language which is not there is refused by name', async () => {
  const text = '[[registrar]]\nid = "r"\nname = "R"\nlanguage = "xx"\nsenders = ["a@b"]\n';
  const languages = await loadLanguages(nodeRuntime.disk, folder, 'en');
  assert.throws(() => checkLanguages(parseRegistrarBook('book.toml', text), languages, folder), {
    name: 'ConfigError',
    message: /"xx" for r, but .* holds .*en.*fr.*Add the folder/,
  });
});

test('templates: name file, language and line when they cannot be parsed', async () => {
  await broken('acknowledgement.txt.hbs', 'one\ntwo\n{{#if ticket}}\nnever closed\n');
  await assert.rejects(load('fr'), {
    name: 'ConfigError',
    message: /fr\/acknowledgement\.txt\.hbs \(language fr, line \d\)/,
  });
});

test('templates: name the line of a word that they do not have', async () => {
  await broken('acknowledgement.html.hbs', 'one\n<p>{{tiket}}</p>\n');
  await assert.rejects(load('fr'), { name: 'ConfigError', message: /html\.hbs \(language fr, line 2\).*tiket/ });
});

test('templates: may not call helpers that do not exist, even where no value leads there', async () => {
  await broken('acknowledgement.subject.hbs', '{{#if operation}}\n{{shout operation}}{{/if}}');
  await assert.rejects(load('fr'), { name: 'ConfigError', message: /subject\.hbs \(language fr, line 2\).*shout/ });
});

test('templates: are missed by name', async () => {
  await rm(join(folder, 'fr', 'acknowledgement.txt.hbs'));
  await assert.rejects(load('fr'), { name: 'ConfigError', message: /fr\/acknowledgement\.txt\.hbs.*does not exist/ });
  await assert.rejects(load('pt'), { name: 'ConfigError', message: /pt\/acknowledgement\.subject\.hbs/ });
});

test('templates: stop the stage before it opens its journal', async () => {
  await broken('acknowledgement.txt.hbs', '{{#each}}');
  const config = configOf({ templates: { dir: folder }, ack: { language: 'fr' } });
  await assert.rejects(
    startAcknowledge({ config, runtime: nodeRuntime, reader: new MemoryLog(), openJournal, log: silent }),
    { name: 'ConfigError' },
  );
});
