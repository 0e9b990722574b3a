// A strict reader of the small part of XML 1.0 with namespaces that a SOAP message may use (SOAP 1.1 section 3).
// Takes a text, gives a tree of elements; throws QueueError BAD_MESSAGE for everything else: a DOCTYPE, a processing
// instruction, an unknown entity, and whatever exceeds the limits. Runs in linear time.

import { QueueError } from './fault.ts';

interface XmlAttribute {
  /** Empty when the name has no prefix. */
  readonly namespace: string;
  readonly name: string;
  readonly value: string;
}

export interface XmlElement {
  readonly namespace: string;
  readonly name: string;
  readonly attributes: readonly XmlAttribute[];
  readonly children: XmlElement[];
  /** All text directly inside, entities resolved. */
  text: string;
}

/** More than any honest caller of this contract needs. */
const limits = { depth: 32, elements: 1_000, attributes: 32, references: 10_000 };

const impossible = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;
const declaration = /^<\?xml\s+version\s*=\s*["']1\.[0-9]["'][^?<>]*\?>/;
const startOfTag = /<([^\s<>/="'&?!]+)/y;
const attribute = /\s+([^\s<>/="'&]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
const endOfTag = /\s*(\/?)>/y;
const closingTag = /<\/([^\s<>/="'&]+)\s*>/y;
const qualified = /^(?:([\p{L}_][\p{L}\p{N}._-]*):)?([\p{L}_][\p{L}\p{N}._-]*)$/u;
const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function refuse(why: string): never {
  throw new QueueError('BAD_MESSAGE', `The XML is refused: ${why}.`);
}

function characterOf(reference: string): string {
  const match = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(reference);
  if (!match)
    return (Object.hasOwn(named, reference) ? named[reference] : undefined) ?? refuse('an entity that is not defined');
  const code = match[1] === undefined ? Number(match[2]) : Number.parseInt(match[1], 16);
  if (code > 0x10ffff) refuse('a character that XML cannot carry');
  const character = String.fromCodePoint(code);
  return impossible.test(character) ? refuse('a character that XML cannot carry') : character;
}

function resolve(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&([^&;]{0,10})(;?)/g, (_all, reference: string, end: string) =>
    end === '' ? refuse('an ampersand that begins no entity') : characterOf(reference),
  );
}

/** Namespace declarations in force: its own, then those around it. */
interface Scope {
  readonly own: ReadonlyMap<string, string>;
  readonly around: Scope | undefined;
}

function lookUp(prefix: string, scope: Scope): string {
  for (let each: Scope | undefined = scope; each; each = each.around) {
    const found = each.own.get(prefix);
    if (found !== undefined) return found;
  }
  return prefix === '' ? '' : refuse('a prefix that is not declared');
}

function splitName(name: string): { prefix: string; local: string } {
  const [, prefix = '', local] = qualified.exec(name) ?? [];
  if (local === undefined || local === '__proto__') refuse('a name that is not one');
  return { prefix, local };
}

interface Open {
  readonly tag: string;
  readonly element: XmlElement;
  readonly scope: Scope;
}

class Reader {
  readonly #text: string;
  #at = 0;
  #elements = 0;
  readonly #open: Open[] = [];
  #root: XmlElement | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  read(): XmlElement {
    if (impossible.test(this.#text)) refuse('a character that XML cannot carry');
    let references = 0;
    for (let at = this.#text.indexOf('&'); at >= 0; at = this.#text.indexOf('&', at + 1)) {
      if (++references > limits.references) refuse(`more than ${limits.references} entities`);
    }
    this.#at = declaration.exec(this.#text)?.[0].length ?? 0;
    while (this.#at < this.#text.length) {
      const next = this.#text.indexOf('<', this.#at);
      this.#characters(this.#text.slice(this.#at, next < 0 ? undefined : next));
      if (next < 0) break;
      this.#at = next;
      this.#markup();
    }
    if (this.#open.length > 0) refuse('it ends too early');
    return this.#root ?? refuse('there is no element');
  }

  #characters(text: string): void {
    const top = this.#open.at(-1);
    if (top) {
      if (text.includes(']]>')) refuse('a stray end of CDATA');
      top.element.text += resolve(text);
    } else if (text.trim() !== '') refuse('text outside of the root element');
  }

  #markup(): void {
    const { length } = this.#text;
    if (this.#text.startsWith('<!--', this.#at)) {
      const end = this.#text.indexOf('--', this.#at + 4);
      if (end < 0 || this.#text[end + 2] !== '>') refuse('a comment that does not end as it must');
      this.#at = end + 3;
    } else if (this.#text.startsWith('<![CDATA[', this.#at)) {
      const end = this.#text.indexOf(']]>', this.#at);
      const top = this.#open.at(-1);
      if (end < 0 || !top) return refuse('CDATA that does not end, or stands outside');
      top.element.text += this.#text.slice(this.#at + 9, end);
      this.#at = end + 3;
    } else if (this.#text.startsWith('<!', this.#at)) refuse('a document type or another declaration');
    else if (this.#text.startsWith('<?', this.#at)) refuse('a processing instruction');
    else if (this.#text.startsWith('</', this.#at)) this.#close();
    else this.#begin();
    if (this.#at > length) refuse('it ends too early');
  }

  #match(pattern: RegExp, why: string): RegExpExecArray {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text) ?? refuse(why);
    this.#at = pattern.lastIndex;
    return match;
  }

  #close(): void {
    const [, tag] = this.#match(closingTag, 'a closing tag that is not one');
    if (this.#open.pop()?.tag !== tag) refuse('tags that do not nest');
  }

  #begin(): void {
    const [, tag = ''] = this.#match(startOfTag, 'a tag that is not one');
    const given = new Map<string, string>();
    attribute.lastIndex = this.#at;
    for (let match = attribute.exec(this.#text); match; match = attribute.exec(this.#text)) {
      this.#at = attribute.lastIndex;
      const [, name = '', quoted, apostrophed] = match;
      if (given.has(name)) refuse('an attribute that is given twice');
      if (given.size >= limits.attributes) refuse(`more than ${limits.attributes} attributes`);
      given.set(name, resolve(quoted ?? apostrophed ?? ''));
    }
    const [, empty] = this.#match(endOfTag, 'a tag that does not end');
    const parent = this.#open.at(-1);
    if (!parent && this.#root) refuse('a second root element');
    if (++this.#elements > limits.elements) refuse(`more than ${limits.elements} elements`);
    const scope = scopeOf(given, parent?.scope);
    const { prefix, local } = splitName(tag);
    const element: XmlElement = {
      namespace: lookUp(prefix, scope),
      name: local,
      attributes: attributesOf(given, scope),
      children: [],
      text: '',
    };
    if (parent) parent.element.children.push(element);
    else this.#root = element;
    if (empty === '/') return;
    this.#open.push({ tag, element, scope });
    if (this.#open.length > limits.depth) refuse(`elements nested deeper than ${limits.depth}`);
  }
}

const xmlNamespace = 'http://www.w3.org/XML/1998/namespace';
const outermost: Scope = { own: new Map([['xml', xmlNamespace]]), around: undefined };

function scopeOf(given: ReadonlyMap<string, string>, around: Scope = outermost): Scope {
  const own = new Map<string, string>();
  for (const [name, value] of given) {
    if (name === 'xmlns') own.set('', value);
    else if (name.startsWith('xmlns:')) {
      const { local } = splitName(name);
      if (value === '' || local === 'xml' || local === 'xmlns') refuse('a namespace declaration that is not allowed');
      own.set(local, value);
    }
  }
  return own.size === 0 ? around : { own, around };
}

function attributesOf(given: ReadonlyMap<string, string>, scope: Scope): XmlAttribute[] {
  const attributes: XmlAttribute[] = [];
  for (const [name, value] of given) {
    if (name === 'xmlns' || name.startsWith('xmlns:')) continue;
    const { prefix, local } = splitName(name);
    const namespace = prefix === '' ? '' : lookUp(prefix, scope);
    if (attributes.some((other) => other.name === local && other.namespace === namespace)) {
      refuse('an attribute that is given twice');
    }
    attributes.push({ namespace, name: local, value });
  }
  return attributes;
}

/**
 * Reads a whole document (XML 1.0, Namespaces in XML 1.0), without a byte order mark. Blanks before the declaration, which the standard
 * does not allow and templates leave behind, are passed over.
 * @throws QueueError BAD_MESSAGE
 */
export function readXml(text: string): XmlElement {
  return new Reader(text.trimStart()).read();
}
