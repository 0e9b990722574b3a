// The contract with the registry as one table: every operation, its fields in schema order, its faults, in words.
// The WSDL, the check of arguments, the order of the answers and the page at /soap are all made from it.
// A new operation is a row here and a method of the same name in the leaseService. Later fields go behind the ones that are here.

import {
  clientId,
  history,
  leaseToken,
  limits,
  parked,
  rates,
  reason,
  rehearsal,
  request,
  state,
  wanted,
} from './records.ts';
import type { Role } from '../access/client-accounts.ts';
import type { Field, Shape } from './schema.ts';

export const namespace = 'urn:seawall:registry:1';

interface Operation {
  /** One or two sentences for the WSDL and the page. */
  readonly help: string;
  readonly input: readonly Field[];
  readonly output: readonly Field[];
  /** Which roles may call it. */
  readonly roles: readonly Role[];
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
      rehearsal,
      { name: 'restoredAt', type: 'dateTime', optional: true, help: 'when this log went on from a copy, if it did' },
      {
        name: 'restoredAfter',
        type: 'unsignedLong',
        optional: true,
        help: 'the last request of that copy: what was fetched behind it before may be another request now',
      },
    ],
    roles: ['consumer', 'reader', 'operator'],
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
      rehearsal,
    ],
    roles: ['consumer'],
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
    roles: ['consumer'],
    faults: ['LEASE_LOST', 'OUT_OF_ORDER', 'BAD_ARGUMENT'],
  },
  Extend: {
    help: 'Gives a lease more time: leaseMs from now.',
    input: [leaseToken, { name: 'leaseMs', type: 'unsignedLong', least: 1, help: 'how long from now' }],
    output: [{ name: 'leaseExpires', type: 'dateTime', help: 'when it ends now' }],
    roles: ['consumer'],
    faults: ['LEASE_LOST', 'BAD_ARGUMENT'],
  },
  Release: {
    help: 'Gives the end of a batch back to its place in the queue, undone. What stands before fromSequence stays leased.',
    input: [
      leaseToken,
      { name: 'fromSequence', type: 'unsignedLong', least: 1, help: 'the first one to give back' },
      { name: 'delayMs', type: 'unsignedLong', optional: true, most: 86_400_000, help: 'how long not to deliver it' },
    ],
    output: [{ name: 'releasedCount', type: 'unsignedInt', help: 'how many went back; 0 when none was left' }],
    roles: ['consumer'],
    faults: ['LEASE_LOST', 'BAD_ARGUMENT'],
  },
  Park: {
    help: 'Sets one request of a batch aside: the only way past it without confirming it. Nothing is deleted.',
    input: [
      leaseToken,
      { name: 'sequence', type: 'unsignedLong', least: 1, help: 'which one' },
      { name: 'reasonCode', type: 'string', least: 1, most: 64, help: 'why, for programs' },
      { name: 'reasonText', type: 'string', most: 1_000, help: 'why, for people' },
    ],
    output: [{ name: 'parkId', type: 'string', help: 'the same when it was parked from this batch before' }],
    roles: ['consumer'],
    faults: ['LEASE_LOST', 'OUT_OF_ORDER', 'BAD_ARGUMENT'],
  },
  ListParked: {
    help: 'What is parked, in the order of the log. Changes nothing.',
    input: [
      {
        name: 'cursor',
        type: 'unsignedLong',
        optional: true,
        help: 'the last sequence that was seen; absent to begin',
      },
      wanted,
    ],
    output: [{ name: 'parked', type: parked, many: true, help: 'fewer than max: there are no more' }],
    roles: ['consumer', 'reader', 'operator'],
    faults: ['BAD_ARGUMENT'],
  },
  Unpark: {
    help: 'Puts a parked request back into the line, to its head or its tail.',
    input: [
      { name: 'sequence', type: 'unsignedLong', least: 1, help: 'which one' },
      { name: 'operator', type: 'string', least: 1, most: 128, help: 'who says so' },
      { name: 'place', type: 'string', optional: true, most: 4, help: 'head (as when absent) or tail' },
    ],
    output: [{ name: 'position', type: 'unsignedLong', help: 'how many stand before it' }],
    roles: ['operator'],
    faults: ['NOT_FOUND', 'BAD_ARGUMENT'],
  },
  Replay: {
    help: 'Reads the log again from a place, confirmed requests too. Leases nothing and moves nothing.',
    input: [
      { name: 'fromSequence', type: 'unsignedLong', optional: true, least: 1, example: true, help: 'either this …' },
      { name: 'fromTime', type: 'dateTime', optional: true, help: '… or this: the first one that came then or later' },
      wanted,
      { name: 'purpose', type: 'string', least: 1, most: 1_000, help: 'what for, for our log' },
    ],
    output: [{ name: 'request', type: request, many: true, help: 'deliveryCount is 0 once a request is confirmed' }],
    roles: ['reader', 'operator'],
    faults: ['RANGE', 'BAD_ARGUMENT', 'DAMAGED'],
  },
  GetRequest: {
    help: 'One request and where it is. By its digest it takes a search through the whole log. Changes nothing.',
    input: [
      { name: 'sequence', type: 'unsignedLong', optional: true, least: 1, example: true, help: 'one of these three' },
      { name: 'ticket', type: 'string', optional: true, most: 40, help: 'as the registrar was told' },
      { name: 'sha256', type: 'string', optional: true, most: 64, help: 'hexadecimal; the earliest with this digest' },
    ],
    output: [
      { name: 'request', type: request, help: 'deliveryCount is 0 once it is confirmed' },
      { name: 'history', type: history, help: 'what was done about it' },
    ],
    roles: ['reader', 'operator'],
    faults: ['NOT_FOUND', 'BAD_ARGUMENT', 'DAMAGED'],
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
    roles: ['consumer', 'reader', 'operator'],
    faults: ['DAMAGED'],
  },
  Pause: {
    help: 'Stops Fetch until Resume. What is leased may still be confirmed.',
    input: [reason],
    output: [state],
    roles: ['operator'],
    faults: ['BAD_ARGUMENT'],
  },
  Resume: {
    help: 'Ends a pause.',
    input: [reason],
    output: [state],
    roles: ['operator'],
    faults: ['BAD_ARGUMENT'],
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
export const faultCodes = {
  BAD_ARGUMENT: 'an argument is missing, unknown, given twice or out of its range',
  BAD_MESSAGE: 'what came is not a SOAP 1.1 message that we take',
  UNKNOWN_OPERATION: 'the body names no operation of this contract',
  VERSION_MISMATCH: 'the envelope is not SOAP 1.1',
  MUST_UNDERSTAND: 'a header that must be understood is not',
  TOO_LARGE: 'the message is larger than we take',
  NOT_ALLOWED: 'who calls is not known, or may not do this',
  LEASE_HELD: 'somebody else holds the lease; come back when it ends',
  LEASE_LOST: 'this token holds no lease any more; fetch again',
  OUT_OF_ORDER: 'that sequence lies outside of the lease',
  NOT_FOUND: 'there is no such request',
  RANGE: 'there is nothing at that place',
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
