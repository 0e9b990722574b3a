// Every key of the configuration, once, with its default, its bounds and its words. Pure data for config.ts, which reads the
// file and the environment against it.

import { isIP } from 'node:net';
import { isNetwork } from '../lib/address-list.ts';
import { choice, flag, type Key, list, number, port, text } from './key-kinds.ts';

const address = /^[^\s<>@]+@[^\s<>@]+$/;
const hostName = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;
const network = { test: isNetwork };
const dnsServer = {
  test: (item: string): boolean =>
    isIP(/^\[?([^\]]*?)\]?(?::\d{1,5})?$/.exec(item)?.[1] ?? '') !== 0 || isIP(item) !== 0,
};
const day = 86_400;

/** The keys by section. Units stand in their names. */
export const keys = {
  smtp: {
    host: text('127.0.0.1', 'address to listen on'),
    port: port(2525, 'port for the registrars’ mail'),
    name: text('localhost', 'our name in the greeting', hostName, 'a host name'),
    lmtp: flag(false, 'speak LMTP (RFC 2033) in place of SMTP'),
    recipients: list('addresses that take requests; empty: any', address, 'a list of mail addresses'),
    greet_pause_ms: number(0, 0, 60_000, 'pause before the greeting; who talks earlier is sent away'),
    tls_certificate: text('', 'PEM file; with it and the key, STARTTLS is offered'),
    tls_key: text('', 'PEM file with the private key'),
    message_bytes: number(10_485_760, 1_024, 1_073_741_824, 'the largest message (SIZE, RFC 1870)'),
    message_lines: number(200_000, 100, 100_000_000, 'the most lines in a message'),
    strict_addresses: flag(
      false,
      'refuse addresses that RFC 5321 forbids and others take: two dots, an underscore in the domain',
    ),
    message_recipients: number(100, 1, 10_000, 'the most recipients of a message'),
    connections: number(5_000, 1, 100_000, 'the most connections at once; more get 421'),
    client_connections: number(50, 1, 100_000, 'the most connections of one address (IPv6: a /64); more get 421'),
    client_connections_per_minute: number(0, 0, 1_000_000, 'the most new connections of one address; 0: any number'),
    unlimited_clients: list('without limits for each address: us, a relay in front', network, 'a list of networks', [
      '127.0.0.0/8',
      '::1',
    ]),
    trusted_fronts: list('mail servers in front whose XCLIENT and XFORWARD are taken', network, 'a list of networks'),
    proxy_from: list(
      'proxies whose connections must begin with a PROXY header (version 1 or 2)',
      network,
      'a list of networks',
    ),
    session_messages: number(100_000, 1, 1_000_000_000, 'the most messages on one connection; then 421'),
    session_commands: number(100, 10, 1_000_000, 'the most commands without a message kept in between; then 421'),
    session_errors: number(20, 1, 1_000_000, 'the most 5xx answers without a message kept in between; then 421'),
    session_refusals: number(
      10_000,
      1,
      1_000_000_000,
      'the most refusals of a stranger on one connection; then 421. A new connection would cost us more than a refusal',
    ),
    auth_without_tls: flag(false, 'take passwords of the registrar book without TLS too; this machine always may'),
    buffered_bytes: number(268_435_456, 1_048_576, 17_179_869_184, 'the most message bytes in memory; more get 452'),
    refused_bytes_per_minute: number(
      104_857_600,
      0,
      2 ** 50,
      'the most bytes of messages that are refused or break off, of one registrar or address; then 450; 0: any number',
    ),
    hello_seconds: number(30, 1, 3_600, 'the longest for a PROXY header, and from the greeting to HELO; under load 10'),
    idle_seconds: number(60, 1, 3_600, 'the longest between complete commands; under load 10'),
    duplicate_seconds: number(
      day,
      0,
      60 * day,
      'how long a kept request is known when it comes again: its copy gets the first ticket; 0: never',
    ),
    data_seconds: number(300, 1, 3_600, 'the longest a message may take to arrive'),
    data_bytes_per_second: number(500, 0, 1_000_000, 'the slowest that a message may arrive, after 10 seconds'),
  },
  opening: {
    phases: list(
      'when mail is taken, phase by phase: a time, its zone or offset, a name; empty: always',
      /\S/,
      'a list such as "2026-12-01T09:00 Europe/Paris a-f"',
    ),
    closes: text('', 'the end, such as 2026-12-08T09:00:00+01:00; later mail gets 550; empty: none'),
    before: choice(
      'defer',
      ['defer', 'keep'],
      'mail before the first phase: 450 with the hour in it, or kept and marked',
    ),
    clock: choice(
      'check',
      ['check', 'require', 'ignore'],
      'with an opening, a clock that is known not to be right gets no mail in; require: nor one that nobody knows of',
    ),
    clock_offset_ms_max: number(1_000, 1, 3_600_000, 'the most that the clock may be off'),
  },
  registrars: {
    file: text('', 'the registrar book, a TOML file; empty: mail is taken from anyone'),
    strangers: choice(
      'refuse',
      ['refuse', 'keep'],
      'senders not in the book: 550, or kept, marked and not acknowledged',
    ),
    connections: number(100, 1, 100_000, 'the most connections of one registrar, when the book does not say'),
    messages: number(100, 1, 100_000, 'the most messages of one registrar in progress; more wait their turn'),
    bytes: number(67_108_864, 1_048_576, 17_179_869_184, 'the most message bytes of one registrar in memory; then 452'),
    stranger_connections: number(500, 1, 100_000, 'the most connections of all who are not known yet; then 421'),
    places: number(
      256,
      1,
      100_000,
      'messages in progress at once: so many places are shared out by weight, and as many go round in turn',
    ),
    wait_seconds: number(60, 1, 3_600, 'the longest that DATA waits for its turn; then 451'),
  },
  soap: {
    host: text('127.0.0.1', 'address to listen on'),
    port: port(8025, 'port for the registry’s SOAP client'),
    batch_count: number(1_000, 1, 10_000, 'the most requests that a Fetch gives'),
    batch_bytes: number(16_777_216, 1_024, 268_435_456, 'the most message bytes in a Fetch; one request always fits'),
    lease_seconds: number(300, 1, day, 'how long a lease lasts when Fetch does not say'),
    lease_seconds_max: number(3_600, 1, day, 'the longest lease that Fetch may ask for'),
    wait_seconds_max: number(60, 0, 3_600, 'the longest that Fetch may wait for a request'),
    body_bytes: number(1_048_576, 1_024, 67_108_864, 'the largest SOAP request, also after gunzip'),
    connections: number(200, 1, 10_000, 'the most connections at once'),
    idle_seconds: number(60, 1, 3_600, 'silence after which a connection is closed'),
    clients: text('', 'file of the clients that may call; empty: anyone on this machine, and nobody else'),
    allow: list('addresses and networks that may call; empty: all', network, 'a list such as 192.0.2.0/24'),
    trusted_proxies: list('addresses whose X-Forwarded headers count', network, 'a list such as 192.0.2.1'),
    tls_certificate: text('', 'PEM file; with it and the key, the endpoint speaks TLS only'),
    tls_key: text('', 'PEM file with the private key'),
    tls_client_ca: text('', 'PEM file of the authorities whose client certificates are taken'),
  },
  deliver: {
    order: choice(
      'strict',
      ['strict', 'by-name'],
      'strict: one lease at a time; by-name: several, never two for one domain name',
    ),
  },
  admin: {
    host: text('127.0.0.1', 'address to listen on'),
    port: port(8026, 'port for health and status'),
    names: list(
      'names by which it may be asked, beside addresses, localhost and the machine’s own',
      hostName,
      'a list of host names',
    ),
  },
  health: {
    relay_seconds: number(120, 0, day, 'critical when no relay has been reached for so long; 0: never'),
    ack_seconds: number(300, 0, 60 * day, 'critical when a request has waited so long to be acknowledged; 0: never'),
    pull_seconds: number(3_600, 0, 60 * day, 'a warning when a request has waited so long for the registry; 0: never'),
  },
  spool: {
    dir: text('./spool', 'folder of the log and the journals', /./, 'a folder'),
    rehearsal_dir: text('', 'the same for rehearsals; empty: spool.dir with -rehearsal behind it'),
    mailbox_bytes: number(67_108_864, 4_096, 4_294_967_296, 'a new mailbox is begun past this size'),
    mailbox_count: number(20_000, 1, 1_000_000, 'a new mailbox is begun past this many requests'),
    mailbox_seconds: number(day, 1, 366 * day, 'a new mailbox is begun when the newest is this old'),
    batch_count: number(1_000, 1, 100_000, 'the most requests in one write'),
    batch_bytes: number(8_388_608, 1_024, 1_073_741_824, 'the most bytes in one write; one request always fits'),
    waiting_count: number(10_000, 1, 1_000_000, 'the most requests that wait for their write; more get 451'),
    floor_bytes: number(268_435_456, 0, 2 ** 50, 'free bytes on the disk under which new mail gets 452; 0: no floor'),
    floor_inodes: number(1_000, 0, 2 ** 40, 'free inodes on the disk under which new mail gets 452; 0: no floor'),
  },
  ack: {
    enabled: flag(true, 'acknowledge by mail'),
    relays: list(
      'relays in the order to try them, as smtp://[user:password@]host[:port]; empty: .eml files below the spool',
      /^smtps?:\/\/\S+$/,
      'a list of smtp:// or smtps:// addresses',
    ),
    from: text('Seawall <seawall@localhost>', 'the From header of acknowledgements', /@/, 'a mail address'),
    reply_to: text(
      '',
      'address that answers go to, as Reply-To; empty: answers are not read',
      /^$|@/,
      'a mail address',
    ),
    registry: text('', 'name of the registry, at the end of acknowledgements'),
    contact: text('', 'where registrars may ask, below it: an address, a telephone number, hours'),
    time_zone: text('UTC', 'zone of the local time in acknowledgements, beside UTC, such as Europe/Paris'),
    name: text('localhost', 'our name in EHLO and in Message-IDs', hostName, 'a host name'),
    language: text('en', 'language of acknowledgements, a folder in the templates', /^[a-z]{2,3}$/, 'a language code'),
    connections: number(10, 1, 100, 'connections to a relay at once'),
    idle_seconds: number(60, 1, 3_600, 'how long a connection without a mail is kept'),
    connect_seconds: number(10, 1, 3_600, 'the longest that connecting, greeting and TLS may take together'),
    tls_ca: text('', 'PEM file of authorities whose certificates relays may have, beside the well-known ones'),
    direct: flag(false, 'without relays: send to the mail servers of each recipient’s domain'),
    direct_connections: number(100, 1, 1_000, 'direct: connections to servers that answer, at once'),
    direct_port: number(25, 1, 65_535, 'direct: the port of the servers'),
    direct_inside: flag(false, 'direct: send to loopback, private and our own addresses too'),
    domain_connections: number(10, 0, 1_000, 'mails to one recipient domain at once; 0: any number'),
    domain_per_second: number(0, 0, 100_000, 'mails to one recipient domain a second; 0: any number'),
    domain_limits: list(
      'domains with limits of their own, as example.org=2/10: at once / a second; 0: any number',
      /^[^\s=/]+=\d{1,6}\/\d{1,6}(\.\d{1,3})?$/,
      'a list such as example.org=2/10',
    ),
    dkim_domain: text('', 'domain that signs acknowledgements with DKIM', /^$|^[A-Za-z0-9][A-Za-z0-9.-]*$/, 'a domain'),
    dkim_selector: text('', 'DKIM selector', /^$|^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'a selector'),
    dkim_key: text('', 'PEM file with the private key, RSA or Ed25519; with it acknowledgements are signed'),
    dns_servers: list(
      'direct: name servers, as address or address:port; empty: the system’s',
      dnsServer,
      'a list of addresses',
    ),
    dns_timeout_ms: number(2_000, 50, 60_000, 'direct: the longest wait for one answer'),
    dns_seconds_min: number(60, 0, day, 'direct: how long an answer is fresh at least, whatever its TTL'),
    dns_seconds_max: number(3_600, 1, 7 * day, 'direct: how long an answer is fresh at most, whatever its TTL'),
    dns_stale_seconds: number(day, 0, 7 * day, 'direct: how long an old answer is used while there is no new one'),
    dns_none_seconds: number(60, 1, day, 'direct: how long it is known that a domain takes no mail'),
    dns_domains: number(10_000, 10, 1_000_000, 'direct: domains remembered'),
    unverified_per_minute: number(
      10,
      0,
      1_000_000,
      'mails a minute to whom no book vouches for, then a digest; 0: any',
    ),
    unverified_short: flag(true, 'whom no book vouches for gets no more bytes by mail than came, if that can be'),
    waiting_count: number(4_000, 1, 100_000, 'the most mails in memory: read ahead and being sent'),
    parse_bytes: number(262_144, 1_024, 1_048_576, 'how much of a mail is parsed for what its acknowledgement quotes'),
    parse_seconds: number(5, 1, 600, 'the longest a mail of several parts may take to parse before it is set aside'),
    send_seconds: number(60, 1, 3_600, 'the longest a relay may take for one acknowledgement'),
    retry_seconds: number(10, 1, day, 'pause before the second try; each further pause doubles'),
    retry_seconds_max: number(900, 1, day, 'the longest pause between tries'),
    give_up_seconds: number(5 * day, 0, 60 * day, 'age at which trying ends and the failure is recorded'),
  },
  templates: { dir: text('./templates', 'folder of the templates', /./, 'a folder') },
  serve: {
    rehearsal: flag(false, 'rehearse: says so everywhere, and has a spool of its own'),
    stop_seconds: number(20, 1, 600, 'how long stopping may take before what is left is killed'),
    restarts: number(20, 0, 10_000, 'restarts of a stage in ten minutes before the supervisor gives up'),
  },
  log: {
    level: choice('info', ['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'least level that is logged'),
    format: choice('auto', ['auto', 'json', 'pretty'], 'auto: readable on a terminal, JSON elsewhere'),
  },
} as const satisfies Record<string, Record<string, Key<unknown>>>;
