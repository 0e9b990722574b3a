// The operations endpoint: takes GET requests, gives liveness, readiness, health and status as JSON. Reads only; owns its socket. An
// error in making an answer is a 500 in words, and never more than that.

import { createServer, type IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { namesUs } from '../lib/address-list.ts';
import { messageOf } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { listenAt } from '../lib/listen.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Stage } from '../ports/stage.ts';
import { worstOf } from './health.ts';
import type { StatusReport } from './status.ts';
import type { StageHealth } from './supervisor.ts';

/** What the endpoint answers with. */
export interface AdminParts {
  readonly host: string;
  readonly port: number;
  /** Names by which it may be asked, beside addresses, localhost and the machine's own. */
  readonly names: readonly string[];
  readonly stages: () => readonly StageHealth[];
  readonly status: () => Promise<StatusReport>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Monitoring asks often, and each report reads journals: for so long the last one will do. */
const freshMs = 1_000;

/**
 * Starts the endpoint: GET /livez (200 while the supervisor runs), /readyz (whether every stage works and mail is taken), /health
 * (whether all is well, check by check), each 200 or 503, and /status.
 */
export async function startAdmin({ host, port, names, stages, status, clock, log }: AdminParts): Promise<Stage> {
  let last: { readonly at: number; readonly report: Promise<StatusReport> } | undefined;
  const recent = (): Promise<StatusReport> => {
    const at = clock.elapsed();
    if (!last || at - last.at >= freshMs) last = { at, report: status() };
    return last.report;
  };
  const judged = async (ready: boolean): Promise<{ code: number; body: unknown }> => {
    const all = (await recent()).checks;
    const checks = ready ? all.filter(({ name }) => name === 'mail') : all;
    const level = worstOf(checks);
    const ok = level !== 'critical' && stages().every(({ state }) => state === 'working');
    return { code: ok ? 200 : 503, body: { ok, level: ok ? level : 'critical', stages: stages(), checks } };
  };
  const known = [hostname(), host, ...names].map((each) => each.toLowerCase());
  const answer = async ({ url, headers }: IncomingMessage): Promise<{ code: number; body: unknown }> => {
    const [path] = url?.split('?') ?? [];
    if (path === '/livez') return { code: 200, body: { ok: true } };
    // What we say is for whoever asks us, and not for a page in that one's browser.
    if (headers.origin !== undefined || !namesUs(headers.host, known))
      return {
        code: 403,
        body: {
          error: 'Ask by address or as localhost, or by a name in admin.names; not from a page of another origin.',
        },
      };
    if (path === '/readyz') return judged(true);
    if (path === '/health') return judged(false);
    if (path === '/status') return { code: 200, body: await status() };
    return { code: 404, body: { error: 'Not here. Try /health, /livez, /readyz or /status.' } };
  };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const send = (code: number, body: unknown): void => {
      response.writeHead(code, { 'Content-Type': 'application/json; charset=utf-8' });
      response.end(`${JSON.stringify(body, null, 2)}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, { error: 'GET only.' });
    void answer(request).then(
      ({ code, body }) => send(code, body),
      (error: unknown) => {
        log.error({ err: error }, 'an operations request failed');
        send(500, { error: messageOf(error) });
      },
    );
  });
  server.maxConnections = 100;
  const address = await listenAt(server, { host, port, section: 'admin' });
  return {
    address: { host: address.address, port: address.port },
    failed: new Promise((resolve) => {
      server.once('error', resolve);
    }),
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
