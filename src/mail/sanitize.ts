// Text that comes out of a mail or from a relay, made fit to be shown. Takes any string, gives one line without control
// characters, without marks that turn the direction of writing or hide, in composed form, and not longer than asked.
// Never throws. Escaping for HTML, XML or a header is for whoever writes those.

/** C0 and C1 controls, line and paragraph separators: whatever could end a line or speak to a terminal. */
const breaking = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;
/**
 * Formatting characters (bidi marks and overrides, zero width, tags, annotations) save the two joiners that names need
 * (RFC 5892 appendix A), private use, lone surrogates and code points that are no characters.
 */
const unseen = /(?![\u200c\u200d])[\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu;

/** Nearly every text there is: words of ASCII with one space between. */
const clean = /^(?:[!-~]+(?: [!-~]+)*)?$/;

/**
 * One clean line of at most `max` code points; what is longer ends in `…`.
 * @param max the most code points
 */
export function sanitizeLine(text: string, max: number): string {
  if (text.length <= max && clean.test(text)) return text;
  // Cut first, generously, so that a megabyte of subject costs no more than a long line.
  const line = text
    .slice(0, max * 8)
    .replace(breaking, ' ')
    .replace(unseen, '')
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .trim();
  const points = Array.from(line);
  return points.length > max ? `${points.slice(0, max - 1).join('')}…` : line;
}
