// A small DNS server on loopback, speaking the real protocol over UDP (RFC 1035): MX, A and AAAA from a table that a test changes
// as it goes. Knows how to be silent and how to fail. Counts what it is asked.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

const types = { A: 1, MX: 15, AAAA: 28 } as const;
type Type = keyof typeof types;

/** What a name has. A name that is not in the table does not exist. */
export interface Zone {
  /** Preference and exchange; `.` is the root. */
  readonly MX?: readonly (readonly [number, string])[];
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly ttl?: number;
}

export class DnsServer {
  readonly zones: Record<string, Zone> = {};
  /** `MX example.org`, in the order of asking. */
  readonly asked: string[] = [];
  mode: 'answer' | 'silent' | 'fail' = 'answer';
  readonly #socket: Socket = createSocket('udp4');
  #waiting = new Set<() => void>();

  static async open(): Promise<DnsServer> {
    const server = new DnsServer();
    server.#socket.on('message', (query, from) => server.#answer(query, from));
    await new Promise<void>((resolve) => server.#socket.bind(0, '127.0.0.1', resolve));
    return server;
  }

  /** As `ack.dns_servers` takes it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** How often something was asked. */
  count(question: string): number {
    return this.asked.filter((each) => each === question).length;
  }

  /** Resolves when the condition holds; looked at after each question. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(query: Buffer, from: RemoteInfo): void {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const question = query.subarray(12, at + 5);
    const type = query.readUInt16BE(at + 1);
    const name = labels.join('.').toLowerCase();
    const typeName = (Object.keys(types) as Type[]).find((each) => types[each] === type);
    this.asked.push(`${typeName ?? type} ${name}`);
    if (this.mode !== 'silent') {
      const zone = this.zones[name];
      const answers = zone && typeName && this.mode === 'answer' ? recordsOf(zone, typeName) : [];
      const header = Buffer.alloc(12);
      query.copy(header, 0, 0, 2);
      // A response, recursion asked for and available; SERVFAIL is 2, NXDOMAIN 3.
      header.writeUInt16BE(0x8180 | (this.mode === 'fail' ? 2 : zone ? 0 : 3), 2);
      header.writeUInt16BE(1, 4);
      header.writeUInt16BE(answers.length, 6);
      this.#socket.send(Buffer.concat([header, question, ...answers]), from.port, from.address);
    }
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

function recordsOf(zone: Zone, type: Type): Buffer[] {
  const data = type === 'MX' ? (zone.MX ?? []).map(exchangeData) : (zone[type] ?? []).map(addressData);
  return data.map((bytes) => {
    // The name is a pointer to the question's.
    const head = Buffer.from([0xc0, 12, 0, types[type], 0, 1, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32BE(zone.ttl ?? 300, 6);
    head.writeUInt16BE(bytes.length, 10);
    return Buffer.concat([head, bytes]);
  });
}

function exchangeData([preference, exchange]: readonly [number, string]): Buffer {
  const labels = exchange.split('.').filter((label) => label !== '');
  const name = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([Buffer.from([preference >> 8, preference & 255]), ...name, Buffer.from([0])]);
}

function words(text: string): number[] {
  return text === '' ? [] : text.split(':').map((word) => parseInt(word, 16));
}

function addressData(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const [front, back] = [words(head), words(tail)];
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}
