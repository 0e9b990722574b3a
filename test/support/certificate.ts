// A certificate for tests, made by openssl in a temporary folder.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from './spool.ts';

/** Settings that make the intake offer STARTTLS. */
export async function tlsSettings(t: TestContext): Promise<Record<string, string>> {
  const folder = await temporaryFolder(t);
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  await promisify(execFile)('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', cert]);
  return { SEAWALL_SMTP_TLS_CERTIFICATE: cert, SEAWALL_SMTP_TLS_KEY: key };
}
