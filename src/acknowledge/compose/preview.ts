// An acknowledgement as it would be sent, for people who look at it before or afterwards: made of the kept request and of the
// templates, the registrar book and the configuration as they are now. Takes a request and a language, gives the mail. Sends
// nothing and writes nothing. A template that cannot be used is a ConfigError that names file and line.

import { hash } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import type { StoredRequest } from '../../model/request.ts';
import { ticketOf } from '../../model/ticket.ts';
import type { ParseMail } from '../../model/parsed-mail.ts';
import type { Disk } from '../../ports/runtime.ts';
import type { RecipientOf } from './recipient.ts';
import { autoReplyReason } from './auto-reply-filter.ts';
import { type Composed, composer } from './compose.ts';
import { fieldsOf, headPiece } from '../../mail/header-fields.ts';
import { loadTemplates } from './templates.ts';

export interface Preview {
  /** Undefined when the address is none that can be written to. */
  readonly mail: Composed | undefined;
  /** Why nothing is sent; undefined when it is. */
  readonly notDue: string | undefined;
}

/** Makes the acknowledgement of a request in a language. @throws ConfigError when its templates cannot be used */
export async function preview(
  parts: { config: Config; disk: Disk; parseMail: ParseMail; recipientOf: RecipientOf },
  request: StoredRequest,
  language = parts.recipientOf(request).language,
): Promise<Preview> {
  const { config, disk, parseMail, recipientOf } = parts;
  const { from, name, parse_bytes: bytes } = config.ack;
  const render = await loadTemplates(disk, config.templates.dir, language);
  const compose = composer({
    from,
    name,
    sender: config.ack,
    languages: new Map([[language, render]]),
    recipientOf: (each) => ({ ...recipientOf(each), language }),
    unverifiedShort: config.ack.unverified_short && (config.ack.relays.length > 0 || config.ack.direct),
  });
  const fields = fieldsOf(headPiece(request.message, bytes));
  const automatic = autoReplyReason(request.envelope.from, fields, recipientOf(request).contact);
  return {
    mail: compose(request, await parseMail(request), fields),
    notDue: request.client.unverified ? 'unverified' : automatic,
  };
}

/** A request to look at templates with, while there is none in the spool. @param now milliseconds since 1970 UTC */
export function sampleRequest(now: number): StoredRequest {
  const message = Buffer.from(
    [
      'From: Registrar <ops@registrar.example>',
      'To: domain@registry.example',
      'Subject: NEW example-name.example [TRID-2026-0001]',
      'Message-ID: <sample@registrar.example>',
      '',
      '1a..: C',
      '2a..: example-name.example',
      '',
    ].join('\r\n'),
  );
  return {
    id: 'sample',
    sequence: 123,
    ticket: ticketOf(123),
    receivedAt: now,
    envelope: { from: 'ops@registrar.example', to: ['domain@registry.example'] },
    client: { address: '192.0.2.7', port: 4711, helo: 'mail.registrar.example', protocol: 'ESMTP', session: 'sample' },
    message,
    size: message.length,
    sha256: hash('sha256', message),
    chain: hash('sha256', ''),
  };
}
