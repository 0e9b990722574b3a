// The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): whom a proxy in front is connected with. Pure: takes the
// first bytes of a connection; gives the client's address and how long the header is, or says that it is none.

import { plainAddress } from '../../lib/address-list.ts';

/** Who the proxy speaks for. */
interface Source {
  readonly address: string;
  readonly port: number;
}

/** A whole header. Without a source the proxy speaks for itself: LOCAL, UNKNOWN, a client without an IP address. */
interface ProxyHeader {
  readonly length: number;
  readonly source?: Source;
}

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const word = Buffer.from('PROXY ', 'latin1');
/** The longest line of version 1, CRLF included. */
const longestLine = 107;
/** The longest that version 2 may go on after its first 16 bytes: addresses and whatever else the proxy tells. */
const longestRest = 4_096;

const startsAlike = (bytes: Buffer, start: Buffer): boolean => {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
};

function parseLine(bytes: Buffer): ProxyHeader | 'incomplete' | 'malformed' {
  const end = bytes.subarray(0, longestLine).indexOf('\r\n', 0, 'latin1');
  if (end === -1) return bytes.length < longestLine ? 'incomplete' : 'malformed';
  const length = end + 2;
  const line = bytes.toString('latin1', 0, end);
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return { length };
  const fields = /^PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5})$/.exec(line);
  const [, family = '', from = '', to = '', port = '', toPort = ''] = fields ?? [];
  const address = plainAddress(from);
  const fits = [from, to].every((each) => plainAddress(each) !== undefined && each.includes(':') === (family === '6'));
  if (address === undefined || !fits || Number(port) > 65_535 || Number(toPort) > 65_535) return 'malformed';
  return { length, source: { address, port: Number(port) } };
}

function parseBinary(bytes: Buffer): ProxyHeader | 'incomplete' | 'malformed' {
  if (bytes.length < 16) return 'incomplete';
  const [command, family, rest] = [bytes.readUInt8(12), bytes.readUInt8(13), bytes.readUInt16BE(14)];
  if ((command !== 0x20 && command !== 0x21) || rest > longestRest) return 'malformed';
  const length = 16 + rest;
  if (bytes.length < length) return 'incomplete';
  // LOCAL: the proxy itself, looking whether we live. UNSPEC and Unix sockets have no IP address.
  if (command === 0x20 || family === 0x00 || family === 0x31) return { length };
  if (family === 0x11 && rest >= 12) {
    return { length, source: { address: bytes.subarray(16, 20).join('.'), port: bytes.readUInt16BE(24) } };
  }
  if (family !== 0x21 || rest < 36) return 'malformed';
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(16 + 2 * at).toString(16));
  const address = plainAddress(groups.join(':'));
  return address === undefined ? 'malformed' : { length, source: { address, port: bytes.readUInt16BE(48) } };
}

/** Looks at the first bytes of a connection, of which there may be more to come. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | 'incomplete' | 'malformed' {
  const version1 = startsAlike(bytes, word);
  if (!version1 && !startsAlike(bytes, signature)) return 'malformed';
  if (version1) return bytes.length === 0 ? 'incomplete' : parseLine(bytes);
  return parseBinary(bytes);
}
