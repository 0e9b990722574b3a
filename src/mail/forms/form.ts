// What a form is: one way in which registrars write requests. A form takes the rows of a mail and gives what it asks for,
// and what it could not understand. Each is one small file in this folder and an entry in forms.ts. Forms are detected,
// never required, read only the fields that their table names (so never a password), and never throw.

import type { ParsedRequest, Problem } from '../../model/parsed-mail.ts';
import type { Sheet } from './form-lines.ts';

/** What a form found: clean and bounded, save that there may be as many requests and names as the mail has lines. */
export interface Found {
  readonly requests: readonly ParsedRequest[];
  readonly problems: readonly Problem[];
  readonly moreProblems: number;
}

export interface Form {
  readonly id: string;
  /** The field with the name, as problems call it. */
  readonly nameField: string;
  /** Whether the mail is in this form. */
  detect(sheet: Sheet): boolean;
  /** @param subject of the mail: some forms say the operation there */
  parse(sheet: Sheet, subject: string): Found;
}

/** One field of a form. */
export interface Field {
  /** As problems call it. */
  readonly shown: string;
  /** What is read of it; absent: only that it is there. */
  readonly is?: 'name' | 'operation' | 'reference';
  /** Stands once in a request: when it comes again, another request begins. */
  readonly once?: true;
}

/** Fields by their key in lower case. */
export type Fields = ReadonlyMap<string, Field>;

/** Operations by what may stand in their field, in lower case. */
export type Operations = ReadonlyMap<string, string>;

/** Operations that are called as they are written; one space between two of them. */
export function namedAs(...words: readonly string[]): Operations {
  return new Map(words.flatMap((several) => several.split(' ')).map((word) => [word, word]));
}

/** Operations that a letter stands for; the word itself is taken too. */
export function lettersFor(words: Readonly<Record<string, string>>): Operations {
  return new Map([...Object.entries(words), ...Object.values(words).map((word): [string, string] => [word, word])]);
}
