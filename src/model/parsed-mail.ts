// What a request asks for, as far as the kept mail tells. A view and not the record: it is made again whenever somebody looks,
// and decides nothing about a request. Plain data, cleaned of control sequences; a mail that cannot be read gives `unparsedMail`.

import type { StoredRequest } from './request.ts';

/** One domain name in both spellings (RFC 5890 section 2.3.2.1), lower case, without the root's dot. */
export interface DomainName {
  /** U-labels, in composed form. */
  readonly unicode: string;
  /** A-labels. */
  readonly ascii: string;
}

/** One request of a mail; a mail may hold several. */
export interface ParsedRequest {
  /** In the words of its form, lower case: create, delete … */
  readonly operation: string | undefined;
  /** Without repeats, in the order of the mail. */
  readonly names: readonly DomainName[];
  /** The registrar's own reference. */
  readonly reference: string | undefined;
}

/** What there can be to say against a line of a form. Programs read these words: none changes its meaning. */
export type ProblemCode =
  | 'missing-name'
  | 'missing-field'
  | 'not-a-name'
  | 'unreadable-name'
  | 'label-too-long'
  | 'name-too-long'
  | 'unknown-operation'
  | 'malformed-line'
  | 'quoted-form';

/** What was not understood, and where. */
export interface Problem {
  /** Line of the decoded text, from 1. Of a field that is not there: where its request begins. */
  readonly line: number;
  /** As the form calls it: `2a`, `Domain`. */
  readonly field: string;
  readonly code: ProblemCode;
  /** What stands there, where that may be shown; else empty. Never out of a field that is not read, as passwords are. */
  readonly value: string;
}

export interface ParsedMail {
  /** Id of the form that was recognised. Free text is in none, and that is no problem. */
  readonly form: string | undefined;
  readonly subject: string;
  /** In the order of the mail. */
  readonly requests: readonly ParsedRequest[];
  /** Every name of every request, without repeats, in the order of the mail. */
  readonly names: readonly DomainName[];
  /** What all requests have in common; undefined when they differ. */
  readonly operation: string | undefined;
  /** The first one in a form, else one that stands in the subject. */
  readonly reference: string | undefined;
  /** In the order of the lines, a bounded number of them. */
  readonly problems: readonly Problem[];
  /** How many more problems there are. */
  readonly moreProblems: number;
  /** Only the beginning was read: there may be more requests and names than are told. */
  readonly partly: boolean;
}

/** What is known of a mail that could not be read. */
export const unparsedMail: ParsedMail = {
  form: undefined,
  subject: '',
  requests: [],
  names: [],
  operation: undefined,
  reference: undefined,
  problems: [],
  moreProblems: 0,
  partly: false,
};

/** Reads what a kept request asks for. Never rejects: of a mail that cannot be read nothing is known. */
export type ParseMail = (request: StoredRequest) => Promise<ParsedMail>;
