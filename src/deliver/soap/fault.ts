// What is refused, and how a client is told: SOAP 1.1 Faults (section 4.4) with the one typed detail.
// Takes an error, gives the Fault and its HTTP status; what is not a QueueError never shows more than that it happened.

import { type FaultCode, namespace, type QueueFaultDetail, queueFault } from './contract.ts';
import { escapeXml, writeFields } from './xml-write.ts';

export const soapNamespace = 'http://schemas.xmlsoap.org/soap/envelope/';

const classes: Partial<Record<FaultCode, string>> = {
  VERSION_MISMATCH: 'VersionMismatch',
  MUST_UNDERSTAND: 'MustUnderstand',
  PAUSED: 'Server',
  DAMAGED: 'Server',
  BUSY: 'Server',
  UNAVAILABLE: 'Server',
  INTERNAL: 'Server',
};

/** A refusal that the caller is told about. */
export class QueueError extends Error {
  override readonly name = 'QueueError';
  readonly code: FaultCode;
  readonly detail: Omit<QueueFaultDetail, 'code' | 'message'>;
  /** 500 for every Fault (SOAP 1.1 section 6.2), except where HTTP itself refused. */
  readonly status: number;

  constructor(
    code: FaultCode,
    message: string,
    detail: Omit<QueueFaultDetail, 'code' | 'message'> = {},
    status: number = 500,
  ) {
    super(message);
    this.code = code;
    this.detail = detail;
    this.status = status;
  }
}

/** An envelope with the Fault for a refusal. */
export function faultEnvelope(error: QueueError): string {
  const detail: QueueFaultDetail = { code: error.code, message: error.message, ...error.detail };
  return (
    `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="${soapNamespace}"><soap:Body><soap:Fault>` +
    `<faultcode>soap:${classes[error.code] ?? 'Client'}</faultcode>` +
    `<faultstring>${escapeXml(`${error.code}: ${error.message}`)}</faultstring>` +
    `<detail><QueueFault xmlns="${namespace}">${writeFields(queueFault, detail)}</QueueFault></detail>` +
    '</soap:Fault></soap:Body></soap:Envelope>'
  );
}
