// Makes the acknowledgement of one request: a whole mail, ready to be sent. Takes the request, what was read in it
// and its raw header fields, gives bytes. Everything in it is derived from the request (Date from the time of receipt,
// Message-ID and boundary from the ticket), so a repeat after a crash is the same message, byte for byte, as long as the
// templates and what the registrar book says of the registrar are the same. Pure.

import type { Config } from '../../config/config.ts';
import { ConfigError, messageOf } from '../../model/errors.ts';
import { plainTicket } from '../../model/ticket.ts';
import type { StoredRequest } from '../../model/request.ts';
import type { ParsedMail } from '../../model/parsed-mail.ts';
import type { RecipientOf } from './recipient.ts';
import type { Outgoing } from '../transport/transport.ts';
import { type Fields, messageIdOf, referencesOf } from '../../mail/header-fields.ts';
import { headerDate, headerText, textPart } from './mime.ts';
import { sanitizeLine } from '../../mail/sanitize.ts';
import { ackFields, parsedFields } from './ack-fields.ts';
import type { Languages } from './languages.ts';
import { templateView } from './template-view.ts';
import type { Rendered } from './templates.ts';

/** A finished acknowledgement, with what it was made of for those who look at it. */
export interface Composed extends Outgoing {
  readonly language: string;
  /** The header section as it is sent. */
  readonly headers: string;
  readonly rendered: Rendered;
}

/** What acknowledgements say of the registry, and its zone (IANA), as the configuration has them; empty: nothing. */
export type Sender = Pick<Config['ack'], 'registry' | 'contact' | 'reply_to' | 'time_zone'>;

/** Makes acknowledgements; undefined when the address is none that can be written to. */
export type Compose = (request: StoredRequest, parsed: ParsedMail, fields: Fields) => Composed | undefined;

/**
 * The composer for one sender.
 * @param options `from` as in a From header; `name` for the right side of Message-IDs; `recipientOf` names one of `languages`
 * @throws ConfigError when `from` or the reply address is none that can be used, or there is no such zone
 */
export function composer(options: {
  from: string;
  name: string;
  languages: Languages;
  recipientOf: RecipientOf;
  sender?: Sender;
  /** Whoever no registrar book vouches for gets no more bytes than came, as far as the shortest form allows it. */
  unverifiedShort?: boolean;
}): Compose {
  const from = fromHeader(options.from);
  const { registry = '', contact = '', reply_to: replyTo = '', time_zone: timeZone = 'UTC' } = options.sender ?? {};
  const answersTo = replyToHeader(replyTo);
  const days = new Map([...options.languages.keys()].map((language) => [language, dayIn(language)]));
  const local = new Map([...options.languages.keys()].map((language) => [language, localIn(language, timeZone)]));

  return (request, parsed, fields) => {
    const { ticket, sequence } = request;
    const { to, language } = options.recipientOf(request);
    if (!isWritable(to)) return undefined;
    const render = options.languages.get(language);
    const day = days.get(language);
    if (!render || !day) throw new ConfigError(`there are no templates for the language ${language}`);
    const receivedAt = new Date(request.receivedAt).toISOString();
    const own = ackFields(request, receivedAt);
    const facts = [...own, ...parsedFields(parsed)];
    const rendered = render({
      block: blockOf(facts),
      ticket,
      sequence,
      receivedAt,
      receivedOn: `${day.format(request.receivedAt)}, ${receivedAt.slice(11, 23)} UTC`,
      localTime: timeZone === 'UTC' ? undefined : local.get(language)?.format(request.receivedAt),
      registry: registry || undefined,
      contact: contact || undefined,
      replyTo: replyTo || undefined,
      size: request.size,
      sha256: request.sha256,
      ...templateView(parsed),
      phase: request.client.phase,
      early: request.client.early ?? false,
      late: request.client.late ?? false,
      rehearsal: request.client.rehearsal ?? false,
    });
    const boundary = `=_${plainTicket(ticket)}`;
    const headers = [
      ['Date', headerDate(request.receivedAt)],
      ['From', from],
      ['To', `<${to}>`],
      ...(answersTo === undefined ? [] : [['Reply-To', answersTo]]),
      ['Subject', headerText(sanitizeLine(subjectOf(request, rendered.subject), 250))],
      // The time keeps apart two logs that begin with the same tickets: a rehearsal and the day.
      ['Message-ID', `<${plainTicket(ticket)}.${request.receivedAt}@${options.name}>`],
      ...threadOf(fields),
      ['Auto-Submitted', 'auto-replied'],
      ['X-Auto-Response-Suppress', 'All'],
      ['Content-Language', language],
      ['MIME-Version', '1.0'],
    ];
    const shown = facts.map(([name, value]) => [name, headerText(value)]);
    const type = ['Content-Type', `multipart/alternative; boundary="${boundary}"`];
    let head = headerOf([...headers, ...shown, type]);
    let bytes = Buffer.from(
      `${head}\r\n--${boundary}\r\n${textPart('plain', rendered.text, boundary)}` +
        `--${boundary}\r\n${textPart('html', rendered.html, boundary)}--${boundary}--\r\n`,
    );
    const short = options.unverifiedShort === true || (parsed.form === undefined && parsed.names.length === 0);
    if (request.client.registrar === undefined && short) {
      // Without the HTML, then without saying anything twice, then without what was read.
      for (const [also, text] of [
        [shown, rendered.text],
        [[], blockOf(facts)],
        [[], blockOf(own)],
      ] as const) {
        if (bytes.length <= request.size) break;
        head = headerOf([...headers, ...also]);
        bytes = Buffer.from(`${head}${textPart('plain', text)}`);
      }
    }
    return { sequence, ticket, to, bytes, language, headers: head, rendered };
  };
}

function headerOf(fields: readonly (readonly string[])[]): string {
  return fields.map((field) => `${field.join(': ')}\r\n`).join('');
}

function blockOf(facts: readonly (readonly string[])[]): string {
  return facts.map((fact) => fact.join(': ')).join('\n');
}

/** In code and not in the templates: no template can leave it out. */
function subjectOf({ client }: StoredRequest, subject: string): string {
  return client.rehearsal ? `[REHEARSAL] ${subject}` : subject;
}

/** Dates in a language; those of one that the system does not know are English, not those of the machine's own language. */
function dayIn(language: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat([language, 'en'], { dateStyle: 'full', timeZone: 'UTC' });
}

/** Date, time to the second and zone, as a language has them. */
function localIn(language: string, timeZone: string): Intl.DateTimeFormat {
  const parts = { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short', timeZone } as const;
  const date = { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' } as const;
  try {
    return new Intl.DateTimeFormat([language, 'en'], { ...date, ...parts });
  } catch (error) {
    throw new ConfigError(`ack.time_zone wants a zone such as Europe/Paris: ${messageOf(error)}.`);
  }
}

/** In-Reply-To and References (RFC 5322 section 3.6.4), when the request has a Message-ID that can be repeated. */
function threadOf(fields: Fields): [string, string][] {
  const id = messageIdOf(fields);
  if (id === undefined) return [];
  return [
    ['In-Reply-To', id],
    ['References', [...referencesOf(fields), id].join('\r\n ')],
  ];
}

/** Whether an envelope sender can stand in a To header and in RCPT: one @ outside quotes, nothing that ends a line or the brackets. */
export function isWritable(address: string): boolean {
  const written = /^(?:"(?:[ !#-[\]-~]|\\[ -~])+"|[^\p{Cc}\p{Z}<>"]+)@[^\p{Cc}\p{Z}<>@]+$/u;
  return address.length <= 320 && written.test(address);
}

/** The Reply-To header that `ack.reply_to` stands for; undefined when it is empty. @throws ConfigError when it holds no usable address */
export function replyToHeader(replyTo: string): string | undefined {
  return replyTo === '' ? undefined : fromHeader(replyTo, 'ack.reply_to');
}

/** The From header that `ack.from` stands for. @throws ConfigError when it holds no usable address */
export function fromHeader(from: string, key = 'ack.from'): string {
  const [, name = '', bracketed] = /^\s*(?:(.*?)\s*<([^<>]*)>|.*)\s*$/su.exec(from) ?? [];
  const address = (bracketed ?? from).trim();
  if (!isWritable(address)) {
    throw new ConfigError(`${key} wants a mail address, as in: Registry <registry@example.org>.`);
  }
  const shown = sanitizeLine(name.replace(/^"(.*)"$/, '$1'), 100);
  if (shown === '') return `<${address}>`;
  const plain = /^[ -~]*$/.test(shown);
  return `${plain ? `"${shown.replace(/["\\]/g, '')}"` : headerText(shown)} <${address}>`;
}
