// The little of MIME that writing an acknowledgement needs: header text (RFC 2047), bodies as 7bit or quoted-printable
// (RFC 2045), dates (RFC 5322). Takes strings, gives ASCII with CRLF line ends. Pure, and the same for the same input:
// a repeated acknowledgement has to be the same bytes. Never throws.
// nodemailer's composer is not used: it breaks the digest's line of the block for programs softly, so that a program would have
// to decode it, and takes more than ten times as long (465 against 26 µs a mail, of about 500 in all: `loadtest/acknowledge-rate.ts mime`).

const lineMax = 76;

/** A header value: folded ASCII, or encoded words when it holds anything else or could be taken for one. */
export function headerText(text: string): string {
  return /^[ -~]*$/.test(text) && !text.includes('=?') ? fold(text) : encodedWords(text);
}

/** Breaks at spaces so that lines stay short where they can (RFC 5322 section 2.2.3). Leaves room for a field name. */
function fold(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && word !== '' && line.length + 1 + word.length > 60) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join('\r\n ');
}

/** RFC 2047: each word holds whole characters and at most 45 bytes of them. */
function encodedWords(text: string): string {
  const words: string[] = [];
  let piece = '';
  let bytes = 0;
  const end = (): void => {
    if (piece !== '') words.push(`=?utf-8?B?${Buffer.from(piece).toString('base64')}?=`);
  };
  for (const character of text) {
    const length = Buffer.byteLength(character);
    if (bytes + length > 45) {
      end();
      piece = '';
      bytes = 0;
    }
    piece += character;
    bytes += length;
  }
  end();
  return words.join('\r\n ');
}

/** A time as in a Date header, UTC: `Sat, 21 Nov 2026 09:00:00 +0000`. @param ms since 1970 UTC */
export function headerDate(ms: number): string {
  return new Date(ms).toUTCString().replace(/GMT$/, '+0000');
}

/** A text part with its headers. Plain ASCII stays as it is, so that a program can read it without decoding. */
export function textPart(subtype: 'plain' | 'html', text: string, boundary?: string): string {
  const lines = text.replace(/\r\n?/g, '\n').trimEnd().split('\n');
  const plain =
    (boundary === undefined || !text.includes(boundary)) && lines.every((line) => /^[ -~]{0,900}$/.test(line));
  const body = plain ? lines.join('\r\n') : lines.map(quotedPrintable).join('\r\n');
  return (
    `Content-Type: text/${subtype}; charset=utf-8\r\n` +
    `Content-Transfer-Encoding: ${plain ? '7bit' : 'quoted-printable'}\r\n\r\n${body}\r\n`
  );
}

/** One line in quoted-printable (RFC 2045 section 6.7), broken softly. */
function quotedPrintable(line: string): string {
  let rest = line
    .replace(/[^ -<>-~]/gu, (character) => {
      const hex = Buffer.from(character).toString('hex').toUpperCase();
      return hex.replace(/../g, '=$&');
    })
    .replace(/ $/, '=20');
  let written = '';
  while (rest.length > lineMax) {
    let cut = lineMax - 1;
    const escape = rest.lastIndexOf('=', cut - 1);
    if (escape > cut - 3) cut = escape;
    written += `${rest.slice(0, cut)}=\r\n`;
    rest = rest.slice(cut);
  }
  return written + rest;
}
