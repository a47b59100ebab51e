/**
 * Text from outside, made fit to be shown: names, values, messages of others, lines of documents.
 *
 * What a terminal acts on, what is not seen and what turns the reading direction is written as an escape (`\u001b`): controls
 * (C0, DEL, C1), separators of lines and paragraphs, bidirectional and zero-width marks and the other format characters, and
 * halves of surrogate pairs. Two forms: {@link printable} is one line, {@link printableLines} keeps real line breaks.
 */

/** A value in a message: longer ones lose their middle. */
export const MAX_VALUE_CHARS = 400;
/** A message in a message, as that of a parser with the lines that it points at. */
export const MAX_LINES_CHARS = 6000;

/**
 * Format characters (`Cf`) that are seen, signs over a number in Arabic, Syriac and Kaithi, are text like any other; blanks that
 * are not seen but have a width are, too.
 */
const HIDDEN =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|(?![\u0600-\u0605\u06dd\u0890\u0891\u08e2\u{110bd}\u{110cd}])\p{Cf}/gu;

/**
 * One line: everything hidden is escaped, and the middle of what is longer than `maxChars` is left out.
 *
 * @param value text as it is; anything else as JSON
 */
export function printable(value: unknown, maxChars = MAX_VALUE_CHARS): string {
  return escapeHidden(shorten(textOf(value), maxChars));
}

/** The same, with line breaks and tabs as they are. */
export function printableLines(value: unknown, maxChars = MAX_LINES_CHARS): string {
  return shorten(textOf(value), maxChars)
    .split(/\r\n|\n/)
    .map((line) => line.split('\t').map(escapeHidden).join('\t'))
    .join('\n');
}

/** Everything hidden as an escape, whatever the length. */
export function escapeHidden(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = character.codePointAt(0)!;
    const digits = code.toString(16).padStart(4, '0');
    return code > 0xffff ? `\\u{${digits}}` : `\\u${digits}`;
  });
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** Both ends say what a value is: a path its folder and its name, a list its first and last. */
function shorten(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const head = Math.ceil((maxChars - 3) * 0.6);
  const tail = maxChars - 3 - head;
  return `${wholly(text.slice(0, head))} … ${wholly(text.slice(-tail))}`;
}

/** A cut between the halves of a pair leaves neither. */
function wholly(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, '');
}
