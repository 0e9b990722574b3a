// Certificates and whatever else the configuration names: looked at before anything listens, read again when they change, warned of
// before they end.

import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { startDaemon } from '../../loadtest/daemon.ts';
import { validityTrouble } from '../../src/lib/tls-files.ts';
import { tlsSettings } from '../support/certificate.ts';
import { settle } from '../support/memory.ts';
import { SmtpClient } from '../support/smtp-client.ts';
import { atEnd, temporaryFolder } from '../support/spool.ts';
import { until, verb } from '../support/verbs.ts';

/** The serial number of the certificate that STARTTLS shows. */
async function serialAt(port: number): Promise<string> {
  const smtp = new SmtpClient(port);
  await smtp.hello();
  assert.match(await smtp.say('STARTTLS'), /^220 /);
  smtp.socket.removeAllListeners('data');
  const secure = connect({ socket: smtp.socket, rejectUnauthorized: false });
  await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject));
  const { serialNumber } = secure.getPeerCertificate();
  secure.destroy();
  return serialNumber;
}

test('the SMTP certificate is read again when it changes, and one that ends soon is warned of', async (t) => {
  const [first, second] = [await tlsSettings(t), await tlsSettings(t)];
  const [cert, key] = [first['SEAWALL_SMTP_TLS_CERTIFICATE']!, first['SEAWALL_SMTP_TLS_KEY']!];
  const on = await startDaemon(undefined, first);
  atEnd(t, () => on.stop());
  assert.match(on.log(), /the certificate of smtp ends in 1 days/);
  const before = await serialAt(on.smtpPort);
  const { stdout, code } = await verb(on, 'status', '--check');
  assert.equal(code, 1);
  assert.match(stdout, /^certificates: WARNING - smtp\.tls_certificate ends in 1 days/m);
  // A certificate without its key changes nothing; the pair is taken without a restart.
  await copyFile(second['SEAWALL_SMTP_TLS_CERTIFICATE']!, cert);
  await until(
    async () => {
      await settle();
      return on.log();
    },
    (log) => log.includes('a changed file cannot be used'),
  );
  assert.equal(await serialAt(on.smtpPort), before);
  await copyFile(second['SEAWALL_SMTP_TLS_KEY']!, key);
  await until(
    () => serialAt(on.smtpPort),
    (serial) => serial !== before,
  );
});

test('how long a certificate holds is said in words', async (t) => {
  const pem = await readFile((await tlsSettings(t))['SEAWALL_SMTP_TLS_CERTIFICATE']!, 'utf8');
  const day = 86_400_000;
  const at = (days: number) => validityTrouble(pem, Date.now() + days * day);
  assert.deepEqual([at(0)?.ended, at(3)?.ended, at(-2)?.ended], [false, true, true]);
  assert.match(at(3)!.text, /^has ended on /);
  assert.match(at(-2)!.text, /^does not hold before /);
});

test('whatever the configuration names is looked at before anything listens, and the setting is named', async (t) => {
  const folder = await temporaryFolder(t);
  const [one, other] = [await tlsSettings(t), await tlsSettings(t)];
  const [cert, key] = [one['SEAWALL_SMTP_TLS_CERTIFICATE']!, one['SEAWALL_SMTP_TLS_KEY']!];
  const wrongKey = other['SEAWALL_SMTP_TLS_KEY']!;
  const rubbish = join(folder, 'rubbish');
  await writeFile(rubbish, 'nonsense\n');
  const templates = join(folder, 'templates');
  await mkdir(join(templates, 'en'), { recursive: true });
  const cases: [Record<string, string>, RegExp][] = [
    [
      { SEAWALL_SMTP_TLS_CERTIFICATE: cert, SEAWALL_SMTP_TLS_KEY: wrongKey },
      /smtp\.tls_key: \S+ is not the key of the certificate in \S+ \(smtp\.tls_certificate\)/,
    ],
    [
      { SEAWALL_SOAP_TLS_CERTIFICATE: cert, SEAWALL_SOAP_TLS_KEY: wrongKey },
      /soap\.tls_key: \S+ is not the key of the certificate in \S+ \(soap\.tls_certificate\)/,
    ],
    [
      { SEAWALL_SOAP_TLS_CERTIFICATE: rubbish, SEAWALL_SOAP_TLS_KEY: key },
      /soap\.tls_certificate: \S+ holds no certificate/,
    ],
    [{ SEAWALL_SMTP_TLS_CERTIFICATE: cert, SEAWALL_SMTP_TLS_KEY: rubbish }, /smtp\.tls_key: \S+ holds no private key/],
    [
      { SEAWALL_SOAP_TLS_CERTIFICATE: cert, SEAWALL_SOAP_TLS_KEY: key, SEAWALL_SOAP_TLS_CLIENT_CA: rubbish },
      /soap\.tls_client_ca: \S+ holds no certificate/,
    ],
    [{ SEAWALL_SOAP_CLIENTS: rubbish }, /rubbish, line 1: wants: name roles/],
    [{ SEAWALL_SOAP_CLIENTS: '/nowhere' }, /soap\.clients: \/nowhere cannot be read/],
    [{ SEAWALL_REGISTRARS_FILE: rubbish }, /rubbish, line 1 is not valid TOML/],
    [{ SEAWALL_TEMPLATES_DIR: templates }, /template/],
    [
      { SEAWALL_ACK_DKIM_KEY: rubbish, SEAWALL_ACK_DKIM_DOMAIN: 'a.example', SEAWALL_ACK_DKIM_SELECTOR: 's' },
      /ack\.dkim_key: \S+ cannot be used/,
    ],
    [{ SEAWALL_ACK_RELAYS: 'smtp://127.0.0.1', SEAWALL_ACK_TLS_CA: rubbish }, /ack\.tls_ca: \S+ holds no certificate/],
  ];
  for (const [settings, words] of cases) {
    const ports = { SEAWALL_SMTP_PORT: '0', SEAWALL_SOAP_PORT: '0', SEAWALL_ADMIN_PORT: '0' };
    const own = { SEAWALL_CONFIG: '', SEAWALL_SPOOL_DIR: join(folder, 'spool'), SEAWALL_LOG_FORMAT: 'json' };
    const environment = { ...process.env, ...ports, ...own, ...settings };
    const { stdout, stderr, code } = await verb({ environment }, 'serve');
    assert.deepEqual([code, stdout], [78, ''], stderr);
    assert.match(stderr, words);
  }
});
