// Requests for the simulation: of many sizes, with lines that look like the beginning of a record.

import type { NewRequest } from '../../../src/model/request.ts';
import type { Random } from './random.ts';

const lines = [
  'From somebody Thu Jan  1 00:00:00 1970',
  '>From quoted',
  'Seawall-Sequence: 1',
  '',
  '.',
  'domain: example.test',
  '\x00\xff\xfe',
  'x'.repeat(300),
];

export function randomRequest(random: Random): NewRequest {
  const body = Array.from({ length: random.below(random.chance(0.1) ? 40 : 6) }, () => random.pick(lines));
  const text = ['Subject: request', '', ...body].join('\r\n') + random.pick(['', '\r\n', '\r\n', '\r\n']);
  return {
    id: random.bytes(8).toString('hex'),
    receivedAt: Date.UTC(2026, 10, 21, 9, 0, 0) + random.below(1_000_000),
    envelope: { from: random.pick(['ops@registrar.example', '']), to: ['domain@registry.example'] },
    client: { address: '192.0.2.7', port: 4711, helo: 'mail.registrar.example', protocol: 'ESMTP', session: 's1' },
    message: Buffer.from(random.chance(0.03) ? '' : text, 'latin1'),
  };
}
