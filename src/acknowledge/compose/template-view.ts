// What an acknowledgement shows of what was read: as much as a person reads, and how much more there is. Takes a
// parsed mail, gives what block and templates have in common. Pure, bounded, never throws.

import type { DomainName, Problem, ParsedMail } from '../../model/parsed-mail.ts';

/** Names, and requests, that an acknowledgement lists; of the rest it gives the count. */
const listed = 50;

export interface ShownName extends DomainName {
  /** Whether U-labels and A-labels are not the same. */
  readonly differs: boolean;
}

export interface ShownRequest {
  /** From 1, in the order of the mail. */
  readonly number: number;
  readonly operation: string | undefined;
  readonly reference: string | undefined;
  readonly names: readonly ShownName[];
}

/** A problem with its code as a word that a template can ask for: exactly one of them is true. */
export interface ShownProblem extends Problem {
  readonly missingName: boolean;
  readonly missingField: boolean;
  readonly notAName: boolean;
  readonly unreadableName: boolean;
  readonly labelTooLong: boolean;
  readonly nameTooLong: boolean;
  readonly unknownOperation: boolean;
  readonly malformedLine: boolean;
  readonly quotedForm: boolean;
}

/** What block and templates show. */
export function templateView(parsed: ParsedMail) {
  const { subject, form, reference, operation, names, requests, problems, moreProblems } = parsed;
  let left = listed;
  const listedRequests = requests.slice(0, listed).map((request, index): ShownRequest => {
    const its = request.names.slice(0, left);
    left -= its.length;
    return {
      number: index + 1,
      operation: wordFor(request.operation),
      reference: request.reference,
      names: its.map(showName),
    };
  });
  return {
    subject,
    form,
    reference,
    operation: wordFor(operation),
    names: names.slice(0, listed).map(showName),
    manyNames: names.length > 1,
    moreNames: requests.reduce((sum, request) => sum + request.names.length, 0) - (listed - left),
    several: requests.length > 1,
    requestCount: requests.length,
    requests: listedRequests,
    moreRequests: requests.length - listedRequests.length,
    problems: problems.map(showProblem),
    moreProblems,
    partly: parsed.partly,
  };
}

/** Each form has its own words; people read the same one for the same thing. What programs read stays as the form has it. */
const oneWord: Readonly<Record<string, string>> = {
  new: 'create',
  request: 'create',
  modify: 'update',
  chholder: 'update',
  chprov: 'transfer',
};

function wordFor(operation: string | undefined): string | undefined {
  return operation === undefined ? undefined : (oneWord[operation] ?? operation);
}

function showName({ unicode, ascii }: DomainName): ShownName {
  return { unicode, ascii, differs: unicode !== ascii };
}

function showProblem(problem: Problem): ShownProblem {
  const { code } = problem;
  return {
    ...problem,
    missingName: code === 'missing-name',
    missingField: code === 'missing-field',
    notAName: code === 'not-a-name',
    unreadableName: code === 'unreadable-name',
    labelTooLong: code === 'label-too-long',
    nameTooLong: code === 'name-too-long',
    unknownOperation: code === 'unknown-operation',
    malformedLine: code === 'malformed-line',
    quotedForm: code === 'quoted-form',
  };
}

/** One problem of each kind, to try templates with. */
export const trialProblems: readonly ShownProblem[] = (
  [
    'missing-name',
    'missing-field',
    'not-a-name',
    'unreadable-name',
    'label-too-long',
    'name-too-long',
    'unknown-operation',
    'malformed-line',
    'quoted-form',
  ] as const
).map((code, index) => showProblem({ line: index + 1, field: '2a', code, value: index % 2 ? '' : 'a value' }));
