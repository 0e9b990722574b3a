// The operations endpoint: takes GET requests, gives health and status. Reads only; owns its socket. An error in making an
// answer is a 500 in words, and never more than that.

import { createServer } from 'node:http';
import { messageOf } from '../model/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { listenAt } from '../lib/listen.ts';
import type { Stage } from '../ports/stage.ts';

/** What the endpoint answers with. */
export interface AdminParts {
  readonly host: string;
  readonly port: number;
  /** Whether all is well, and in what state. */
  readonly health: () => { readonly ok: boolean; readonly detail: unknown };
  readonly status: () => Promise<unknown>;
  readonly log: Logger;
}

/** Starts the endpoint: GET /health (200 or 503) and GET /status, both JSON. */
export async function startAdmin({ host, port, health, status, log }: AdminParts): Promise<Stage> {
  const answer = async (path: string | undefined): Promise<{ code: number; body: unknown }> => {
    if (path === '/health') {
      const { ok, detail } = health();
      return { code: ok ? 200 : 503, body: { ok, stages: detail } };
    }
    if (path === '/status') return { code: 200, body: await status() };
    return { code: 404, body: { error: 'Not here. Try /health or /status.' } };
  };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    const send = (code: number, body: unknown): void => {
      response.writeHead(code, { 'Content-Type': 'application/json; charset=utf-8' });
      response.end(`${JSON.stringify(body, null, 2)}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, { error: 'GET only.' });
    void answer(request.url?.split('?')[0]).then(
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
