// The block that programs read, first in the text of an acknowledgement and again as its header fields. Takes a request
// and what was read in it, gives names and values; every value is one clean line. Pure, bounded. Stable: what is
// added goes to the end or beside its like, and no field changes its meaning. The README lists the fields.

import type { StoredRequest } from '../../model/request.ts';
import type { Problem, ProblemCode, ParsedMail } from '../../model/parsed-mail.ts';
import { templateView } from './template-view.ts';

type Fact = [name: string, value: string];

/** What Seawall itself knows of a request. */
export function ackFields(request: StoredRequest, receivedAt: string): Fact[] {
  return [
    ['Seawall-Status', 'received'],
    ['Seawall-Ticket', request.ticket],
    ['Seawall-Sequence', String(request.sequence)],
    ['Seawall-Received', receivedAt],
    ['Seawall-Size', String(request.size)],
    ['Seawall-SHA256', request.sha256],
    ...phaseFields(request),
  ];
}

/** At which hour it came, and whether it counts. */
function phaseFields({ client: { phase, early, late, rehearsal } }: StoredRequest): Fact[] {
  return [
    ...optional('Seawall-Phase', phase),
    ...optional('Seawall-Early', early && 'yes'),
    ...optional('Seawall-Late', late && 'yes'),
    ...optional('Seawall-Rehearsal', rehearsal && 'yes'),
  ];
}

/** What was read in the mail. Of several requests each begins with its number. */
export function parsedFields(parsed: ParsedMail): Fact[] {
  const { form, reference, requests, several, problems, moreNames, moreRequests, moreProblems } = templateView(parsed);
  const ofRequests = parsed.requests.some((each) => each.reference !== undefined);
  return [
    ['Seawall-Form', form ?? 'none'],
    ...optional('Seawall-Read', parsed.partly ? 'beginning' : undefined),
    ...optional('Seawall-Reference', ofRequests ? undefined : reference),
    ...requests.flatMap((request): Fact[] => [
      ...optional('Seawall-Request', several ? request.number : undefined),
      ...optional('Seawall-Operation', parsed.requests[request.number - 1]?.operation),
      ...optional('Seawall-Reference', request.reference),
      ...request.names.map(({ ascii }): Fact => ['Seawall-Name', ascii]),
    ]),
    ...optional('Seawall-More-Requests', moreRequests),
    ...optional('Seawall-More-Names', moreNames),
    ...problems.map((problem): Fact => ['Seawall-Problem', sentenceOf(problem)]),
    ...optional('Seawall-More-Problems', moreProblems),
  ];
}

function optional(name: string, value: string | number | undefined): Fact[] {
  return value === undefined || value === 0 ? [] : [[name, String(value)]];
}

const words: Readonly<Record<ProblemCode, string>> = {
  'missing-name': 'no name stands there',
  'missing-field': 'the form wants this field',
  'not-a-name': 'no domain name',
  'unreadable-name': 'not all of its letters could be read; send UTF-8, and say so in Content-Type',
  'label-too-long': 'a label has more than 63 octets',
  'name-too-long': 'a name has at most 253 octets',
  'unknown-operation': 'no operation of this form',
  'malformed-line': 'the line is not written as this form has it',
  'quoted-form': 'quoted lines are not read',
};

function sentenceOf({ line, field, code, value }: Problem): string {
  return `line ${line}, field ${field}: ${code}: ${words[code]}${value === '' ? '' : `: ${value}`}`;
}
