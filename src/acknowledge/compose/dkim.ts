// Signs acknowledgements with DKIM (RFC 6376; Ed25519: RFC 8463). Takes a finished mail, gives it with a DKIM-Signature in
// front. The same mail always gets the same signature: no time goes into it, and both algorithms are deterministic.
// nodemailer's signer knows RSA only and takes the mail through four streams; ours signs what `compose` has just made:
// CRLF line ends and a header that is well-formed. Fails at start only. The key stays in a KeyObject.

import { createHash, createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { ConfigError } from '../../model/errors.ts';
import type { Disk } from '../../ports/runtime.ts';

/** A mail's bytes with the signature in front of them. */
export type Sign = (mail: Buffer) => Promise<Buffer>;

/** The fields that are signed, those of them that the mail has (RFC 6376 section 5.4.1). From must be among them. */
const signedFields = (
  'from to subject date message-id in-reply-to references mime-version content-type auto-submitted ' +
  'seawall-status seawall-ticket seawall-sequence seawall-received seawall-size seawall-sha256'
).split(' ');

/** On a thread of its own: an RSA signature takes hundreds of microseconds. */
const signAside = promisify(sign);

/** @throws ConfigError that names the file, never what is in it */
async function readKey(disk: Disk, path: string): Promise<KeyObject> {
  let key: KeyObject;
  try {
    key = createPrivateKey(await disk.readFile(path));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new ConfigError(`ack.dkim_key: ${path} cannot be used${code}; it wants a PEM file with a private key.`);
  }
  const type = key.asymmetricKeyType;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (type === 'ed25519' || (type === 'rsa' && bits >= 1024)) return key;
  throw new ConfigError(
    `ack.dkim_key: ${path} holds ${type} ${bits || ''}; DKIM wants RSA (1024 bits or more) or Ed25519.`,
  );
}

/**
 * The signer for a domain.
 * @throws ConfigError when the key cannot be read or is of the wrong kind
 */
export async function dkimSigner(
  disk: Disk,
  { domain, selector, keyFile }: { domain: string; selector: string; keyFile: string },
): Promise<Sign> {
  const key = await readKey(disk, keyFile);
  const rsa = key.asymmetricKeyType === 'rsa';

  return async (mail) => {
    const end = mail.indexOf('\r\n\r\n');
    const fields = relaxedFields(mail.toString('latin1', 0, end));
    const bodyHash = createHash('sha256').update(relaxedBody(mail.toString('latin1', end + 4)), 'latin1');
    const names = signedFields.filter((name) => fields.has(name));
    const header =
      `DKIM-Signature: v=1; a=${rsa ? 'rsa' : 'ed25519'}-sha256; c=relaxed/relaxed; d=${domain};\r\n s=${selector};` +
      `\r\n h=${fold(names.join(':'), ':')};\r\n bh=${bodyHash.digest('base64')};\r\n b=`;
    const signedText =
      names.map((name) => `${name}:${fields.get(name)}\r\n`).join('') + `dkim-signature:${relaxed(header.slice(15))}`;
    const signed = Buffer.from(signedText, 'latin1');
    // Ed25519 signs the hash and not the text (RFC 8463 section 3).
    const signature = rsa
      ? await signAside('sha256', signed, key)
      : await signAside(null, createHash('sha256').update(signed).digest(), key);
    const value = signature.toString('base64').replace(/.{72}(?=.)/g, '$&\r\n ');
    return Buffer.concat([Buffer.from(`${header}${value}\r\n`, 'latin1'), mail]);
  };
}

/** Field values by lower-case name, relaxed (RFC 6376 section 3.4.2); of several the last, as section 5.4.2 has it. */
function relaxedFields(header: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of header.split(/\r\n(?![ \t])/)) {
    const colon = field.indexOf(':');
    fields.set(field.slice(0, colon).trimEnd().toLowerCase(), relaxed(field.slice(colon + 1)));
  }
  return fields;
}

function relaxed(value: string): string {
  return value
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/^ | $/g, '');
}

/** RFC 6376 section 3.4.4: white space shrinks, empty lines at the end go. */
function relaxedBody(body: string): string {
  const lines = body
    .replace(/[ \t]+(?=\r\n|$)/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/(?:\r\n)*$/, '');
  return lines === '' ? '' : `${lines}\r\n`;
}

/** Breaks a long list behind its separators. */
function fold(list: string, separator: string): string {
  let line = 0;
  return list
    .split(separator)
    .map((item) => {
      line += item.length + 1;
      if (line <= 70) return item;
      line = item.length + 2;
      return `\r\n ${item}`;
    })
    .join(separator);
}
