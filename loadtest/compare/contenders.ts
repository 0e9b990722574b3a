// Who is measured: Seawall in its forms, Postfix in its forms, smtp-server alone. Each is private: a free port on loopback, a
// temporary folder, ended and removed by `stop`. Takes how it is to be set up, gives a port.

import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDaemon } from '../daemon.ts';
import { Registry } from '../parts/registry-run.ts';
import { noFailures, Sink } from '../parts/sink-server.ts';
import { startPostfix } from '../postfix.ts';
import type { Certificate } from './certificate.ts';

export interface Contender {
  readonly name: string;
  readonly port: number;
  /** Resolves when all that was accepted so far has gone its whole way. */
  readonly through: (accepted: number) => Promise<void>;
  /** Makes it ready for the next measurement. */
  readonly settle: () => Promise<void>;
  readonly stop: () => Promise<unknown>;
}

/** Somebody who is not there, and why: said wherever the figures are. */
export interface NotMeasured {
  readonly name: string;
  readonly why: string;
}

/** The longest to wait for what was accepted to go its way. */
const throughMs = 300_000;

const nothing = async (): Promise<void> => undefined;

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + throughMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`after ${throughMs / 1000} s still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const tlsSettings = (certificate: Certificate | undefined): Record<string, string> =>
  certificate ? { SEAWALL_SMTP_TLS_CERTIFICATE: certificate.certificate, SEAWALL_SMTP_TLS_KEY: certificate.key } : {};

/** The intake alone. */
export async function seawallIntake(name: string, certificate?: Certificate): Promise<Contender> {
  const settings = { SEAWALL_SMTP_RECIPIENTS: 'domain@registry.example', ...tlsSettings(certificate) };
  const daemon = await startDaemon('intake', settings);
  return { name, port: daemon.smtpPort, through: nothing, settle: nothing, stop: () => daemon.stop() };
}

/** The senders whom both sides of the comparison know, by domain. Nobody who sends is among them. */
const knownDomains = ['registres.example', 'tag.example', 'names.example'];

/** The intake alone, with a registrar book that does not know who sends. */
export async function seawallWithBook(name: string): Promise<Contender> {
  const folder = await mkdtemp(join(tmpdir(), 'seawall-book-'));
  const file = join(folder, 'registrars.toml');
  const tables = knownDomains.map(
    (domain, i) =>
      `[[registrar]]\nid = "r${i}"\nname = "${domain}"\nnetworks = ["192.0.2.${i}"]\nsenders = ["@${domain}"]\n`,
  );
  await writeFile(file, tables.join('\n'));
  const settings = { SEAWALL_REGISTRARS_FILE: file, SEAWALL_SMTP_SESSION_REFUSALS: '1000000' };
  const daemon = await startDaemon('intake', settings);
  const stop = async (): Promise<void> => {
    await daemon.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { name, port: daemon.smtpPort, through: nothing, settle: nothing, stop };
}

/** All stages, with a sink that takes the acknowledgements and a registry that pulls and confirms at full speed. */
export async function seawallWhole(name: string): Promise<Contender> {
  const sink = new Sink(noFailures, () => undefined);
  const sinkPort = await sink.listen(0);
  const daemon = await startDaemon(undefined, { SEAWALL_ACK_RELAYS: `smtp://127.0.0.1:${sinkPort}` });
  const manners = { workers: 1, batch: 100, pace: Infinity, crashes: 0, pauseEvery: 0, pauseFor: 0, leaseMs: 60_000 };
  const registry = new Registry({ ...manners, port: daemon.soapPort }, () => undefined);
  let failed: unknown;
  const pulling = registry.run().catch((error: unknown) => (failed = error));
  let accepted = 0;
  const gone = (): boolean => {
    if (failed !== undefined) throw failed as Error;
    return sink.taken >= accepted && registry.confirmed >= accepted;
  };
  return {
    name,
    port: daemon.smtpPort,
    through: (count) => {
      accepted += count;
      return until(`${accepted} acknowledged (${sink.taken}) and confirmed (${registry.confirmed})`, gone);
    },
    settle: nothing,
    stop: async () => {
      registry.stop();
      await pulling;
      await daemon.stop();
      await sink.close();
    },
  };
}

const patient = {
  // Postfix slows down whoever errs: what is compared is the work, not the punishment.
  smtpd_error_sleep_time: '0',
  smtpd_hard_error_limit: '10000000',
  smtpd_soft_error_limit: '10000000',
};

/** Postfix that writes and syncs a queue file for each mail, and does no more. */
export async function postfixHold(name: string, certificate?: Certificate): Promise<Contender> {
  const postfix = await startPostfix({
    ...patient,
    smtpd_end_of_data_restrictions: 'check_client_access static:HOLD',
    ...(certificate && {
      smtpd_tls_security_level: 'may',
      smtpd_tls_cert_file: certificate.certificate,
      smtpd_tls_key_file: certificate.key,
    }),
  });
  return { name, port: postfix.port, through: nothing, settle: () => postfix.empty(), stop: () => postfix.stop() };
}

/** Postfix that knows senders by network and domain as Seawall's book does, and refuses all others at MAIL. */
export async function postfixRefusing(name: string): Promise<Contender> {
  const networks = knownDomains.map((_, i) => `192.0.2.${i}=OK`);
  const domains = knownDomains.map((domain) => `${domain}=OK`);
  const known = `check_client_access inline:{${networks.join(', ')}}, check_sender_access inline:{${domains.join(', ')}}`;
  const postfix = await startPostfix({
    ...patient,
    mynetworks: '192.0.2.1/32',
    // At MAIL, as Seawall does, and not held back until RCPT.
    smtpd_delay_reject: 'no',
    smtpd_client_connection_count_limit: '0',
    smtpd_sender_restrictions: `${known}, reject`,
    smtpd_relay_restrictions: '',
    smtpd_recipient_restrictions: 'reject',
  });
  return { name, port: postfix.port, through: nothing, settle: nothing, stop: () => postfix.stop() };
}

/** Postfix that relays each mail to a sink like Seawall's. */
export async function postfixRelay(name: string): Promise<Contender> {
  const sink = new Sink(noFailures, () => undefined);
  const sinkPort = await sink.listen(0);
  const postfix = await startPostfix({ ...patient, relayhost: `[127.0.0.1]:${sinkPort}`, smtp_host_lookup: 'native' });
  let accepted = 0;
  return {
    name,
    port: postfix.port,
    through: (count) => {
      accepted += count;
      return until(`${accepted} relayed (${sink.taken})`, () => sink.taken >= accepted);
    },
    settle: nothing,
    stop: async () => {
      await postfix.stop();
      await sink.close();
    },
  };
}

/** smtp-server by itself. */
export async function smtpServerAlone(name: string): Promise<Contender> {
  const child = fork(join(import.meta.dirname, 'discard.ts'), [], { execArgv: process.execArgv });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number));
    child.once('exit', (code) => reject(new Error(`smtp-server alone ended with ${code}`)));
  });
  const stop = async (): Promise<void> => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  };
  return { name, port, through: nothing, settle: nothing, stop };
}
