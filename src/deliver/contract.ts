// The contract with the registry as one table: every operation, its fields in schema order, its faults, in words.
// The WSDL, the check of arguments, the order of the answers and the page at /soap are all made from it.
// A new operation is a row here and a method of the same name in the desk. Later fields go behind the ones that are here.

import type { Field, RecordType, Shape } from './schema.ts';

export const namespace = 'urn:seawall:registry:1';

const clientId = {
  name: 'clientId',
  type: 'string',
  least: 1,
  most: 128,
  help: 'who asks: a name that this client keeps for good',
} as const satisfies Field;

const leaseToken = {
  name: 'leaseToken',
  type: 'string',
  least: 1,
  most: 256,
  help: 'the token that Fetch gave with the batch',
} as const satisfies Field;

const request = {
  record: 'Request',
  fields: [
    { name: 'sequence', type: 'unsignedLong', help: 'place in the one total order: 1, 2, 3 … without gaps' },
    { name: 'ticket', type: 'string', help: 'the name of that place that the registrar was given' },
    { name: 'receivedAt', type: 'dateTime', help: 'when the last byte was read, UTC' },
    { name: 'envelopeFrom', type: 'string', help: 'SMTP envelope sender; empty for the null sender' },
    { name: 'clientAddress', type: 'string', help: 'IP address of the sending mail server' },
    { name: 'registrar', type: 'string', optional: true, help: 'the registrar, where one was recognised' },
    { name: 'deliveryCount', type: 'unsignedInt', help: '1 at the first delivery; more when it was delivered before' },
    { name: 'size', type: 'unsignedLong', help: 'bytes of the message' },
    { name: 'sha256', type: 'string', help: 'SHA-256 of the message, lower-case hex' },
    { name: 'chain', type: 'string', help: 'hash that ties this record to every one before it, lower-case hex' },
    { name: 'message', type: 'base64Binary', help: 'the message, byte for byte as it was sent' },
  ],
} as const satisfies RecordType;

const limits = {
  record: 'Limits',
  fields: [
    { name: 'maxBatch', type: 'unsignedInt', help: 'the most requests that a Fetch gives' },
    { name: 'maxBytes', type: 'unsignedLong', help: 'the most message bytes that a Fetch gives' },
    { name: 'maxLeaseMs', type: 'unsignedLong', help: 'the longest lease' },
    { name: 'maxWaitMs', type: 'unsignedLong', help: 'the longest that a Fetch waits' },
  ],
} as const satisfies RecordType;

const rates = {
  record: 'Rates',
  fields: [
    { name: 'receivedPerSecond', type: 'double', help: 'requests that came in, over the last minute' },
    { name: 'confirmedPerSecond', type: 'double', help: 'requests that were confirmed, over the last minute' },
  ],
} as const satisfies RecordType;

interface Operation {
  /** One or two sentences for the WSDL and the page. */
  readonly help: string;
  readonly input: readonly Field[];
  readonly output: readonly Field[];
  /** Codes that this operation may answer beside those that every one may. */
  readonly faults: readonly FaultCode[];
}

const operations = {
  Hello: {
    help: 'Who is there, and what the limits are. Changes nothing.',
    input: [clientId],
    output: [
      { name: 'serverVersion', type: 'string', help: 'version of Seawall' },
      { name: 'logId', type: 'string', optional: true, help: 'which log this is; absent before its first writer' },
      { name: 'epoch', type: 'string', help: 'changes with each start and after a restore; tokens begin with it' },
      { name: 'serverTime', type: 'dateTime', help: 'our clock, UTC' },
      { name: 'limits', type: limits, help: 'what a Fetch may ask for' },
    ],
    faults: [],
  },
  Fetch: {
    help: 'Leases the next requests, first in first out. The same attemptId gives the same batch again while its lease lives.',
    input: [
      clientId,
      {
        name: 'attemptId',
        type: 'string',
        least: 1,
        most: 128,
        help: 'new for each batch, the same when a reply was lost',
      },
      {
        name: 'max',
        type: 'unsignedInt',
        least: 1,
        help: 'the most requests to give; more than the limit is the limit',
      },
      {
        name: 'maxBytes',
        type: 'unsignedLong',
        optional: true,
        least: 1,
        help: 'the most message bytes; one always fits',
      },
      { name: 'waitMs', type: 'unsignedLong', optional: true, help: 'how long to wait when nothing is ready' },
      { name: 'leaseMs', type: 'unsignedLong', optional: true, least: 1, help: 'how long the lease is to last' },
    ],
    output: [
      { name: 'batchId', type: 'string', optional: true, help: 'name of the batch; absent when it is empty' },
      { name: 'leaseToken', type: 'string', optional: true, help: 'for Confirm; absent when the batch is empty' },
      { name: 'leaseExpires', type: 'dateTime', optional: true, help: 'absent when the batch is empty' },
      { name: 'request', type: request, many: true, help: 'the batch, in order' },
      { name: 'ready', type: 'unsignedLong', help: 'how many more are ready behind this batch' },
      { name: 'oldestReceivedAt', type: 'dateTime', optional: true, help: 'when the first of the batch came' },
    ],
    faults: ['LEASE_HELD', 'PAUSED', 'BAD_ARGUMENT', 'DAMAGED'],
  },
  Confirm: {
    help: 'Settles the batch up to and including a sequence. Confirming again succeeds and says so.',
    input: [
      leaseToken,
      { name: 'throughSequence', type: 'unsignedLong', least: 1, help: 'the last one that is done' },
      { name: 'outcome', type: 'string', optional: true, most: 1_000, help: 'a remark for our log' },
    ],
    output: [
      { name: 'confirmedThrough', type: 'unsignedLong', help: 'every request up to here is confirmed or parked' },
      { name: 'remaining', type: 'unsignedInt', help: 'how many this lease still holds; at 0 it has ended' },
      { name: 'alreadyConfirmed', type: 'boolean', help: 'true when nothing was left to confirm' },
    ],
    faults: ['LEASE_LOST', 'OUT_OF_ORDER', 'BAD_ARGUMENT'],
  },
  Status: {
    help: 'Counts and rates. Changes nothing.',
    input: [],
    output: [
      { name: 'ready', type: 'unsignedLong', help: 'waiting to be fetched' },
      { name: 'leased', type: 'unsignedLong', help: 'fetched and not yet confirmed' },
      { name: 'parked', type: 'unsignedLong', help: 'set aside' },
      { name: 'confirmed', type: 'unsignedLong', help: 'done' },
      { name: 'acksPending', type: 'unsignedLong', help: 'acknowledgements that have not been sent yet' },
      { name: 'oldestAge', type: 'double', optional: true, help: 'seconds that the oldest unconfirmed one has waited' },
      { name: 'rates', type: rates, help: 'how fast it goes' },
    ],
    faults: ['DAMAGED'],
  },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof operations;
export type Input<Name extends OperationName> = Shape<(typeof operations)[Name]['input']>;
export type Output<Name extends OperationName> = Shape<(typeof operations)[Name]['output']>;

export const operationNames = Object.keys(operations) as readonly OperationName[];

/** The row of an operation in its general form. */
export function operationOf(name: OperationName): Operation {
  return operations[name];
}

/** Every code that a Fault may carry, and what it means to a client. */
const faultCodes = {
  BAD_ARGUMENT: 'an argument is missing, unknown, given twice or out of its range',
  BAD_MESSAGE: 'what came is not a SOAP 1.1 message that we take',
  UNKNOWN_OPERATION: 'the body names no operation of this contract',
  VERSION_MISMATCH: 'the envelope is not SOAP 1.1',
  MUST_UNDERSTAND: 'a header that must be understood is not',
  TOO_LARGE: 'the message is larger than we take',
  LEASE_HELD: 'somebody else holds the lease; come back when it ends',
  LEASE_LOST: 'this token holds no lease any more; fetch again',
  OUT_OF_ORDER: 'that sequence lies outside of the lease',
  PAUSED: 'an operator has paused the delivery',
  DAMAGED: 'a kept record is damaged; nothing goes on until a person has looked',
  BUSY: 'too much at once; try again in a moment',
  UNAVAILABLE: 'the service is stopping or cannot write; try again later',
  INTERNAL: 'an error of ours',
} as const;

export type FaultCode = keyof typeof faultCodes;

/** The one typed detail of every Fault. */
export const queueFault = [
  { name: 'code', type: 'string', help: `one of ${Object.keys(faultCodes).join(', ')}` },
  { name: 'message', type: 'string', help: 'the same in a sentence' },
  { name: 'leaseExpires', type: 'dateTime', optional: true, help: 'with LEASE_HELD: when that lease ends' },
  { name: 'confirmedThrough', type: 'unsignedLong', optional: true, help: 'with LEASE_LOST and OUT_OF_ORDER' },
] as const satisfies readonly Field[];

export type QueueFaultDetail = Shape<typeof queueFault>;
