// Sends each mail to the mail servers of its recipient's domain, without a relay. Takes finished mails, gives what became of
// each; a domain whose servers are in trouble is left alone for growing pauses, and its mails are put off meanwhile, so
// it is no transport that is ever `unreachable`. Never rejects. Owns the DNS cache and, for each domain in use, its sessions
// and its health. Bounded: connections by `parallel`, domains remembered by `domains`.

import type { Logger } from '../../lib/logger.ts';
import type { Network } from '../../ports/runtime.ts';
import type { Transport, Outcome } from './transport.ts';
import { DnsCache } from './dns-cache.ts';
import { domainOf } from '../compose/recipient.ts';
import { type DnsTimes, mxLookup, type Exchanges, inOrder, isInside } from './mx-lookup.ts';
import { FailOver } from './fail-over.ts';
import { SmtpPool } from './smtp-pool.ts';
import type { SmtpOptions } from './smtp-relay.ts';
import { type Peer, SmtpSession, SmtpTrouble } from './smtp-session.ts';

/** Addresses that are tried for one mail, over all exchanges. */
const addressesMax = 5;

interface Domain {
  readonly pool: SmtpPool;
  readonly relays: FailOver;
}

/** A transport that can be told what is coming. */
export interface MxTransport extends Transport {
  /** Looks the domain of an address up before it is needed. */
  expect(address: string): void;
}

/** The transport straight to the recipients' servers. */
export function mxTransport(
  options: SmtpOptions & {
    log: Logger;
    /** Sends at once to servers that answer, and connections kept, over all domains. */
    parallel: number;
    /** How many domains are remembered. */
    domains: number;
    port: number;
    /** Whether loopback, private and our own addresses may be sent to. */
    inside: boolean;
    pause: { firstMs: number; maxMs: number };
    /** Called when a domain goes down or is back. */
    changed: () => void;
    network: Network;
    dnsServers: readonly string[];
    dnsTimes: DnsTimes;
    random: () => number;
  },
): MxTransport {
  const { clock, log, parallel, sendMs, idleMs, pause, changed } = options;
  const lookup = mxLookup(options.network, options.dnsServers, options.dnsTimes);
  const cache = new DnsCache<Exchanges>({ clock, lookup, most: options.domains });
  /** The longest unused first. */
  const domains = new Map<string, Domain>();
  let closed = false;

  function peersOf(found: Exchanges): Peer[] {
    if (found.kind === 'none') throw new SmtpTrouble('refused', 0, found.text);
    const ordered = inOrder(found.exchanges, options.name.toLowerCase(), options.random);
    const peers = ordered.flatMap(({ name: servername, addresses }) =>
      addresses
        .filter((address) => options.inside || !isInside(address, options.network))
        .map((host): Peer => {
          const { port, name, connectMs } = options;
          return { host, servername, port, name, connectMs, silentMs: sendMs, secure: false, verified: false };
        }),
    );
    if (peers.length === 0) {
      throw new SmtpTrouble(
        'unreachable',
        0,
        'the mail servers of the domain are this machine, or on a private network',
      );
    }
    return peers.slice(0, addressesMax);
  }

  /** A session with the first server that takes us. */
  async function open(
    domain: string,
    signal: AbortSignal,
    ended: (session: SmtpSession) => void,
  ): Promise<SmtpSession> {
    const found = await cache.get(domain).catch((error: unknown) => {
      throw new SmtpTrouble('unreachable', 0, `DNS: ${error instanceof Error ? error.message : 'no answer'}`);
    });
    let last: unknown;
    for (const peer of peersOf(found)) {
      try {
        return await SmtpSession.open(peer, signal, ended);
      } catch (error) {
        if (signal.aborted) throw error;
        last = error;
      }
    }
    throw last;
  }

  function domainFor(name: string): Domain {
    let domain = domains.get(name);
    if (!domain) {
      const pool = new SmtpPool({ name, open: (signal, ended) => open(name, signal, ended), clock, sendMs, idleMs });
      const transport: Transport = { name, parallel, send: (mail) => pool.send(mail), close: () => pool.close() };
      domain = { pool, relays: new FailOver({ transports: [transport], clock, log, pause, changed }) };
    }
    domains.delete(name);
    domains.set(name, domain);
    return domain;
  }

  /** Keeps what is kept within its bounds: connections without work, then domains without connections. */
  function tidy(): void {
    let kept = 0;
    for (const { pool } of domains.values()) kept += pool.idle;
    for (const [name, { pool, relays }] of domains) {
      for (; kept > parallel && pool.idle > 0; kept--) pool.closeOldest();
      const unused = pool.idle === 0 && pool.busy === 0;
      if (unused && (relays.well || domains.size > options.domains)) {
        relays.close();
        domains.delete(name);
      }
    }
  }

  return {
    name: 'mx',
    parallel,
    async send(mail): Promise<Outcome> {
      if (closed) return { kind: 'unreachable', code: 0, text: 'cut off by the stop', transport: 'mx' };
      const name = domainOf(mail.to);
      if (name === '' || name.startsWith('[')) {
        return { kind: 'refused', code: 0, text: 'the address has no domain that DNS could know', transport: 'mx' };
      }
      const outcome = await domainFor(name).relays.send(mail);
      tidy();
      if (closed) return { kind: 'unreachable', code: 0, text: 'cut off by the stop', transport: 'mx' };
      if (!outcome)
        return { kind: 'later', code: 0, text: 'its mail servers could not be reached just now', transport: name };
      return outcome.kind === 'unreachable' || outcome.kind === 'dropped' ? { ...outcome, kind: 'later' } : outcome;
    },
    troubles: () => [...domains.values()].flatMap(({ relays }) => relays.troubles),
    isResting: (name) => domains.get(name)?.relays.resting ?? false,
    tryNow() {
      for (const { relays } of domains.values()) relays.tryNow();
    },
    expect(address) {
      const name = domainOf(address);
      if (name !== '' && !name.startsWith('[')) cache.expect(name);
    },
    close() {
      closed = true;
      for (const { relays } of domains.values()) relays.close();
      domains.clear();
    },
  };
}
