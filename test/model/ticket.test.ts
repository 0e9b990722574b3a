import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { plainTicket, sequenceOf, ticketOf } from '../../src/model/ticket.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*';

/** ISO 7064 MOD 37,2 as the standard checks it: weights 2^n from the right, the sum is 1 modulo 37. */
function isValidIso7064(text: string): boolean {
  let weight = 1;
  let sum = 0;
  for (const character of text.split('').toReversed()) {
    sum = (sum + alphabet.indexOf(character) * weight) % 37;
    weight = (weight * 2) % 37;
  }
  return sum === 1;
}

test('a ticket carries its sequence and an ISO 7064 MOD 37,2 check character', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 999_999_999_999 }), (sequence) => {
      const ticket = ticketOf(sequence);
      const [, digits = '', check = ''] = /^SW-(\d{9,})-(.)$/.exec(ticket) ?? [];
      assert.equal(Number(digits), sequence);
      assert.ok(isValidIso7064(digits + check), ticket);
      assert.equal(sequenceOf(ticket.toLowerCase()), sequence);
    }),
  );
});

test('a ticket read out with one wrong digit, or two digits swapped, is not a ticket', () => {
  const ticket = ticketOf(123_456_789);
  for (let at = 3; at < 12; at++) {
    for (const digit of '0123456789') {
      if (digit === ticket[at]) continue;
      assert.equal(sequenceOf(ticket.slice(0, at) + digit + ticket.slice(at + 1)), undefined);
    }
    if (at < 11) {
      const swapped = ticket.slice(0, at) + ticket[at + 1]! + ticket[at]! + ticket.slice(at + 2);
      assert.equal(sequenceOf(swapped), undefined);
    }
  }
  for (const other of ['', 'SW-1-1', 'SW-000000000-1', '123', 'XX-000000001-*'])
    assert.equal(sequenceOf(other), undefined);
});

test('in file names and Message-IDs a ticket has no `*`, and is a ticket all the same', () => {
  assert.equal(plainTicket('SW-000000001-*'), 'SW-000000001-_');
  for (let sequence = 1; sequence < 200; sequence++) {
    assert.match(plainTicket(ticketOf(sequence)), /^SW-\d{9}-[0-9A-Z_]$/);
    assert.equal(sequenceOf(plainTicket(ticketOf(sequence))), sequence);
  }
});
