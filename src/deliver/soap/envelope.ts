// The look at a SOAP message before the library sees it: SOAP 1.1 (section 4), one known operation, flat arguments.
// Takes the tree of xml-read.ts, gives a Call; throws QueueError. What passes is written anew by `plainEnvelope`, so that
// nothing that a stranger wrote reaches the library but names from the contract and escaped text.

import { namespace, operationNames, operationOf, type OperationName } from './contract.ts';
import type { Credentials } from '../access/authenticator.ts';
import { QueueError, soapNamespace } from './fault.ts';
import type { XmlElement } from './xml-read.ts';
import { escapeXml } from './xml-write.ts';

/** What a message asks for. */
export interface Call {
  readonly operation: OperationName;
  /** Text of each argument that was given, by its name in the contract. */
  readonly given: ReadonlyMap<string, string>;
  /** The WS-Security UsernameToken, if there is one. */
  readonly token: Credentials | undefined;
}

const xsi = 'http://www.w3.org/2001/XMLSchema-instance';
const wsse = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd';
const nextActor = 'http://schemas.xmlsoap.org/soap/actor/next';

const bad = (message: string): QueueError => new QueueError('BAD_MESSAGE', message);

function attributeOf(element: XmlElement, uri: string, name: string): string | undefined {
  return element.attributes.find((each) => each.namespace === uri && each.name === name)?.value;
}

const childOf = (element: XmlElement | undefined, uri: string, name: string): XmlElement | undefined =>
  element?.children.find((child) => child.namespace === uri && child.name === name);

/** SOAP 1.1 section 4.2.3: an entry for us that must be understood and is not ends the call. */
function checkHeader(header: XmlElement, understood: XmlElement | undefined): void {
  for (const entry of header.children) {
    const must = attributeOf(entry, soapNamespace, 'mustUnderstand') ?? '0';
    const actor = attributeOf(entry, soapNamespace, 'actor') ?? '';
    if (entry === understood || ['0', 'false'].includes(must) || (actor !== '' && actor !== nextActor)) continue;
    throw new QueueError('MUST_UNDERSTAND', `The header ${entry.name} must be understood, but is not.`);
  }
}

/** Web Services Security UsernameToken Profile 1.0, section 3.1: PasswordText; a digest cannot be checked against a hash. */
function tokenOf(usernameToken: XmlElement | undefined): Credentials | undefined {
  const name = childOf(usernameToken, wsse, 'Username')?.text.trim();
  const password = childOf(usernameToken, wsse, 'Password');
  if (name === undefined || !password) return undefined;
  if (attributeOf(password, '', 'Type')?.endsWith('#PasswordDigest')) {
    throw new QueueError('NOT_ALLOWED', 'A PasswordDigest is not taken: send the PasswordText over TLS.');
  }
  return { name, password: password.text };
}

/** The text of an argument, or undefined when it is nil. */
function textOf(argument: XmlElement): string | undefined {
  if (argument.children.length > 0) {
    throw new QueueError('BAD_ARGUMENT', `${argument.name} must be a plain text, but holds elements.`);
  }
  if (argument.attributes.some(({ namespace: uri, name }) => uri === '' && (name === 'href' || name === 'id'))) {
    throw bad(`${argument.name} is a reference (href, id); give the value itself.`);
  }
  if (['true', '1'].includes(attributeOf(argument, xsi, 'nil') ?? '')) return undefined;
  const type = attributeOf(argument, xsi, 'type') ?? '';
  // SOAP::Lite's autotype sends every text that is not ASCII in base64.
  if (/(^|:)base64(Binary)?$/.test(type)) return Buffer.from(argument.text, 'base64').toString('utf8');
  return argument.text.trim();
}

function argumentsOf(operation: OperationName, wrapper: XmlElement): Map<string, string> {
  const known = operationOf(operation).input.map(({ name }) => name);
  const given = new Map<string, string>();
  const seen = new Set<string>();
  if (wrapper.text.trim() !== '')
    throw new QueueError('BAD_ARGUMENT', `${operation} holds text outside of its arguments.`);
  for (const argument of wrapper.children) {
    const { name } = argument;
    if ((argument.namespace !== namespace && argument.namespace !== '') || !known.includes(name)) {
      const wants = known.length === 0 ? 'none' : known.join(', ');
      throw new QueueError('BAD_ARGUMENT', `${operation} has no argument ${name}; its arguments are: ${wants}.`);
    }
    if (seen.has(name)) throw new QueueError('BAD_ARGUMENT', `${name} is given twice.`);
    seen.add(name);
    const text = textOf(argument);
    if (text !== undefined) given.set(name, text);
  }
  return given;
}

/**
 * What a message asks for.
 * @throws QueueError VERSION_MISMATCH, MUST_UNDERSTAND, BAD_MESSAGE, UNKNOWN_OPERATION or BAD_ARGUMENT
 */
export function readEnvelope(root: XmlElement): Call {
  if (root.name !== 'Envelope') throw bad(`The root element is ${root.name}, but must be a SOAP Envelope.`);
  if (root.namespace !== soapNamespace) {
    throw new QueueError('VERSION_MISMATCH', `The envelope must be SOAP 1.1 (${soapNamespace}).`);
  }
  const parts = root.children.map((child) => (child.namespace === soapNamespace ? child.name : ''));
  if (parts.join() !== 'Body' && parts.join() !== 'Header,Body') {
    throw bad('An Envelope must hold an optional Header, then one Body, and nothing else.');
  }
  const body = root.children.at(-1);
  const header = root.children.length === 2 ? root.children[0] : undefined;
  const security = childOf(header, wsse, 'Security');
  const usernameToken = childOf(security, wsse, 'UsernameToken');
  if (header) checkHeader(header, usernameToken && security);
  const [wrapper, ...others] = body?.children ?? [];
  if (!wrapper || others.length > 0 || body?.text.trim() !== '') throw bad('The Body must hold exactly one element.');
  const operation = operationNames.find((name) => name === wrapper.name);
  if (!operation || wrapper.namespace !== namespace) {
    throw new QueueError(
      'UNKNOWN_OPERATION',
      `{${wrapper.namespace}}${wrapper.name} is no operation; in ${namespace} there are ${operationNames.join(', ')}.`,
    );
  }
  return { operation, given: argumentsOf(operation, wrapper), token: tokenOf(usernameToken) };
}

/**
 * SOAP 1.1 section 6.1.1: the header says the intent; the body decides, and the two must not contradict each other.
 * @throws QueueError BAD_MESSAGE
 */
export function checkSoapAction(header: string | undefined, operation: OperationName): void {
  const action = (header ?? '').trim().replace(/^"(.*)"$/, '$1');
  if (action === '' || action.slice(Math.max(action.lastIndexOf('#'), action.lastIndexOf('/')) + 1) === operation)
    return;
  throw bad(`SOAPAction is ${action.slice(0, 200)}, but the Body asks for ${operation}.`);
}

/**
 * The call as a message of our own making. So the XML is parsed twice: soap 1.13 takes a message only as a string of XML, its public
 * interface has no way to hand it a tree that is parsed already, and its own parser must not see what a client sent.
 */
export function plainEnvelope({ operation, given }: Call): string {
  const inner = [...given].map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`).join('');
  return (
    `<soap:Envelope xmlns:soap="${soapNamespace}"><soap:Body>` +
    `<${operation} xmlns="${namespace}">${inner}</${operation}></soap:Body></soap:Envelope>`
  );
}
