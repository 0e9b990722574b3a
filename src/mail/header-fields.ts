// The bounded piece of a mail that is read, and its header fields as they stand in it. Takes the exact message, gives its header and as
// much of what follows as is allowed, and fields without any decoding: what decides whether a mail is automatic, or goes into
// a header of ours, must not depend on a MIME parser. Never throws.

const lineFeed = 0x0a;
/** More fields than this are not looked at. */
const fieldsMax = 1_000;

const delimiter = Buffer.from('\r\n--');
const headerEnd = Buffer.from('\r\n\r\n');
/** A part's header is looked for so far behind a delimiter, and behind so many of them: what looks so may be none. */
const headMax = 8_192;
const partsMax = 500;

/** What is read of a message. */
export interface Piece {
  readonly bytes: Buffer;
  /** There is more that could be text. */
  readonly partly: boolean;
}

/** At most `most` bytes of the message, cut behind a line end; a first line longer than that is cut in its middle. */
export function headPiece(message: Buffer, most: number): Buffer {
  if (message.length <= most) return message;
  const end = message.lastIndexOf(lineFeed, most - 1);
  return message.subarray(0, end > 0 ? end + 1 : most);
}

/**
 * What is read of a message: at most `most` bytes. Of a mail of several parts that is larger, parts that cannot be text are left out, so
 * that a form behind an attachment is found; their own headers stay. One pass, no decoding.
 */
export function pieceOf(message: Buffer, most: number): Piece {
  if (message.length <= most) return { bytes: message, partly: false };
  const kept: Buffer[] = [];
  let size = 0;
  let from = 0;
  let parts = 0;
  for (let at = message.indexOf(delimiter); at >= 0 && size + at - from < most && ++parts <= partsMax;) {
    const line = message.indexOf(lineFeed, at + delimiter.length);
    const head = line < 0 ? -1 : message.subarray(line - 1, line + headMax).indexOf(headerEnd);
    const end = head < 0 ? -1 : line - 1 + head + headerEnd.length;
    const next = message.indexOf(delimiter, Math.max(at + delimiter.length, end - 2));
    if (end >= 0 && next > end && cannotBeText(message.toString('latin1', line + 1, end))) {
      kept.push(message.subarray(from, end));
      size += end - from;
      from = next;
    }
    at = next;
  }
  // A last part without its end is cut off like the rest.
  if (from === 0) return { bytes: headPiece(message, most), partly: true };
  const bytes = Buffer.concat([...kept, message.subarray(from, from + Math.max(0, most + 1 - size))]);
  const partly = bytes.length > most;
  return { bytes: partly ? headPiece(bytes, most) : bytes, partly };
}

/** Whether a part of that header is data: encoded, and of a media type that is neither text nor holds parts. */
function cannotBeText(header: string): boolean {
  const type = /^content-type:\s*([\w.+-]+\/[\w.+-]+)/im.exec(header)?.[1]?.toLowerCase();
  if (type === undefined || !/^content-transfer-encoding:\s*base64\s*$/im.test(header)) return false;
  if (/^(?:text|message|multipart)\//.test(type) || /pgp|pkcs7-mime|xhtml/.test(type)) return false;
  return !(type === 'application/octet-stream' && /\.txt\b/i.test(header));
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
