import assert from 'node:assert/strict';
import { Server } from 'node:net';
import { test } from 'node:test';
import { listenAt } from '../../src/lib/listen.ts';
import { ConfigError } from '../../src/model/errors.ts';

/** A server that the system does not let listen. */
class Refused extends Server {
  readonly #code: string;

  constructor(code: string) {
    super();
    this.#code = code;
  }

  override listen(): this {
    queueMicrotask(() => this.emit('error', Object.assign(new Error(`listen ${this.#code}`), { code: this.#code })));
    return this;
  }
}

test('a port that this user may not have, or another program has, is refused with what to do', async () => {
  const at = { host: '127.0.0.1', port: 25, section: 'smtp' };
  await assert.rejects(
    listenAt(new Refused('EACCES'), at),
    (error) => error instanceof ConfigError && /below 1024.*CAP_NET_BIND_SERVICE.*smtp\.port/.test(error.message),
  );
  await assert.rejects(
    listenAt(new Refused('EADDRINUSE'), at),
    (error) => !(error instanceof ConfigError) && /another program listens there/.test(String(error)),
  );
});
