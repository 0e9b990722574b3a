// Templates are tried at start: one that is missing or broken stops the stage with words that say where.

import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { loadTemplates } from '../src/acknowledge/templates.ts';
import { startAcknowledge } from '../src/acknowledge/acknowledge.ts';
import { silent } from '../src/logger.ts';
import { nodeRuntime } from '../src/ports/node-runtime.ts';
import { configOf, templates } from './support/acknowledging.ts';
import { MemoryLog } from './support/memory.ts';

let folder = '';
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'seawall-templates-'))));
beforeEach(() => cp(templates, folder, { recursive: true }));
after(() => rm(folder, { recursive: true }));

const openJournal = (): never => assert.fail('the journal was opened');
const load = (language = 'en'): Promise<unknown> => loadTemplates(nodeRuntime.disk, folder, language);
const broken = (file: string, text: string): Promise<void> => writeFile(join(folder, 'fr', file), text);

test('templates: are accepted in each language that we ship', async () => {
  for (const language of ['en', 'fr', 'de', 'es']) await load(language);
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
