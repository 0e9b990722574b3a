// What a form is: one way in which registrars write requests. A form takes the lines of a mail and gives what it asks
// for, as it stands there. Each is one small file in this folder and an entry in forms.ts. Forms are detected, never
// required, read only the items that they name (so never a password), and never throw.

/** What a form found. All of it is text out of a mail: neither cleaned nor checked. */
export interface Found {
  /** Domain names asked for, in order; those that are no names are dropped later. */
  readonly names: readonly string[];
  /** The registrar's own reference. */
  readonly reference?: string;
  readonly operation?: string;
}

export interface Form {
  readonly id: string;
  /** Whether the mail is in this form. */
  detect(lines: readonly string[]): boolean;
  parse(lines: readonly string[]): Found;
}

/** One item of a form that is read, and what it means. */
export interface Item {
  readonly is: 'name' | 'reference' | 'operation';
  readonly value: string;
}

/** Collects what items say: every name, the first reference and the first operation that are not empty. */
export function collect(items: Iterable<Item>): Found {
  const names: string[] = [];
  const first: { reference?: string; operation?: string } = {};
  for (const { is, value } of items) {
    const text = value.trim();
    if (text === '') continue;
    if (is === 'name') names.push(text);
    else first[is] ??= text;
  }
  return { names, ...first };
}
