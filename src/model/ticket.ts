// Tickets: a sequence number in a form that can be read out over the phone, with a check character (ISO 7064 MOD 37,2).
// Takes a number and gives its ticket, and back; a text that is no ticket gives undefined.

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*';
const form = /^SW-(\d{9,16})-([0-9A-Z*_])$/;

/** Check character over decimal digits, ISO 7064 MOD 37,2. Leading zeros do not change it. */
function checkCharacter(digits: string): string {
  let sum = 0;
  for (const digit of digits) sum = ((sum + Number(digit)) * 2) % 37;
  return alphabet.charAt((38 - sum) % 37);
}

/** The ticket of a sequence number (1 or more): 123 gives `SW-000000123-G`. */
export function ticketOf(sequence: number): string {
  const digits = String(sequence).padStart(9, '0');
  return `SW-${digits}-${checkCharacter(digits)}`;
}

/** The ticket where its `*` is no good, in file names and Message-IDs: `_` stands there instead. */
export function plainTicket(ticket: string): string {
  return ticket.replace('*', '_');
}

/** Whether a text has the form of a ticket, whatever its check character is worth. */
export function isTicketLike(text: string): boolean {
  return form.test(text.trim().toUpperCase());
}

/** The sequence number that a ticket names, in either spelling, or undefined when it is not a ticket or its check character is wrong. */
export function sequenceOf(ticket: string): number | undefined {
  const match = form.exec(ticket.trim().toUpperCase());
  if (!match) return undefined;
  const [, digits = '', check] = match;
  const sequence = Number(digits);
  if (sequence < 1 || !Number.isSafeInteger(sequence) || checkCharacter(digits) !== check?.replace('_', '*'))
    return undefined;
  return sequence;
}
