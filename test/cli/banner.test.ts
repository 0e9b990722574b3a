import assert from 'node:assert/strict';
import { test } from 'node:test';
import { banner } from '../../src/cli/run.ts';
import { makeConfig } from '../../src/config/config.ts';

const at = (port: number) => ({ host: '127.0.0.1', port });

test('the banner names the SOAP endpoint as it is: http, https under TLS, and not running when it was given up', () => {
  const all = new Map([
    ['intake', at(2525)],
    ['deliver', at(8025)],
    ['admin', at(8026)],
  ]);
  assert.match(banner(makeConfig(undefined, {}), all), / http:\/\/127\.0\.0\.1:8025\/soap /);
  const tls = { SEAWALL_SOAP_TLS_CERTIFICATE: 'certificate.pem', SEAWALL_SOAP_TLS_KEY: 'key.pem' };
  assert.match(banner(makeConfig(undefined, tls), all), / https:\/\/127\.0\.0\.1:8025\/soap .*https:\/\/.*\?wsdl/);
  all.delete('deliver');
  assert.match(banner(makeConfig(undefined, {}), all), /registry's SOAP +does NOT run: see the log/);
});
