// The lines of a mail as every form looks at them: what stands before the first colon, and what behind it. Takes decoded
// lines, gives rows; never throws, and looks at each character a bounded number of times. What is quoted (own-lines.ts) is not what
// the registrar says now, and is left out.

import { splitLines } from './own-lines.ts';

export interface FormLine {
  /** Its number in the decoded text, from 1. */
  readonly line: number;
  /** White space before it; of a blank line all there is. */
  readonly indent: number;
  /** The line without white space around it; empty for a blank line. */
  readonly text: string;
  /** The colon is a full-width one, as input methods write it: a field is meant, and not written as one. */
  readonly wide: boolean;
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
  /** More lines follow that are not read. */
  readonly partly: boolean;
  readonly rows: readonly FormLine[];
  readonly keys: ReadonlySet<string>;
}

/** The registrar's own lines, and the quoted ones without their marks. */
export function sheetsOf(lines: readonly string[], partly = false): { readonly own: Sheet; readonly quoted: Sheet } {
  const { own, quoted } = splitLines(lines, formLine);
  return { own: sheetOf(joined(single(own)), partly), quoted: sheetOf(quoted, partly) };
}

/** Programs wrap behind this column. */
const wrapColumn = 72;

/** A value that a program has put on the next line, because it is too long to stand behind its key, stands behind it again. */
function joined(rows: readonly FormLine[]): readonly FormLine[] {
  if (!rows.some(({ key, value }) => key !== undefined && value === '')) return rows;
  const result: FormLine[] = [];
  for (const row of rows) {
    const last = result.at(-1);
    const isRest =
      last?.key !== undefined &&
      last.value === '' &&
      row.key === undefined &&
      row.line === last.line + 1 &&
      /^\S+$/.test(row.text) &&
      last.indent + last.text.length + row.text.length >= wrapColumn;
    if (isRest) result[result.length - 1] = { ...last, value: row.text };
    else result.push(row);
  }
  return result;
}

/** Some programs put a blank line behind each line: then only two of them are one. */
function single(rows: readonly FormLine[]): readonly FormLine[] {
  if (rows.some(({ text }, index) => index > 0 && text !== '' && rows[index - 1]?.text !== '')) return rows;
  const keys = new Set(rows.map(({ key }) => key));
  // One field again and again is a list of requests and no form.
  if (keys.size < 4) return rows;
  return rows.filter(({ text }, index) => text !== '' || (index > 0 && rows[index - 1]?.text === ''));
}

/** Whether a row begins with a digit, as those of numbered forms do. */
export function isNumbered({ text }: FormLine): boolean {
  const first = text.charCodeAt(0);
  return first >= 0x30 && first <= 0x39;
}

function sheetOf(rows: readonly FormLine[], partly: boolean): Sheet {
  const keys = new Set<string>();
  for (const { key } of rows) if (key !== undefined) keys.add(key);
  return { partly, rows, keys };
}

function formLine(line: string, number: number): FormLine {
  const cut = line.length > textMax ? line.slice(0, textMax) : line;
  const trimmed = cut.trim();
  const text = trimmed.charCodeAt(0) < 0x80 ? trimmed : trimmed.replace(/^[\p{Cf}\s]+/u, '');
  const indent = text === '' ? cut.length : cut.indexOf(text);
  const plain = text.indexOf(':');
  const wide = plain < 0 && trimmed.charCodeAt(0) < 0x80 && text.includes('\uff1a');
  const colon = wide ? text.indexOf('\uff1a') : plain;
  if (colon < 0 || colon > keyMax)
    return { line: number, indent, text, wide: false, key: undefined, dots: 0, value: '' };
  let end = colon;
  let dots = 0;
  for (; end > 0; end--) {
    const last = text[end - 1];
    if (last === '.' || last === '\u2026') dots++;
    else if (last !== undefined && last.trim() !== '') break;
  }
  const key = text.slice(0, end).toLowerCase();
  return { line: number, indent, text, wide, key: withoutUnseen(key), dots, value: text.slice(colon + 1).trim() };
}

/** Editors of HTML leave zero-width characters behind. */
function withoutUnseen(key: string): string {
  return /^[ -~]*$/.test(key) ? key : key.replace(/\p{Cf}/gu, '');
}
