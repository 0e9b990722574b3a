// Passwords as salted hashes (scrypt, RFC 7914). Takes a password, gives a text that may lie in a file; tells whether a
// password is the one of such a text, in constant time. Fails on a text that is not one of ours.

import { scrypt, timingSafeEqual } from 'node:crypto';

interface Cost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** About 50 ms and 16 MiB each time. */
const cost: Cost = { N: 16_384, r: 8, p: 1 };
const bytes = 32;

const form = /^scrypt\$(\d{4,7})\$(\d{1,2})\$(\d{1,2})\$([\w-]{16,86})\$([\w-]{43})$/;

function derive(password: string, salt: Buffer, { N, r, p }: Cost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, bytes, { N, r, p, maxmem: 256 * N * r }, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

/** Whether a text has the form that `hashPassword` gives. */
export function isPasswordHash(text: string): boolean {
  return form.test(text);
}

/**
 * The text to keep in place of a password.
 * @param salt 16 random bytes, new for each password
 */
export async function hashPassword(password: string, salt: Buffer): Promise<string> {
  const key = await derive(password, salt, cost);
  return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/** Whether a password is the one that was hashed. @throws Error when the hash is not one */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  const [, N = '', r = '', p = '', salt = '', key = ''] = form.exec(hash) ?? [];
  if (key === '') throw new Error('this is no scrypt hash of ours');
  const given = await derive(password, Buffer.from(salt, 'base64url'), { N: Number(N), r: Number(r), p: Number(p) });
  return timingSafeEqual(given, Buffer.from(key, 'base64url'));
}
