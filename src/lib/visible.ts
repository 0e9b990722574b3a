// Text for terminals and logs: what would move the cursor, turn the direction of writing or hide is shown as its escape, `\u202e`,
// and so harms nobody. Takes any text and never fails. In JSON the escape stands for the same character.

/** Controls, line separators and formatting characters, but for the two joiners that names need (RFC 5892 appendix A). */
const unseen = /(?![\t\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Nearly every text there is. */
const plain = /^[\t\n -~]*$/;

const escapeOf = (text: string): string =>
  text.split('').reduce((all, unit) => `${all}\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`, '');

/** The text with such characters as escapes; line feeds and tabs stay. */
export function visible(text: string): string {
  return plain.test(text) ? text : text.replace(unseen, escapeOf);
}

/** A line of JSON whose reader shows its texts as they are: there the escapes are texts themselves. */
export function visibleWhenParsed(json: string): string {
  return visible(json).replace(/\\(?:u[0-9a-f]{4}|[bfr]|[^u])/g, (escape) =>
    /^\\(?:u|[bfr])/.test(escape) ? `\\${escape}` : escape,
  );
}
