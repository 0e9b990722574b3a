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

/** An authority, and a certificate for localhost and ::ffff:127.0.0.1 that it has signed. Paths of PEM files. */
export async function authority(t: TestContext): Promise<{ ca: string; cert: string; key: string }> {
  const folder = await temporaryFolder(t);
  const [ca, caKey] = [join(folder, 'ca.pem'), join(folder, 'ca-key.pem')];
  const [cert, key] = [join(folder, 'server.pem'), join(folder, 'server-key.pem')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const openssl = promisify(execFile);
  await openssl('openssl', ['req', ...kind, '-subj', '/CN=Test authority', '-keyout', caKey, '-out', ca]);
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:::ffff:127.0.0.1', '-addext', 'basicConstraints=CA:FALSE'];
  const signedBy = ['-CA', ca, '-CAkey', caKey, '-subj', '/CN=localhost', '-keyout', key, '-out', cert];
  await openssl('openssl', ['req', ...kind, ...names, ...signedBy]);
  return { ca, cert, key };
}
