// The words of acknowledgements: three Handlebars templates a language, below `templates.dir`. Takes a folder and a
// language at start, gives a function that renders one acknowledgement. A missing or broken template is a ConfigError at
// start that names file, language and line: each is rendered twice then, with everything and with next to nothing.
// HTML is escaped by Handlebars; subject and text are not, so what a mail brought in must be clean (sanitize.ts) before.

import { join } from 'node:path';
import Handlebars from 'handlebars';
import { ConfigError, messageOf } from '../../model/errors.ts';
import { errorCode } from '../../lib/system-error.ts';
import type { Disk } from '../../ports/runtime.ts';
import { type ShownName, type ShownProblem, type ShownRequest, trialProblems } from './template-view.ts';

/** What a template can name. Every key is always there; undefined and empty ones count as false in `{{#if}}`. */
interface View {
  /** The machine-readable block: `Seawall-Ticket: …` and further lines. */
  readonly block: string;
  readonly ticket: string;
  readonly sequence: number;
  /** UTC with milliseconds, as 2026-11-21T09:00:00.123Z. */
  readonly receivedAt: string;
  /** The same for people, in the template's language. */
  readonly receivedOn: string;
  /** The same in the zone of ack.time_zone, with its name; undefined in UTC. */
  readonly localTime: string | undefined;
  /** Who the registry is, where to ask, and where answers go; undefined when that is not configured. */
  readonly registry: string | undefined;
  readonly contact: string | undefined;
  readonly replyTo: string | undefined;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  /** From here on: out of the request, cleaned and bounded (template-view.ts). */
  readonly subject: string;
  readonly reference: string | undefined;
  readonly operation: string | undefined;
  readonly form: string | undefined;
  readonly names: readonly ShownName[];
  readonly moreNames: number;
  /** Whether the whole mail has more than one name. */
  readonly manyNames: boolean;
  /** Whether the mail holds more than one request. */
  readonly several: boolean;
  readonly requestCount: number;
  readonly requests: readonly ShownRequest[];
  readonly moreRequests: number;
  readonly problems: readonly ShownProblem[];
  readonly moreProblems: number;
  /** Only the beginning of the mail was read. */
  readonly partly: boolean;
  /** Name of the phase of the opening in which the request came. */
  readonly phase: string | undefined;
  /** It came before the opening; it ended after the closing time. */
  readonly early: boolean;
  readonly late: boolean;
  /** It counts for nothing. */
  readonly rehearsal: boolean;
}

export interface Rendered {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export type Render = (view: View) => Rendered;

const files = {
  subject: { name: 'acknowledgement.subject.hbs', html: false },
  text: { name: 'acknowledgement.txt.hbs', html: false },
  html: { name: 'acknowledgement.html.hbs', html: true },
} as const;

/** Whether a file of this name is one of an acknowledgement's templates. */
export function isTemplateFile(name: string): boolean {
  return Object.values(files).some((file) => file.name === name);
}

/**
 * Reads and tries the templates of one language.
 * @throws ConfigError that names the file, the language and, where there is one, the line
 */
export async function loadTemplates(disk: Disk, folder: string, language: string): Promise<Render> {
  const subject = await load(disk, folder, language, files.subject);
  const text = await load(disk, folder, language, files.text);
  const html = await load(disk, folder, language, files.html);
  return (view) => ({ subject: subject(view), text: text(view), html: html(view) });
}

async function load(
  disk: Disk,
  folder: string,
  language: string,
  file: { readonly name: string; readonly html: boolean },
): Promise<(view: View) => string> {
  const path = join(folder, language, file.name);
  const source = await readTemplate(disk, path, language);
  try {
    const template: (view: View) => string = Handlebars.compile(source, {
      noEscape: !file.html,
      strict: true,
      knownHelpersOnly: true,
    });
    for (const view of trials) template(view);
    return template;
  } catch (error) {
    // Handlebars says the line in its own words, and with a picture over several lines.
    const said = messageOf(error);
    const line = /\bline (\d+)/.exec(said)?.[1] ?? / - (\d+):\d+/.exec(said)?.[1];
    const where = `${path} (language ${language}${line === undefined ? '' : `, line ${line}`})`;
    throw new ConfigError(`The template ${where} cannot be used: ${said.replace(/\s+/g, ' ').slice(0, 300)}`);
  }
}

async function readTemplate(disk: Disk, path: string, language: string): Promise<string> {
  try {
    return (await disk.readFile(path)).toString('utf8');
  } catch (error) {
    const hint = errorCode(error) === 'ENOENT' ? 'it does not exist' : messageOf(error);
    throw new ConfigError(
      `The template ${path} (language ${language}) cannot be read: ${hint}. ` +
        'Set templates.dir and ack.language to a folder that holds it.',
    );
  }
}

const bare: View = {
  block: 'Seawall-Ticket: SW-000000001-*',
  ticket: 'SW-000000001-*',
  sequence: 1,
  receivedAt: '2026-11-21T09:00:00.123Z',
  receivedOn: 'Saturday 21 November 2026, 09:00:00.123 UTC',
  localTime: undefined,
  registry: undefined,
  contact: undefined,
  replyTo: undefined,
  size: 1,
  sha256: '0'.repeat(64),
  subject: '',
  reference: undefined,
  operation: undefined,
  form: undefined,
  names: [],
  moreNames: 0,
  manyNames: false,
  phase: undefined,
  early: false,
  late: false,
  rehearsal: false,
  several: false,
  requestCount: 0,
  requests: [],
  moreRequests: 0,
  problems: [],
  moreProblems: 0,
  partly: false,
};

const name: ShownName = { unicode: 'é.example', ascii: 'xn--9ca.example', differs: true };
const rich: View = {
  ...bare,
  subject: 'A subject',
  reference: 'R-1',
  operation: 'create',
  form: 'numbered',
  names: [name, { unicode: 'a.example', ascii: 'a.example', differs: false }],
  moreNames: 2,
  manyNames: true,
  localTime: 'Saturday 21 November 2026, 10:00:00 (GMT+1)',
  registry: 'A registry',
  contact: 'hostmaster@example.org',
  replyTo: 'hostmaster@example.org',
  requestCount: 1,
  problems: trialProblems,
  moreProblems: 2,
  partly: true,
};

const trials: readonly View[] = [
  bare,
  rich,
  {
    ...rich,
    several: true,
    requestCount: 9,
    requests: [
      { number: 1, operation: undefined, reference: undefined, names: [] },
      { number: 2, operation: 'create', reference: 'R-2', names: rich.names },
    ],
    moreRequests: 7,
  },
  { ...bare, phase: 'a-f', early: true, late: true, rehearsal: true },
];
