import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'smol-toml';
import { describeConfig, makeConfig } from '../../src/config/config.ts';
import { ConfigError } from '../../src/model/errors.ts';

const file = (text: string) => ({ name: 'seawall.toml', text });

test('defaults stand, the file overrides them, the environment overrides the file', () => {
  assert.equal(makeConfig(undefined, {}).smtp.port, 2525);
  assert.equal(makeConfig(file('[smtp]\nport = 25'), {}).smtp.port, 25);
  const config = makeConfig(file('[smtp]\nport = 25\nrecipients = ["a@b.example"]'), {
    SEAWALL_SMTP_PORT: '26',
    SEAWALL_SMTP_GREET_PAUSE_MS: '7',
    SEAWALL_ACK_RELAYS: 'smtp://one.example:25, smtp://two.example',
    SEAWALL_SMTP_LMTP: 'true',
    PATH: '/bin',
  });
  assert.equal(config.smtp.port, 26);
  assert.equal(config.smtp.greet_pause_ms, 7);
  assert.equal(config.smtp.lmtp, true);
  assert.deepEqual(config.ack.relays, ['smtp://one.example:25', 'smtp://two.example']);
  assert.deepEqual(config.smtp.recipients, ['a@b.example']);
  assert.ok(Object.isFrozen(config) && Object.isFrozen(config.smtp) && Object.isFrozen(config.ack.relays));
});

const mistakes: [string, Parameters<typeof makeConfig>, RegExp][] = [
  ['an unknown key', [file('[smtp]\nprot = 1'), {}], /unknown key "smtp.prot".*smtp\.pro|unknown key "smtp\.prot"/],
  ['an unknown section', [file('[smpt]\nport = 1'), {}], /unknown section "smpt"/],
  ['a key outside a section', [file('port = 1'), {}], /unknown key "port"/],
  [
    'an unknown variable',
    [undefined, { SEAWALL_SMTP_PROT: '1' }],
    /unknown environment variable SEAWALL_SMTP_PROT.*SEAWALL_SMTP_P/,
  ],
  [
    'a text for a number',
    [file('[smtp]\nport = "x"'), {}],
    /smtp\.port wants a whole number from 0 to 65535, but got "x"/,
  ],
  ['a number out of range', [undefined, { SEAWALL_SMTP_PORT: '70000' }], /SEAWALL_SMTP_PORT wants .* but got 70000/],
  [
    'a flag that is neither',
    [undefined, { SEAWALL_SMTP_LMTP: 'yes' }],
    /SEAWALL_SMTP_LMTP wants true or false, but got "yes"/,
  ],
  [
    'a recipient that is no address',
    [file('[smtp]\nrecipients = ["x"]'), {}],
    /smtp\.recipients wants a list of mail addresses/,
  ],
  ['what is no network', [undefined, { SEAWALL_SMTP_UNLIMITED_CLIENTS: '999.0.0.0/8' }], /wants a list of networks/],
  ['half a certificate', [file('[smtp]\ntls_key = "k"'), {}], /go together/],
  ['a format that is none', [file('[log]\nformat = "xml"'), {}], /log\.format wants one of auto, json, pretty/],
  ['broken TOML', [file('[smtp\n'), {}], /seawall\.toml, line 1 is not valid TOML/],
];

for (const [what, args, pattern] of mistakes) {
  test(`${what} is an error that names it`, () => {
    assert.throws(
      () => makeConfig(...args),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, pattern);
        return true;
      },
    );
  });
}

test('a bad relay is refused without repeating the password in it', () => {
  assert.throws(
    () => makeConfig(file('[ack]\nrelays = ["ftp://user:geheim@relay.example"]'), {}),
    (error: unknown) =>
      error instanceof ConfigError && /ack\.relays/.test(error.message) && !error.message.includes('geheim'),
  );
});

test('the printed table is a configuration file that changes nothing', () => {
  assert.doesNotThrow(() => parse(describeConfig()));
  assert.deepEqual(makeConfig(file(describeConfig()), {}), makeConfig(undefined, {}));
});
