// Values become XML: fields in schema order, text cleaned of what XML 1.0 cannot carry. Never fails on any text;
// throws only when a required value is missing, which is an error of ours.

import type { Field, Scalar } from './schema.ts';

const special = /[&<>"'\r]/g;
const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#13;',
};
// XML 1.0 section 2.2: everything but these characters. With the u flag a lone surrogate is one of the others.
const impossible = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu;

/** A text with each character that XML 1.0 cannot carry replaced by U+FFFD. */
export function sanitizeText(text: string): string {
  return text.replace(impossible, '\uFFFD');
}

/** A text for use between tags and inside quotes. */
export function escapeXml(text: string): string {
  return sanitizeText(text).replace(special, (character) => escapes[character] ?? '');
}

function writeScalar(type: Scalar, value: unknown): string {
  if (type === 'base64Binary' && Buffer.isBuffer(value)) return value.toString('base64');
  if (type === 'dateTime' && typeof value === 'number') return new Date(value).toISOString();
  return escapeXml(String(value));
}

function writeValue(field: Field, value: unknown): string {
  const inner =
    typeof field.type === 'string'
      ? writeScalar(field.type, value)
      : writeFields(field.type.fields, value as Readonly<Record<string, unknown>>);
  return `<${field.name}>${inner}</${field.name}>`;
}

/**
 * The elements of an object in the order of its fields, without a prefix: whoever wraps them declares the namespace.
 * @throws Error when a field that is not optional has no value
 */
export function writeFields(fields: readonly Field[], values: Readonly<Record<string, unknown>>): string {
  let xml = '';
  for (const field of fields) {
    const value = values[field.name];
    if (field.many && Array.isArray(value)) {
      for (const item of value) xml += writeValue(field, item);
    } else if (value !== undefined) {
      xml += writeValue(field, value);
    } else if (!field.optional && !field.many) {
      throw new Error(`the answer lacks ${field.name}`);
    }
  }
  return xml;
}
