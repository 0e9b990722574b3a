// Gathers what a form finds, field by field: requests, and what is wrong with their lines. Owned by one parse of one mail.
// Whatever goes in, what comes out is clean, and of problems there is a bounded number. Never throws.

import type { DomainName, Problem, ProblemCode } from '../../model/parsed-mail.ts';
import { sanitizeLine } from '../sanitize.ts';
import { parseDomainName } from '../domain-name.ts';
import type { Field, Found, Operations } from './form.ts';
import type { FormLine } from './form-lines.ts';

/** Problems that are told; the rest are counted. */
const problemsTold = 20;
const valueMax = 80;
/** Longer than any name in any spelling. */
const nameTextMax = 1_100;
const referenceMax = 100;

/** A request that is being read. */
interface Open {
  readonly line: number;
  /** What has been there, by what problems call it. */
  readonly seen: Set<string>;
  readonly names: Map<string, DomainName>;
  last: string;
  operation: string | undefined;
  reference: string | undefined;
}

/** Which fields a request must have, by what problems call them, when it is complete but for those. */
type Needs = (request: {
  readonly seen: ReadonlySet<string>;
  readonly operation: string | undefined;
}) => readonly string[];

export class RequestBuilder {
  readonly #operations: Operations;
  readonly #needs: Needs;
  readonly #requests: Found['requests'][number][] = [];
  readonly #problems: Problem[] = [];
  #moreProblems = 0;
  #open: Open | undefined;

  constructor(operations: Operations, needs: Needs) {
    this.#operations = operations;
    this.#needs = needs;
  }

  /** Reads one field. One that stands once in a request begins another when it comes again, unless it directly repeats. */
  take(field: Field, { line, wide, value }: Pick<FormLine, 'line' | 'wide' | 'value'>): void {
    if (wide && field.is) return this.malformed(field, line);
    const request = this.#requestFor(field, line);
    const { shown } = field;
    if (field.is === 'name') this.#name(request, shown, line, value);
    else if (field.is === 'operation') this.#operation(request, shown, line, value);
    else if (field.is === 'reference') request.reference ??= sanitizeLine(value, referenceMax) || undefined;
  }

  /** A line that was meant for a field but is not written as one. What stands in it is never shown. */
  malformed(field: Field, line: number): void {
    this.#requestFor(field, line);
    this.#problem({ line, field: field.shown, code: 'malformed-line', value: '' });
  }

  /** Sets the operation of a request that names none itself. */
  means(operation: string): void {
    if (this.#open) this.#open.operation ??= operation;
  }

  /** The request ends here, or in what is not read: then nothing is missing in it. */
  close(partly = false): void {
    const request = this.#open;
    if (!request) return;
    this.#open = undefined;
    for (const field of partly ? [] : this.#needs(request)) {
      if (!request.seen.has(field)) this.#problem({ line: request.line, field, code: 'missing-field', value: '' });
    }
    const { operation, names, reference } = request;
    this.#requests.push({ operation, names: [...names.values()], reference });
  }

  /** Everything that was found. */
  end(partly: boolean): Found {
    this.close(partly);
    const problems = this.#problems.toSorted((one, other) => one.line - other.line);
    return { requests: this.#requests, problems, moreProblems: this.#moreProblems };
  }

  #requestFor({ shown, once }: Field, line: number): Open {
    if (once && this.#open?.seen.has(shown) && this.#open.last !== shown) this.close();
    const fresh = {
      line,
      seen: new Set<string>(),
      names: new Map(),
      last: '',
      operation: undefined,
      reference: undefined,
    };
    const request = (this.#open ??= fresh);
    request.seen.add(shown);
    request.last = shown;
    return request;
  }

  #name(request: Open, field: string, line: number, value: string): void {
    const text = withoutLink(sanitizeLine(value, nameTextMax));
    if (text === '') return this.#problem({ line, field, code: 'missing-name', value: '' });
    const name = text.includes('\ufffd') ? 'unreadable-name' : parseDomainName(text);
    if (typeof name === 'string') this.#wrong(line, field, name, text);
    else request.names.set(name.ascii, name);
  }

  #operation(request: Open, field: string, line: number, value: string): void {
    const text = sanitizeLine(value, valueMax);
    if (text === '') return this.#problem({ line, field, code: 'missing-field', value: '' });
    const operation = this.#operations.get(text.toLowerCase());
    if (operation === undefined) this.#wrong(line, field, 'unknown-operation', text);
    else request.operation ??= operation;
  }

  #wrong(line: number, field: string, code: ProblemCode, text: string): void {
    this.#problem({ line, field, code, value: sanitizeLine(text, valueMax) });
  }

  #problem(problem: Problem): void {
    if (this.#problems.length < problemsTold) this.#problems.push(problem);
    else this.#moreProblems++;
  }
}

/** What mail programs make of a name: `name<http://name>`, `name [http://name/]`, `[name]`, `http://name/`. The name. */
function withoutLink(text: string): string {
  if (!/[<[(/]/.test(text)) return text;
  const [, before = '', link = ''] =
    /^([^\s<>[\]()/:]*)\s*[<[(]?((?:https?:\/\/|mailto:)[^\s<>[\]]*)[>\])]?$/i.exec(text) ?? [];
  if (before !== '') return before;
  const bare = /^[<[]([^\s<>[\]/:]+)[>\]]$/.exec(text)?.[1];
  if (bare !== undefined) return bare;
  const host = /^https?:\/\/([^\s/:?#]+)\/?$/i.exec(link)?.[1];
  return host ?? text;
}

/** A row that a field by the name of its first word was meant for, but that lacks the colon: `Domain = a.example`. */
export function brokenPair({ key, text }: FormLine, fields: ReadonlyMap<string, Field>): Field | undefined {
  if (key !== undefined || text.length > 300) return undefined;
  const field = fields.get(/^([a-z-]{1,40})(?:\s{0,20}[=;]|\s)\s{0,20}\S+$/i.exec(text)?.[1]?.toLowerCase() ?? '');
  return field?.is === undefined ? undefined : field;
}
