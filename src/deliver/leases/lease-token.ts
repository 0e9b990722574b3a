// Lease tokens: a batch's name and proof that we gave it. Any genuine token is recognised by its proof, so that old ones
// need not be remembered. Takes the secret from the journal; fails on nothing. Tokens never go to a log.

import { createHmac, timingSafeEqual } from 'node:crypto';

function proofOf(secret: string, batchId: string): string {
  return createHmac('sha256', Buffer.from(secret, 'hex')).update(batchId).digest('base64url');
}

/** @param secret in hexadecimal */
export function tokenOf(secret: string, batchId: string): string {
  return `${batchId}.${proofOf(secret, batchId)}`;
}

/** The batch that a token is for, or undefined when we did not make it. Takes the same time for every wrong proof. */
export function batchOf(secret: string, token: string): string | undefined {
  const dot = token.lastIndexOf('.');
  const batchId = token.slice(0, Math.max(dot, 0));
  const expected = Buffer.from(proofOf(secret, batchId));
  const given = Buffer.from(token.slice(dot + 1));
  return expected.length === given.length && timingSafeEqual(expected, given) ? batchId : undefined;
}
