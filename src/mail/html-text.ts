// The text of an HTML mail as lines, well enough to find a form in it. Takes a bounded string, gives lines: what a browser puts on a
// line of its own is one, a row of a table is one, and what is quoted (<blockquote>) begins with `> ` as in a text. One pass over
// the tokens of htmlparser2, which knows entities, attributes and scripts; no tree, so nothing a mail contains makes it slow.
// Not for showing: whoever shows the lines escapes them.

import { Tokenizer } from 'htmlparser2';

const htmlMax = 262_144;
/** How far into a part its charset is looked for, in bytes. */
const metaMax = 4_096;
/** Tables in tables: a row of one that is deeper is no line of its own. */
const rowsMax = 20;

const blocks = new Set(
  (
    'p div li tr ul ol dl dt table form center section article header footer main nav aside address fieldset figure ' +
    'details summary blockquote pre hr h1 h2 h3 h4 h5 h6 caption tbody thead tfoot option body html'
  ).split(' '),
);
/** What may stand in a head: anything else ends it, closed or not (HTML 4.01 section 7.4.1). */
const headOnly = new Set(['head', 'title', 'meta', 'link', 'base', 'style', 'script', 'noscript', 'object']);
/** Their content is text to nobody. */
const unseen = new Set(['script', 'style', 'title', 'template']);

/** The charset that an HTML part declares inside, if it does. */
export function htmlCharset(bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, metaMax);
  return /<meta\b[^>]{0,200}?\bcharset\s*=\s*["']?([\w.:-]{1,40})/i.exec(start)?.[1];
}

/** A row of a table: where its first line stands among all, and how many lines each of its cells has. */
interface Row {
  readonly from: number;
  lineMax: number;
  cellFrom: number;
}

class Lines {
  readonly #source: string;
  readonly all: string[] = [];
  #line = '';
  /** The line has begun, even if nothing is on it: what ends it may be a blank line. */
  #begun = false;
  #quotes = 0;
  #rows: Row[] = [];
  #tag = '';
  #attribute = '';
  #inHead = false;
  #unseen = '';
  /** The element that keeps white space, and how many of its name are open in it. */
  #kept: { readonly tag: string; depth: number } | undefined;
  /** A definition stands beside its term. */
  #afterTerm = false;

  constructor(source: string) {
    this.#source = source;
  }

  text(text: string): void {
    if (this.#unseen !== '') return;
    if (this.#inHead) {
      if (text.trim() === '') return;
      this.#inHead = false;
    }
    if (this.#kept) {
      const [first = '', ...more] = text.split(/\r\n?|\n/);
      this.#append(first);
      for (const line of more) {
        this.#break();
        this.#append(line);
      }
    } else this.#append(text.replace(/[ \t\r\n\f]+/g, ' '));
  }

  open(start: number, end: number): void {
    const tag = this.#source.slice(start, end).toLowerCase();
    this.#tag = tag;
    this.#attribute = '';
    if (tag === 'head') this.#inHead = true;
    else if (!headOnly.has(tag)) this.#inHead = false;
    if (unseen.has(tag)) this.#unseen = tag;
    if (this.#unseen !== '') return;
    if (this.#kept?.tag === tag) this.#kept.depth++;
    if (tag === 'pre' || tag === 'textarea' || tag === 'listing' || tag === 'xmp') this.#keepSpace();
    if (tag === 'br') this.#break();
    else if (tag === 'dd') {
      if (this.#afterTerm) this.#append(' ');
      else this.#endLine();
    } else if (tag === 'td' || tag === 'th') this.#beginCell();
    else if (blocks.has(tag)) this.#endLine();
    this.#afterTerm = false;
    if (tag === 'blockquote') this.#quotes++;
    else if (tag === 'tr' && this.#rows.length < rowsMax)
      this.#rows.push({ from: this.all.length, lineMax: 0, cellFrom: this.all.length });
  }

  attribute(start: number, end: number): void {
    this.#attribute = this.#source.slice(start, end).toLowerCase();
  }

  value(start: number, end: number): void {
    if (this.#attribute === 'style' && /white-space\s*:\s*(?:pre|break)/i.test(this.#source.slice(start, end)))
      this.#keepSpace();
  }

  close(start: number, end: number): void {
    const tag = this.#source.slice(start, end).toLowerCase();
    if (this.#unseen !== '') {
      if (tag === this.#unseen) this.#unseen = '';
      return;
    }
    if (tag === 'head') this.#inHead = false;
    else if (tag === 'td' || tag === 'th') this.#endCell();
    else if (tag === 'dt') this.#afterTerm = true;
    else if (tag === 'dd' || blocks.has(tag)) this.#endLine();
    if (tag === 'blockquote') this.#quotes = Math.max(0, this.#quotes - 1);
    else if (tag === 'tr') this.#endRow();
    if (this.#kept?.tag === tag && --this.#kept.depth === 0) this.#kept = undefined;
  }

  end(): readonly string[] {
    this.#endLine();
    return this.all;
  }

  #keepSpace(): void {
    this.#kept ??= { tag: this.#tag, depth: 1 };
  }

  #append(text: string): void {
    if (text === '') return;
    // An empty paragraph holds a no-break space: that is how editors write a blank line.
    if (this.#kept !== undefined || text !== ' ') this.#begun = true;
    if (this.#line !== '' || this.#kept !== undefined || text !== ' ') this.#line += text.replaceAll('\u00a0', ' ');
  }

  /** Ends the line, blank or not. */
  #break(): void {
    this.all.push(`${'> '.repeat(Math.min(this.#quotes, 3))}${this.#line.trim()}`);
    this.#line = '';
    this.#begun = false;
  }

  /** Ends the line if there is one: between two blocks stands a margin, and no blank line. */
  #endLine(): void {
    if (this.#begun) this.#break();
    this.#line = '';
  }

  #beginCell(): void {
    const row = this.#rows.at(-1);
    if (!row) return this.#append(' ');
    this.#endCell();
    row.cellFrom = this.all.length;
  }

  #endCell(): void {
    const row = this.#rows.at(-1);
    if (!row) return;
    this.#endLine();
    row.lineMax = Math.max(row.lineMax, this.all.length - row.cellFrom);
    row.cellFrom = this.all.length;
  }

  /** A row whose cells have a line each is one line; one that lays out more is left as it is. */
  #endRow(): void {
    this.#endCell();
    const row = this.#rows.pop();
    if (row && row.lineMax === 1 && this.all.length > row.from + 1)
      this.all.splice(row.from, Infinity, this.all.slice(row.from).join(' '));
  }
}

const nothing = (): void => undefined;

/** The lines that a reader would see, roughly. */
export function htmlToLines(html: string): readonly string[] {
  const source = html.slice(0, htmlMax);
  const lines = new Lines(source);
  const tokenizer = new Tokenizer(
    { xmlMode: false, decodeEntities: true },
    {
      ontext: (start, end) => lines.text(source.slice(start, end)),
      ontextentity: (point) => lines.text(String.fromCodePoint(point)),
      onopentagname: (start, end) => lines.open(start, end),
      onclosetag: (start, end) => lines.close(start, end),
      onattribname: (start, end) => lines.attribute(start, end),
      onattribdata: (start, end) => lines.value(start, end),
      onattribentity: nothing,
      onattribend: nothing,
      onopentagend: nothing,
      onselfclosingtag: nothing,
      oncdata: nothing,
      oncomment: nothing,
      ondeclaration: nothing,
      onprocessinginstruction: nothing,
      onend: nothing,
    },
  );
  tokenizer.write(source);
  tokenizer.end();
  return lines.end();
}
