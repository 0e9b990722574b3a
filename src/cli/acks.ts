// The verbs about acknowledgements: acks list, show, retry, preview. Take the configuration and their options, print, give an
// exit code: 78 when a template cannot be used, 1 when a running stage does not take a retry request in time.

import type { Preview } from '../acknowledge/compose/preview.ts';
import { AcksView } from '../operate/acks-view.ts';
import { complain, print, sequenceFrom } from './words.ts';
import type { Config } from '../config/config.ts';
import { ConfigError, exitCode, messageOf, UsageError } from '../model/errors.ts';
import type { StoredRequest } from '../model/request.ts';
import { ticketOf } from '../model/ticket.ts';

interface AckOptions {
  readonly json?: boolean;
  readonly state?: string;
  readonly limit?: string;
  readonly failed?: boolean;
  readonly all?: boolean;
  readonly again?: boolean;
  readonly language?: string;
  readonly html?: boolean;
  readonly text?: boolean;
  readonly sample?: boolean;
}

/** Runs one of the verbs. @param sub its second word @throws UsageError */
export async function acks(
  config: Config,
  values: AckOptions,
  sub: string,
  which: string | undefined,
): Promise<number> {
  const view = await AcksView.open(config);
  if (view.note !== undefined) complain(view.note);
  try {
    if (sub === 'list') return await list(view, values);
    if (sub === 'show') return await show(view, values, which);
    if (sub === 'retry') return await retry(view, values, which);
    return await previewAll(view, values, which);
  } finally {
    await view.close();
  }
}

const states = ['failed', 'retrying', 'waiting'];

async function list(view: AcksView, { json = false, state, limit }: AckOptions): Promise<number> {
  if (state !== undefined && !states.includes(state))
    throw new UsageError(`--state wants one of ${states.join(', ')}, but got ${JSON.stringify(state)}.`);
  const most = limit === undefined ? Infinity : sequenceFrom(limit, '--limit');
  let count = 0;
  if (!json)
    print(
      `${'SEQUENCE'.padStart(10)}  ${'TICKET'.padEnd(14)}  ${'STATE'.padEnd(8)}  ${'TRIES'.padStart(5)}  ${'NEXT TRY, OR FAILED AT'.padEnd(24)}  RECIPIENT: LAST REPLY`,
    );
  for await (const row of view.unsettled()) {
    if (state !== undefined && row.state !== state) continue;
    if (count === most) break;
    count++;
    const { sequence, ticket, attempts, nextTry, failedAt, recipient, text } = row;
    if (json) print(JSON.stringify(row));
    else
      print(
        `${String(sequence).padStart(10)}  ${ticket.padEnd(14)}  ${row.state.padEnd(8)}  ${String(attempts ?? '-').padStart(5)}  ${(nextTry ?? failedAt ?? '-').padEnd(24)}  ${recipient || '<>'}${text === null ? '' : `: ${text}`}`,
      );
    if (process.stdout.writableNeedDrain) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
  if (!json) print(`${count === 0 ? 'None' : count} listed; ${view.failed} failed for good in all.`);
  return exitCode.ok;
}

/** The subject in words: a header may hold it encoded. */
function subjectOf({ rendered }: NonNullable<Preview['mail']>): string {
  return rendered.subject.replace(/\s+/g, ' ').trim();
}

async function show(view: AcksView, { json = false }: AckOptions, which: string | undefined): Promise<number> {
  const request = await view.request(sequenceFrom(which ?? '', 'acks show'));
  const row = view.row(request);
  // How it stands is told even when a template is broken.
  let broken: string | undefined;
  const { mail, notDue } = await view.preview(request).catch((error: unknown): Preview => {
    if (!(error instanceof ConfigError)) throw error;
    complain((broken = messageOf(error)));
    return { mail: undefined, notDue: undefined };
  });
  const code = broken === undefined ? exitCode.ok : exitCode.config;
  const language = mail?.language ?? null;
  if (json) {
    const made = { headers: mail?.headers ?? null, text: mail?.rendered.text ?? null };
    print(JSON.stringify({ ...row, notDue: notDue ?? null, language, ...made }, null, 2));
    return code;
  }
  print(`Ticket           ${row.ticket} (request ${row.sequence}, received ${row.receivedAt})`);
  print(`State            ${row.state}${notDue === undefined ? '' : ` (${notDue}: no acknowledgement by mail)`}`);
  print(`Recipient        ${row.recipient || '<>'}${language === null ? '' : `, in ${language}`}`);
  if (mail) print(`Subject          ${subjectOf(mail)}`);
  if (row.attempts !== null) print(`Tries            ${row.attempts}`);
  if (row.nextTry !== null) print(`Next try         ${row.nextTry}`);
  if (row.failedAt !== null) print(`Failed for good  ${row.failedAt}`);
  if (row.text !== null && row.text !== '') print(`Last reply       ${row.text}`);
  if (mail) {
    print('\nThe mail, as made now of the templates and the registrar book:\n');
    print(`${mail.headers.replaceAll('\r\n', '\n')}\n${mail.rendered.text.trimEnd()}`);
  } else if (broken === undefined) print('\nThere is no mail: the address cannot be written to.');
  return code;
}

async function retry(view: AcksView, values: AckOptions, which: string | undefined): Promise<number> {
  const { failed = false, all = false, again = false } = values;
  if (Number(which !== undefined) + Number(failed) + Number(all) !== 1)
    throw new UsageError('acks retry wants one of: a sequence number or ticket, --failed, --all.');
  if (again && which === undefined) throw new UsageError('--again wants a sequence number or a ticket.');
  let wanted: number[];
  if (which === undefined) wanted = view.troubled(all);
  else {
    const request = await view.request(sequenceFrom(which, 'acks retry'));
    const { state } = view.row(request);
    if (state === 'acknowledged' && !again)
      throw new UsageError(`${request.ticket} is acknowledged already; --again sends the same message once more.`);
    if (state === 'none due' || state === 'settled')
      throw new UsageError(
        `${request.ticket} cannot be tried again: ${state === 'settled' ? 'how it ended is no longer kept' : 'no acknowledgement is due'}.`,
      );
    wanted = [request.sequence];
  }
  // Those that were never tried need no word, but relays that are left alone do: this ends their pauses.
  const waiting = all ? await view.waiting() : 0;
  if (wanted.length + waiting === 0) return (print('There is nothing to try again.'), exitCode.ok);
  const counts = wanted.length === 0 ? [] : [`${wanted.length} acknowledgements`];
  if (waiting > 0) counts.push(`${waiting} that wait for their first try`);
  const what = wanted.length === 1 && waiting === 0 ? ticketOf(wanted[0] ?? 0) : counts.join(', ');
  const resting = (await view.troubles()) ?? [];
  const outcome = await view.ask(wanted, again);
  if (outcome === 'taken') {
    print(`${what}: tried again now. What becomes of it: seawall acks list`);
    for (const line of await view.triedAgain(resting)) print(line);
  } else if (outcome === 'left') print(`${what}: noted. No acknowledge stage runs; tried again as soon as one does.`);
  else complain(`${what}: noted, but the acknowledge stage has not taken it yet. See its log.`);
  return outcome === 'not taken yet' ? exitCode.failed : exitCode.ok;
}

async function previewAll(view: AcksView, values: AckOptions, which: string | undefined): Promise<number> {
  const { sample = false, language } = values;
  if (sample === (which !== undefined))
    throw new UsageError('acks preview wants a sequence number or a ticket, or --sample.');
  const request = sample ? view.sample() : await view.request(sequenceFrom(which ?? '', 'acks preview'));
  const there = await view.languages();
  if (language !== undefined && !there.includes(language))
    throw new UsageError(`There is no language ${JSON.stringify(language)}: there are ${there.join(', ')}.`);
  const wanted = language === undefined ? there : [language];
  let code: number = exitCode.ok;
  for (const each of wanted) {
    try {
      await previewOne(view, values, request, each, wanted.length > 1);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      complain(messageOf(error));
      code = exitCode.config;
    }
  }
  return code;
}

async function previewOne(
  view: AcksView,
  { html = false, text = false }: AckOptions,
  request: StoredRequest,
  language: string,
  headed: boolean,
): Promise<void> {
  const { mail, notDue } = await view.preview(request, language);
  if (notDue !== undefined) complain(`nothing is sent for ${request.ticket}: ${notDue}.`);
  if (!mail) throw new UsageError(`${request.ticket} came from an address that cannot be written to.`);
  const { rendered, headers } = mail;
  const subject = subjectOf(mail);
  if (headed) print(`──── ${language} ────`);
  if (!html && !text) {
    if (!headers.includes(`Subject: ${subject}`)) print(`(Subject: ${subject})`);
    print(headers.replaceAll('\r\n', '\n'));
  }
  if (html) print(rendered.html.trimEnd());
  if (text || !html) print(rendered.text.trimEnd());
}
