// The strict check of arguments against the contract. Takes what the SOAP library made of the Body, gives typed values;
// throws QueueError BAD_ARGUMENT that names the argument, what it got and what it wants.

import { type Input, type OperationName, operationOf } from './contract.ts';
import { QueueError } from './fault.ts';
import type { Field } from './schema.ts';

function refuse(field: Field, wants: string, text: string): never {
  const got = text === '' ? 'nothing' : JSON.stringify(text.slice(0, 80));
  throw new QueueError('BAD_ARGUMENT', `${field.name} wants ${wants}, but got ${got}.`);
}

function numberOf(field: Field, text: string): number {
  const least = field.least ?? 0;
  const most = field.most ?? (field.type === 'unsignedInt' ? 4_294_967_295 : Number.MAX_SAFE_INTEGER);
  const value = /^\+?[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    refuse(field, `a whole number from ${least} to ${most}`, text);
  }
  return value;
}

function textOf(field: Field, text: string): string {
  const least = field.least ?? 0;
  const most = field.most ?? 1_000;
  if (text.length < least || text.length > most) refuse(field, `${least} to ${most} characters`, text);
  return text;
}

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

function timeOf(field: Field, text: string): number {
  const value = time.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(value)) refuse(field, 'a time with its zone, such as 2026-11-21T09:00:00.000Z', text);
  return value;
}

function valueOf(field: Field, text: string): string | number {
  if (field.type === 'unsignedInt' || field.type === 'unsignedLong') return numberOf(field, text);
  if (field.type === 'dateTime') return timeOf(field, text);
  return textOf(field, text);
}

/**
 * The arguments of a call as the contract types them. An optional argument that is empty counts as absent.
 * @param given the library's object: one text for each element, null for an empty one
 * @throws QueueError BAD_ARGUMENT
 */
export function checkArguments<Name extends OperationName>(operation: Name, given: unknown): Input<Name> {
  const texts: Record<string, unknown> = typeof given === 'object' && given !== null ? { ...given } : {};
  const values: Record<string, unknown> = {};
  for (const field of operationOf(operation).input) {
    const text = texts[field.name] ?? '';
    if (typeof text !== 'string') throw new QueueError('BAD_ARGUMENT', `${field.name} must be a plain text.`);
    if (text === '' && field.optional) continue;
    values[field.name] = valueOf(field, text);
  }
  // Built from the fields that the type is made of.
  return values as Input<Name>;
}
