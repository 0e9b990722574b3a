// The lines of a mail as every form looks at them: what stands before the first colon, and what behind it. Takes decoded
// lines, gives rows; never throws, and looks at each character a bounded number of times. Quoted lines (`>`) are not the
// registrar's own words now and are left out, as is everything behind a signature's `-- ` (RFC 3676 section 4.3).

export interface FormLine {
  /** Its number in the decoded text, from 1. */
  readonly line: number;
  /** White space before it. */
  readonly indent: number;
  /** The line without white space around it; empty for a blank line. */
  readonly text: string;
  /** Before the first colon, lower case, without the dots and the space that lead to the colon; absent without a colon. */
  readonly key: string | undefined;
  /** How many dots lead to the colon. */
  readonly dots: number;
  /** Behind the first colon, without white space around it. */
  readonly value: string;
}

/** A colon that comes later ends no field's name. */
const keyMax = 200;
/** More of a line is never of use. */
const textMax = 2_000;

/** The rows of a mail, blank ones too, and every key that they have. */
export interface Sheet {
  readonly rows: readonly FormLine[];
  readonly keys: ReadonlySet<string>;
}

/** The registrar's own lines. */
export function ownLines(lines: readonly string[]): Sheet {
  const rows: FormLine[] = [];
  let number = 0;
  for (const line of lines) {
    number++;
    if (line.startsWith('--') && /^--\s\r?$/.test(line)) break;
    const row = formLine(line, number);
    if (!row.text.startsWith('>')) rows.push(row);
  }
  return sheetOf(rows);
}

/** The quoted lines alone, without their marks. */
export function quotedLines(lines: readonly string[]): Sheet {
  const rows: FormLine[] = [];
  let number = 0;
  for (const line of lines) {
    number++;
    const mark = line.includes('>') ? /^\s{0,40}>[>\s]{0,40}/.exec(line) : null;
    if (mark) rows.push(formLine(line.slice(mark[0].length), number));
  }
  return sheetOf(rows);
}

/** Whether a row begins with a digit, as those of numbered forms do. */
export function isNumbered({ text }: FormLine): boolean {
  const first = text.charCodeAt(0);
  return first >= 0x30 && first <= 0x39;
}

function sheetOf(rows: readonly FormLine[]): Sheet {
  const keys = new Set<string>();
  for (const { key } of rows) if (key !== undefined) keys.add(key);
  return { rows, keys };
}

function formLine(line: string, number: number): FormLine {
  const cut = line.length > textMax ? line.slice(0, textMax) : line;
  const trimmed = cut.trim();
  const text = trimmed.charCodeAt(0) < 0x80 ? trimmed : trimmed.replace(/^[\p{Cf}\s]+/u, '');
  const indent = text === '' ? 0 : cut.indexOf(text);
  const colon = text.indexOf(':');
  if (colon < 0 || colon > keyMax) return { line: number, indent, text, key: undefined, dots: 0, value: '' };
  let end = colon;
  let dots = 0;
  for (; end > 0; end--) {
    const last = text[end - 1];
    if (last === '.' || last === '\u2026') dots++;
    else if (last !== undefined && last.trim() !== '') break;
  }
  const key = text.slice(0, end).toLowerCase();
  return { line: number, indent, text, key: withoutUnseen(key), dots, value: text.slice(colon + 1).trim() };
}

/** Editors of HTML leave zero-width characters behind. */
function withoutUnseen(key: string): string {
  return /^[ -~]*$/.test(key) ? key : key.replace(/\p{Cf}/gu, '');
}
