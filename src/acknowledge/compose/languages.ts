// The languages of acknowledgements: each folder below `templates.dir` that is named by a language code and holds one of the
// acknowledgement's files. Takes the folder, gives every language ready to render. A language that is incomplete or broken is
// a ConfigError at start, whether or not anybody uses it yet; so is a book that wants a language which is not there.

import { join } from 'node:path';
import { ConfigError, messageOf } from '../../model/errors.ts';
import type { RegistrarBook } from '../../config/registrar-book.ts';
import type { Disk } from '../../ports/runtime.ts';
import { isTemplateFile, loadTemplates, type Render } from './templates.ts';

/** Every language that is there, by its code. */
export type Languages = ReadonlyMap<string, Render>;

/**
 * The codes of the languages in a folder, in order.
 * @throws ConfigError when the folder cannot be read
 */
export async function languagesIn(disk: Disk, folder: string): Promise<string[]> {
  const names = await disk.list(folder).catch((error: unknown) => {
    throw new ConfigError(`The templates in ${folder} cannot be read: ${messageOf(error)}. Set templates.dir.`);
  });
  const codes: string[] = [];
  for (const name of names.toSorted()) {
    if (!/^[a-z]{2,3}$/.test(name)) continue;
    const files = await disk.list(join(folder, name)).catch(() => []);
    if (files.some(isTemplateFile)) codes.push(name);
  }
  return codes;
}

/**
 * Loads and tries every language.
 * @param house the language of those of whom no book says another; it must be there
 * @throws ConfigError that names the file, the language and, where there is one, the line
 */
export async function loadLanguages(disk: Disk, folder: string, house: string): Promise<Languages> {
  const languages = new Map<string, Render>();
  for (const code of new Set([house, ...(await languagesIn(disk, folder))])) {
    languages.set(code, await loadTemplates(disk, folder, code));
  }
  return languages;
}

/** Looks whether every language that a book wants is there. @throws ConfigError that names the registrar */
export function checkLanguages(book: RegistrarBook, languages: Languages, folder: string): void {
  for (const { id, language } of book.registrars) {
    if (language === undefined || languages.has(language)) continue;
    throw new ConfigError(
      `The registrar book wants the language "${language}" for ${id}, but ${folder} holds ${[...languages.keys()].join(', ')}. ` +
        `Add the folder ${join(folder, language)} with its three templates, or give ${id} another language.`,
    );
  }
}
