// Whose words the lines of a mail are. Takes decoded lines, gives those that its sender says now and those that are quoted, each with
// its number. Quoted is what begins with `>`, and what a mail program puts below a reply: `-----Original Message-----`, or a block
// `From: … Sent: … To: … Subject: …`. Neither are what stands behind a signature's `-- ` (RFC 3676 section 4.3), and what
// PGP adds to a text: armour, its fields, signatures and keys (RFC 9580 sections 6.2 and 7). Never throws.

const signatureMark = /^--\s\r?$/;
const quoteMark = /^\s{0,40}>[>\s]{0,40}/;
const armour = /^-----(BEGIN|END) PGP ([A-Z ]{1,40})-----\s*$/;
/** Above what is quoted without marks; in English, French, German, Spanish, Italian, Portuguese, Dutch. */
const original =
  /^\s{0,10}[-_]{4,}\s{0,4}(?:original message|reply message|message d.origine|urspr\u00fcngliche nachricht|mensaje original|messaggio originale|mensagem original|oorspronkelijk bericht)\s{0,4}[-_]{4,}/i;
const headFrom = /^\s{0,10}\*?(?:from|de|von|da|van)\s{0,3}:\*?\s/i;
const headSent =
  /^\s{0,10}\*?(?:sent|date|envoy\u00e9(?: le)?|gesendet|datum|enviado(?: el| em)?|fecha|inviato|data|verzonden)\s{0,3}:\*?\s/i;
const headRest =
  /^\s{0,10}\*?(?:to|cc|subject|\u00e0|an|objet|betreff|para|asunto|assunto|a|oggetto|aan|onderwerp)\s{0,3}:\*?\s/i;

/** Whether a reply's head begins here: who wrote, when, and to whom or about what, in the next lines. */
function isReplyHead(lines: readonly string[], at: number): boolean {
  if (!headFrom.test(lines[at] ?? '')) return false;
  const next = lines.slice(at + 1, at + 7);
  return next.some((line) => headSent.test(line)) && next.some((line) => headRest.test(line));
}

/** First characters of lines that may begin a quotation: `-` and `_`; or a reply's head, perhaps in bold type. */
const ruleStart = new Set('-_ '.split('').map((each) => each.charCodeAt(0)));
const headStart = new Set('fFdDvV* '.split('').map((each) => each.charCodeAt(0)));

function beginsQuotation(text: string, lines: readonly string[], at: number): boolean {
  const first = text.charCodeAt(0);
  return (ruleStart.has(first) && original.test(text)) || (headStart.has(first) && isReplyHead(lines, at));
}

/**
 * Splits the lines of a mail by whose they are.
 * @param make what becomes of a line; its number counts from 1 in the decoded text
 */
export function splitLines<Line>(
  lines: readonly string[],
  make: (text: string, number: number) => Line,
): { readonly own: Line[]; readonly quoted: Line[] } {
  const own: Line[] = [];
  const quoted: Line[] = [];
  /** What of PGP we are in: its fields, a text that is signed, the rest of it behind a signature mark, or what is no text. */
  let pgp: 'fields' | 'signed' | 'signature' | 'data' | undefined;
  let below = false;
  let number = 0;
  for (const given of lines) {
    number++;
    const hyphen = given.startsWith('-');
    const [, edge, what = ''] = (hyphen && armour.exec(given)) || [];
    if (edge === 'BEGIN') pgp = what === 'SIGNED MESSAGE' ? 'fields' : 'data';
    else if (edge === 'END') pgp = undefined;
    if (edge !== undefined || pgp === 'data' || pgp === 'signature') continue;
    if (pgp === 'fields') {
      if (given.trim() === '') pgp = 'signed';
      continue;
    }
    // What begins with a hyphen does so behind another one.
    const text = pgp === 'signed' && given.startsWith('- ') ? given.slice(2) : given;
    const mark = text.includes('>') ? quoteMark.exec(text) : null;
    below ||= mark === null && beginsQuotation(text, lines, number - 1);
    if (mark ?? below) quoted.push(make(text.slice(mark?.[0].length ?? 0), number));
    else if (hyphen && signatureMark.test(text)) {
      if (pgp === undefined) break;
      pgp = 'signature';
    } else own.push(make(text, number));
  }
  return { own, quoted };
}
