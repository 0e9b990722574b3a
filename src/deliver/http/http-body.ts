// The bytes of an HTTP request become text. Takes the stream and its headers, gives the decoded text; throws QueueError
// with the HTTP status that fits. Holds no more than the cap in memory, before and after gunzip.

import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { QueueError } from '../soap/fault.ts';

const unzip = promisify(gunzip);
/** XML is packed to about a tenth; what unpacks to more than so many times its size is meant to cost us. */
const ratioMax = 20;
/** … but so much is little, whatever it was. */
const smallBytes = 65_536;

const tooLarge = (cap: number): QueueError =>
  new QueueError('TOO_LARGE', `The message is larger than ${cap} bytes.`, {}, 413);

function readAll(request: IncomingMessage, cap: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    if (Number(request.headers['content-length'] ?? 0) > cap) return reject(tooLarge(cap));
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= cap) chunks.push(chunk);
      else {
        // What still comes is read and dropped, so that the answer is not lost in a reset.
        request.removeAllListeners('data');
        request.resume();
        reject(tooLarge(cap));
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('close', () => reject(new QueueError('BAD_MESSAGE', 'The message was cut off.', {}, 400)));
    request.on('error', () => reject(new QueueError('BAD_MESSAGE', 'The message was cut off.', {}, 400)));
  });
}

async function decompress(body: Buffer, encoding: string, cap: number): Promise<Buffer> {
  if (encoding === '' || encoding === 'identity') return body;
  if (encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw new QueueError('BAD_MESSAGE', 'Content-Encoding must be gzip or identity.', {}, 415);
  }
  const most = Math.min(cap, Math.max(smallBytes, ratioMax * body.length));
  try {
    return await unzip(body, { maxOutputLength: most });
  } catch (error) {
    if (error instanceof RangeError && most < cap) {
      const words = `The message unpacks to more than ${ratioMax} times its size; send it without Content-Encoding.`;
      throw new QueueError('TOO_LARGE', words, {}, 413);
    }
    if (error instanceof RangeError) throw tooLarge(cap);
    throw new QueueError('BAD_MESSAGE', 'The gzip data is broken.', {}, 400);
  }
}

/** XML 1.0 appendix F: a byte order mark, then the transport, then the first bytes, then UTF-8. */
function encodingOf(body: Buffer, charset: string | undefined): string {
  if (body[0] === 0xfe && body[1] === 0xff) return 'utf-16be';
  if (body[0] === 0xff && body[1] === 0xfe) return 'utf-16le';
  if (body[0] === 0 && body[1] === 0x3c) return 'utf-16be';
  if (body[0] === 0x3c && body[1] === 0) return 'utf-16le';
  const declared = /^\s{0,20}<\?xml[^>]{0,80}?encoding\s*=\s*["']([\w.:-]{1,40})["']/.exec(
    body.toString('latin1', 0, 140),
  )?.[1];
  const said = (charset ?? declared ?? 'utf-8').toLowerCase();
  // Whoever writes XML into a string and sends that as UTF-8 leaves a declaration that is not true; two bytes a character look otherwise.
  return said.startsWith('utf-16') ? 'utf-8' : said;
}

const encodings = ['utf-8', 'utf8', 'us-ascii', 'iso-8859-1', 'windows-1252', 'utf-16', 'utf-16le', 'utf-16be'];

function decode(body: Buffer, charset: string | undefined): string {
  const encoding = encodingOf(body, charset);
  if (!encodings.includes(encoding)) {
    throw new QueueError('BAD_MESSAGE', `The encoding ${encoding} is not taken; use UTF-8 or UTF-16.`, {}, 415);
  }
  try {
    return new TextDecoder(encoding === 'us-ascii' ? 'utf-8' : encoding, { fatal: true }).decode(body);
  } catch {
    throw new QueueError('BAD_MESSAGE', `The message is not valid ${encoding}.`);
  }
}

/**
 * The text of a SOAP message.
 * @param cap the most bytes, as they come and when unpacked
 * @throws QueueError TOO_LARGE or BAD_MESSAGE
 */
export async function readMessage(request: IncomingMessage, cap: number): Promise<string> {
  const type = (request.headers['content-type'] ?? '').toLowerCase();
  if (type !== '' && !/^(text|application)\/(soap\+)?xml\s*(;|$)/.test(type)) {
    throw new QueueError('BAD_MESSAGE', 'Content-Type must be text/xml.', {}, 415);
  }
  const charset = /;\s*charset\s*=\s*["']?([\w.:-]{1,40})/.exec(type)?.[1];
  const packed = await readAll(request, cap);
  const encoding = (request.headers['content-encoding'] ?? '').trim().toLowerCase();
  return decode(await decompress(packed, encoding, cap), charset);
}
