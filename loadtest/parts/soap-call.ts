// The registry's calls, as text over one kept connection: cheap, so that what is measured is the server. Takes an operation
// and its arguments as XML, gives the answer's text; a Fault is a SoapFault with its code. Clients of the registry use the
// WSDL; that real ones understand us is tried elsewhere.

import { Agent, request as httpRequest } from 'node:http';

export class SoapFault extends Error {
  override readonly name = 'SoapFault';
  /** Such as LEASE_HELD; empty when the answer is no Fault of ours. */
  readonly code: string;
  readonly leaseExpires: number | undefined;

  constructor(operation: string, text: string) {
    const code = inside(text, 'code') ?? '';
    super(
      `${operation} was answered with ${code === '' ? text.slice(0, 300) : `${code}: ${inside(text, 'message') ?? ''}`}`,
    );
    this.code = code;
    const expires = inside(text, 'leaseExpires');
    this.leaseExpires = expires === undefined ? undefined : Date.parse(expires);
  }
}

/** The text of the first element of that name at or after a place. */
export function inside(text: string, name: string, from = 0): string | undefined {
  const begin = text.indexOf(`<${name}>`, from);
  if (begin === -1) return undefined;
  const end = text.indexOf('<', begin + name.length + 2);
  return end === -1 ? undefined : text.slice(begin + name.length + 2, end);
}

export class SoapCaller {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.#port = port;
  }

  /** @throws SoapFault, or the error of the connection */
  call(operation: string, inner: string): Promise<string> {
    const body =
      '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>' +
      `<${operation} xmlns="urn:seawall:registry:1">${inner}</${operation}></s:Body></s:Envelope>`;
    const headers = { 'content-type': 'text/xml; charset=utf-8', 'content-length': Buffer.byteLength(body) };
    const to = { host: '127.0.0.1', port: this.#port, path: '/soap', method: 'POST', agent: this.#agent, headers };
    return new Promise((resolve, reject) => {
      const sent = httpRequest(to, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('latin1');
          if (response.statusCode === 200) resolve(text);
          else reject(new SoapFault(operation, text));
        });
      });
      sent.setTimeout(90_000, () => sent.destroy(new Error(`${operation} had no answer for 90 seconds`)));
      sent.on('error', reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
