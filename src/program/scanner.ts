/**
 * The lexer of program calls: identifiers, whole numbers, quoted strings with escapes, punctuation.
 *
 * One scanner serves every dialect. It reads one token at a time from a position, never backtracks and never
 * throws: what it cannot read is an `invalid` token, what the end of the program cuts off an `end` token.
 * A raw line feed ends a call, so it also ends a string (as an invalid one).
 */

/** Kinds of tokens; numbers, because they are compared in the hot loop. */
export const TOKEN = Object.freeze({
  end: 0,
  invalid: 1,
  lineFeed: 2,
  name: 3,
  number: 4,
  string: 5,
  open: 6,
  close: 7,
  comma: 8,
  equals: 9,
  separator: 10,
});

const LF = 10;
const CR = 13;
const QUOTE = 34;
const APOSTROPHE = 39;
const BACKSLASH = 92;

/** Token by ASCII character; 0 where a character is none. */
const PUNCTUATION = new Uint8Array(128);
PUNCTUATION[LF] = TOKEN.lineFeed;
PUNCTUATION[40] = TOKEN.open;
PUNCTUATION[41] = TOKEN.close;
PUNCTUATION[44] = TOKEN.comma;
PUNCTUATION[61] = TOKEN.equals;
PUNCTUATION[59] = TOKEN.separator;

const SIMPLE_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['\\', '\\'],
  ['"', '"'],
  ["'", "'"],
]);

/** Digits of the hexadecimal escapes. */
const HEX_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
]);

/** Reads the tokens of one program. After `next()` the fields describe the token that was read. */
export class Scanner {
  readonly source: string;
  position = 0;
  /** First character of the token. */
  start = 0;
  /** Value of a name or a string. */
  text = '';
  /** Value of a number; `Infinity` beyond what a double holds exactly. */
  value = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** Reads one token and returns its kind of {@link TOKEN}. */
  next(): number {
    const { source } = this;
    let code = source.charCodeAt(this.position);
    while (code === 32 || code === 9 || code === CR) code = source.charCodeAt(++this.position);
    this.start = this.position;
    // charCodeAt past the end is NaN.
    if (Number.isNaN(code)) return TOKEN.end;
    if (isNameStart(code)) return this.#name();
    if (isDigit(code) || code === 45) return this.#number();
    if (code === QUOTE || code === APOSTROPHE) return this.#string(code);
    if (code === 35) return this.#comment();
    this.position++;
    return (code < 128 && PUNCTUATION[code]) || TOKEN.invalid;
  }

  /** Moves to the end of the physical line, before its line feed. */
  skipLine(): void {
    const lineFeed = this.source.indexOf('\n', this.position);
    this.position = lineFeed < 0 ? this.source.length : lineFeed;
  }

  /** True when nothing but white space is left: what stands open here was cut off. */
  atEnd(): boolean {
    let { position } = this;
    let code = this.source.charCodeAt(position);
    while (code === 32 || (code >= 9 && code <= 13)) code = this.source.charCodeAt(++position);
    return Number.isNaN(code);
  }

  #name(): number {
    const { source } = this;
    let end = this.position + 1;
    for (let code = source.charCodeAt(end); isNameStart(code) || isDigit(code); ) {
      code = source.charCodeAt(++end);
    }
    this.text = source.slice(this.position, end);
    this.position = end;
    return TOKEN.name;
  }

  #number(): number {
    const { source } = this;
    const negative = source.charCodeAt(this.position) === 45;
    let end = this.position + (negative ? 1 : 0);
    const first = end;
    let value = 0;
    for (let code = source.charCodeAt(end); isDigit(code); code = source.charCodeAt(++end)) {
      value = value * 10 + (code - 48);
    }
    this.position = end;
    if (end === first) return Number.isNaN(source.charCodeAt(end)) ? TOKEN.end : TOKEN.invalid;
    if (isNameStart(source.charCodeAt(end))) return TOKEN.invalid;
    this.value = value > Number.MAX_SAFE_INTEGER ? Infinity : negative ? -value : value;
    return TOKEN.number;
  }

  #comment(): number {
    this.skipLine();
    return this.next();
  }

  #string(quote: number): number {
    const { source } = this;
    const first = this.position + 1;
    let end = first;
    let code = source.charCodeAt(end);
    while (code !== quote && code !== BACKSLASH && code !== LF && !Number.isNaN(code)) {
      code = source.charCodeAt(++end);
    }
    this.position = end;
    if (code === quote) {
      this.text = source.slice(first, end);
      this.position = end + 1;
      return TOKEN.string;
    }
    if (code === LF) return this.atEnd() ? TOKEN.end : TOKEN.invalid;
    return Number.isNaN(code) ? TOKEN.end : this.#escapedString(quote, first);
  }

  /** The rest of a string from its first backslash on. */
  #escapedString(quote: number, first: number): number {
    const { source } = this;
    const parts = [source.slice(first, this.position)];
    let plain = this.position;
    for (let end = plain; ; ) {
      const code = source.charCodeAt(end);
      if (Number.isNaN(code) || code === LF) {
        this.position = end;
        return this.atEnd() ? TOKEN.end : TOKEN.invalid;
      }
      if (code === quote) {
        parts.push(source.slice(plain, end));
        this.text = parts.join('');
        this.position = end + 1;
        return TOKEN.string;
      }
      if (code === BACKSLASH) {
        parts.push(source.slice(plain, end));
        end = this.#escape(end, parts);
        plain = end;
      } else {
        end++;
      }
    }
  }

  /** Decodes the escape at `at` into `parts`; an unknown one stands for itself, as in Python. */
  #escape(at: number, parts: string[]): number {
    const letter = this.source.charAt(at + 1);
    const simple = SIMPLE_ESCAPES.get(letter);
    if (simple !== undefined) {
      parts.push(simple);
      return at + 2;
    }
    const nDigits = HEX_ESCAPES.get(letter);
    if (nDigits !== undefined) {
      const digits = this.source.slice(at + 2, at + 2 + nDigits);
      if (digits.length === nDigits && /^[0-9a-fA-F]+$/.test(digits)) {
        parts.push(String.fromCharCode(Number.parseInt(digits, 16)));
        return at + 2 + nDigits;
      }
    }
    parts.push('\\');
    return at + 1;
  }
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isNameStart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95;
}
