// The one mail that acknowledges many requests, where an address got as many acknowledgements in a minute as it may. Takes what
// the journal says of it, gives bytes: the same after a crash. Pure. It holds the tickets and nothing that somebody else wrote, and
// takes fewer bytes than the requests did.

import { fromRanges } from '../../model/range-set.ts';
import { plainTicket, ticketOf } from '../../model/ticket.ts';
import type { Digest } from '../journal/ack-events.ts';
import type { Outgoing } from '../transport/transport.ts';
import { headerDate, headerText, textPart } from './mime.ts';

/** Subject, and what the text says behind the tickets; English where a language has none. */
const words: Readonly<Record<string, readonly [subject: string, text: string]>> = {
  en: [
    'Received, not registered: requests acknowledged together:',
    'We have received these requests. RECEIVED DOES NOT MEAN REGISTERED: each has its place in the order of arrival, and the registry will\ndecide on it. They are acknowledged together because many came from your address within a minute.',
  ],
  de: [
    'Eingegangen, nicht registriert: gemeinsam bestätigte Anträge:',
    'Diese Anträge sind bei uns eingegangen. EINGEGANGEN HEISST NICHT REGISTRIERT: Jeder hat seinen Platz in der Reihenfolge des Eingangs,\nund die Registry entscheidet darüber. Sie werden gemeinsam bestätigt, weil in einer Minute viele von Ihrer Adresse kamen.',
  ],
  fr: [
    'Reçues, non enregistrées : demandes accusées ensemble :',
    'Nous avons reçu ces demandes. REÇUE NE VEUT PAS DIRE ENREGISTRÉE : chacune a sa place dans l’ordre d’arrivée, et le registre statuera.\nNous en accusons réception ensemble, car beaucoup sont venues de votre adresse en une minute.',
  ],
  es: [
    'Recibidas, no registradas: solicitudes confirmadas juntas:',
    'Hemos recibido estas solicitudes. RECIBIDA NO SIGNIFICA REGISTRADA: cada una tiene su puesto en el orden de llegada, y el registro\ndecidirá. Se confirman juntas porque en un minuto llegaron muchas desde su dirección.',
  ],
};

/** What digests say of us. */
export interface DigestOptions {
  /** As they stand in the headers; without `replyTo` there is no Reply-To. */
  readonly from: string;
  readonly replyTo: string | undefined;
  /** The right side of the Message-ID. */
  readonly name: string;
  readonly language: string;
  readonly rehearsal: boolean;
}

/** Makes the mail of a digest. */
export function composeDigest(
  { head, at, to, ranges }: Digest,
  { from, replyTo, name, language, rehearsal }: DigestOptions,
): Outgoing {
  const tickets = fromRanges(ranges).map(ticketOf);
  const spoken = words[language] ? language : 'en';
  const [subject = '', text = ''] = words[spoken] ?? [];
  const facts = ['Seawall-Status: received', `Seawall-Count: ${tickets.length}`];
  if (rehearsal) facts.push('Seawall-Rehearsal: yes');
  const headers = [
    `Date: ${headerDate(at)}`,
    `From: ${from}`,
    ...(replyTo === undefined ? [] : [`Reply-To: ${replyTo}`]),
    `To: <${to}>`,
    `Subject: ${headerText(`${rehearsal ? '[REHEARSAL] ' : ''}${subject} ${tickets.length}`)}`,
    `Message-ID: <${plainTicket(ticketOf(head))}.${at}@${name}>`,
    'Auto-Submitted: auto-replied',
    'X-Auto-Response-Suppress: All',
    `Content-Language: ${spoken}`,
    ...facts,
    'MIME-Version: 1.0',
  ];
  const body = [...facts, ...tickets.map((ticket) => `Seawall-Ticket: ${ticket}`), '', text].join('\n');
  const bytes = Buffer.from(`${headers.join('\r\n')}\r\n${textPart('plain', body)}`);
  return { sequence: head, ticket: ticketOf(head), to, bytes };
}
