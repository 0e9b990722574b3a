// The fields and types of the contract that more than one operation has. Later fields go behind the ones that are here.

import type { Field, RecordType } from './schema.ts';

export const clientId = {
  name: 'clientId',
  type: 'string',
  least: 1,
  most: 128,
  help: 'who asks: a name that this client keeps for good',
} as const satisfies Field;

export const leaseToken = {
  name: 'leaseToken',
  type: 'string',
  least: 1,
  most: 256,
  help: 'the token that Fetch gave with the batch',
} as const satisfies Field;

export const request = {
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
    { name: 'names', type: 'string', many: true, help: 'domain names that were read in the message, as A-labels' },
    {
      name: 'operation',
      type: 'string',
      optional: true,
      help: 'what it asks for, where all its requests ask the same',
    },
    { name: 'registrarReference', type: 'string', optional: true, help: 'the first reference of the registrar in it' },
    { name: 'phase', type: 'string', optional: true, help: 'phase of the opening in which it came; yours to judge' },
    { name: 'early', type: 'boolean', optional: true, help: 'true when it came before the opening' },
    { name: 'late', type: 'boolean', optional: true, help: 'true when it ended after the closing time' },
    { name: 'rehearsal', type: 'boolean', optional: true, help: 'true when it counts for nothing' },
    {
      name: 'partlyRead',
      type: 'boolean',
      optional: true,
      help: 'true when only the beginning of the mail was read: it may ask for more than names, operation and reference say',
    },
    {
      name: 'knownBy',
      type: 'string',
      optional: true,
      help: 'by what the registrar was known: certificate, auth, network or envelope (the sender, which can be forged)',
    },
    { name: 'unverified', type: 'boolean', optional: true, help: 'true when no registrar of the book was recognised' },
  ],
} as const satisfies RecordType;

export const rehearsal = {
  name: 'rehearsal',
  type: 'boolean',
  optional: true,
  help: 'true in a rehearsal: nothing of it counts',
} as const satisfies Field;

export const limits = {
  record: 'Limits',
  fields: [
    { name: 'maxBatch', type: 'unsignedInt', help: 'the most requests that a Fetch gives' },
    { name: 'maxBytes', type: 'unsignedLong', help: 'the most message bytes that a Fetch gives' },
    { name: 'maxLeaseMs', type: 'unsignedLong', help: 'the longest lease' },
    { name: 'maxWaitMs', type: 'unsignedLong', help: 'the longest that a Fetch waits' },
  ],
} as const satisfies RecordType;

export const rates = {
  record: 'Rates',
  fields: [
    { name: 'receivedPerSecond', type: 'double', help: 'requests that came in, over the last minute' },
    { name: 'confirmedPerSecond', type: 'double', help: 'requests that were confirmed, over the last minute' },
  ],
} as const satisfies RecordType;

export const parked = {
  record: 'Parked',
  fields: [
    { name: 'sequence', type: 'unsignedLong', help: 'place in the one total order' },
    { name: 'ticket', type: 'string', help: 'the name of that place' },
    { name: 'parkId', type: 'string', help: 'what Park gave' },
    { name: 'reasonCode', type: 'string', help: 'as Park was told' },
    { name: 'reasonText', type: 'string', help: 'as Park was told' },
    { name: 'parkedBy', type: 'string', help: 'clientId of the lease it was parked from' },
    { name: 'parkedAt', type: 'dateTime', help: 'when' },
    { name: 'deliveryCount', type: 'unsignedInt', help: 'how often it was delivered before' },
  ],
} as const satisfies RecordType;

export const history = {
  record: 'History',
  fields: [
    { name: 'state', type: 'string', help: 'ready, leased, parked or confirmed' },
    { name: 'batchId', type: 'string', optional: true, help: 'when leased: in which batch' },
    { name: 'leasedBy', type: 'string', optional: true, help: 'when leased: clientId' },
    { name: 'leaseExpires', type: 'dateTime', optional: true, help: 'when leased: until when' },
    { name: 'parked', type: parked, optional: true, help: 'when parked: why and by whom' },
  ],
} as const satisfies RecordType;

export const reason = {
  name: 'reason',
  type: 'string',
  least: 1,
  most: 1_000,
  help: 'why, for our log',
} as const satisfies Field;
export const state = { name: 'state', type: 'string', help: 'paused or delivering' } as const satisfies Field;
export const wanted = { name: 'max', type: 'unsignedInt', least: 1, help: 'the most to give' } as const satisfies Field;
