/**
 * What is wrong with a line that is not JSON, in words that are the same on every version of Node.
 *
 * Only lines that JSON.parse refuses come here, so that the walk may be slow; it keeps its own stack, so that no depth
 * of brackets can exhaust the real one.
 */

/** Words that are no JSON but come out of common writers. */
const FOREIGN: readonly (readonly [string, string])[] = [
  ['NaN', 'NaN is no JSON (Python’s json.dumps writes it unless allow_nan=False)'],
  ['-NaN', '-NaN is no JSON'],
  ['Infinity', 'Infinity is no JSON (Python’s json.dumps writes it unless allow_nan=False)'],
  ['-Infinity', '-Infinity is no JSON (Python’s json.dumps writes it unless allow_nan=False)'],
  ['None', 'None is Python, not JSON'],
  ['True', 'True is Python, not JSON'],
  ['False', 'False is Python, not JSON'],
  ['undefined', 'undefined is JavaScript, not JSON'],
  ['nan', 'nan is no JSON'],
  ['inf', 'inf is no JSON'],
  ["'", 'single quotes are no JSON'],
];

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** The first fault of a line that is not JSON, with its place. */
export function jsonFault(line: string): string {
  const walk = new Walk(line);
  const fault = walk.fault();
  if (fault === null) return 'it is not JSON';
  if (walk.at >= line.length) return `it ends at character ${line.length}, ${fault}`;
  return `character ${walk.at + 1}: ${fault}`;
}

class Walk {
  at = 0;
  readonly #line: string;
  /** Closing brackets that are still owed. */
  readonly #open: string[] = [];

  constructor(line: string) {
    this.#line = line;
  }

  fault(): string | null {
    for (;;) {
      const opened = this.#open.length;
      const fault = this.#value();
      if (fault) return fault;
      // A bracket that was opened, and is not empty, wants a value next.
      if (this.#open.length > opened) continue;
      for (;;) {
        this.#space();
        const closing = this.#open.at(-1);
        if (closing === undefined) {
          return this.at < this.#line.length ? 'more after the end of the value' : null;
        }
        const char = this.#line[this.at];
        if (char === closing) {
          this.at++;
          this.#open.pop();
          continue;
        }
        if (char !== ',') return this.#inside(closing, `expected , or ${closing}`);
        this.at++;
        const key = closing === '}' ? this.#key() : null;
        if (key) return key;
        break;
      }
    }
  }

  #inside(closing: string, fault: string): string {
    if (this.at < this.#line.length) return fault;
    return `inside an ${closing === '}' ? 'object' : 'array'}`;
  }

  #space(): void {
    while (' \t\r\n'.includes(this.#line[this.at] ?? '!')) this.at++;
  }

  #key(): string | null {
    this.#space();
    if (this.#line[this.at] !== '"') return this.#inside('}', 'expected a key in double quotes');
    const fault = this.#string();
    if (fault) return fault;
    this.#space();
    if (this.#line[this.at] !== ':') return this.#inside('}', 'expected : after a key');
    this.at++;
    return null;
  }

  #value(): string | null {
    this.#space();
    const line = this.#line;
    const char = line[this.at];
    if (char === undefined) return 'where a value is expected';
    if (char === '"') return this.#string();
    if (char === '{' || char === '[') {
      const closing = char === '{' ? '}' : ']';
      this.at++;
      this.#space();
      if (line[this.at] === closing) {
        this.at++;
        return null;
      }
      this.#open.push(closing);
      return closing === '}' ? this.#key() : null;
    }
    for (const word of ['true', 'false', 'null']) {
      if (!line.startsWith(word, this.at)) continue;
      this.at += word.length;
      return null;
    }
    for (const [word, meaning] of FOREIGN) if (line.startsWith(word, this.at)) return meaning;
    NUMBER.lastIndex = this.at;
    if (!NUMBER.test(line)) return 'no JSON value begins so';
    this.at = NUMBER.lastIndex;
    return null;
  }

  #string(): string | null {
    const line = this.#line;
    for (this.at++; this.at < line.length; ) {
      const code = line.charCodeAt(this.at);
      if (code === 0x22) {
        this.at++;
        return null;
      }
      if (code < 0x20) {
        return `a control character (U+${code.toString(16).padStart(4, '0').toUpperCase()}) in a string`;
      }
      if (code !== 0x5c) {
        this.at++;
        continue;
      }
      ESCAPE.lastIndex = this.at;
      if (!ESCAPE.test(line)) {
        if (line.length - this.at >= 6) return 'no JSON escape';
        this.at = line.length;
        return 'inside a string';
      }
      this.at = ESCAPE.lastIndex;
    }
    return 'inside a string';
  }
}
