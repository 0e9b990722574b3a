// The bounded piece of a mail that acknowledging looks at, and its header fields as they stand in it. Takes the exact
// message, gives a prefix that ends at a line end, and fields without any decoding: what decides whether a mail is
// automatic, or goes into a header of ours, must not depend on a MIME parser. Never throws.

const lineFeed = 0x0a;
const headerEnd = Buffer.from('\r\n\r\n');
/** More fields than this are not looked at. */
const fieldsMax = 1_000;

/** At most `bytes` of the message, cut behind a line end; a first line longer than that is cut in its middle. */
export function pieceOf(message: Buffer, bytes: number): Buffer {
  if (message.length <= bytes) return message;
  const end = message.lastIndexOf(lineFeed, bytes - 1);
  return message.subarray(0, end > 0 ? end + 1 : bytes);
}

/** Header fields by lower-case name, unfolded (RFC 5322 section 2.2.3), each name with all its values in order. */
export type Fields = ReadonlyMap<string, readonly string[]>;

/** The header fields of a piece. A message that begins with an empty line has none. */
export function fieldsOf(piece: Buffer): Fields {
  const fields = new Map<string, string[]>();
  if (piece[0] === 0x0d && piece[1] === lineFeed) return fields;
  const end = piece.indexOf(headerEnd);
  const header = piece.toString('latin1', 0, end < 0 ? piece.length : end);
  let count = 0;
  for (const line of header.replace(/\r\n(?=[ \t])/g, '').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    if (++count > fieldsMax) break;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const values = fields.get(name);
    if (values) values.push(value);
    else fields.set(name, [value]);
  }
  return fields;
}

/** What follows the header: everything where there is no header, nothing where there is no body. */
export function bodyOf(piece: Buffer): Buffer {
  if (piece[0] === 0x0d && piece[1] === lineFeed) return piece.subarray(2);
  const end = piece.indexOf(headerEnd);
  return piece.subarray(end < 0 ? piece.length : end + headerEnd.length);
}

/** A message identifier as RFC 5322 section 3.6.4 has it, a little wider on the left: printable ASCII, one @. */
const identifier = /<[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}>/g;

/** The Message-ID of a mail when it is one that can be repeated in a header, else undefined. */
export function messageIdOf(fields: Fields): string | undefined {
  const value = fields.get('message-id')?.at(-1) ?? '';
  return value.match(identifier)?.[0] === value ? value : undefined;
}

/** The identifiers in the value of a field, the last 20 of them. */
export function identifiersIn(value: string): string[] {
  return (value.slice(-20_000).match(identifier) ?? []).slice(-20);
}

/** The thread so far, oldest first: the identifiers in References, the last 20 of them. */
export function referencesOf(fields: Fields): string[] {
  return identifiersIn(fields.get('references')?.at(-1) ?? '');
}
