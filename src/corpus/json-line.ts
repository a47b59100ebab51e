/**
 * Top-level fields of one JSON line as the text they were written in.
 *
 * Fields that are passed through keep that text: numbers beyond a double's precision, the spelling of strings and of
 * keys, and repeated keys come out as they went in, which a round trip through JSON.parse would not give.
 */

/** Keys of a reader by their text, so that equal ones are one string and are parsed once. */
export type KeyNames = Map<string, string>;

/** Keys come from outside: a file of ever new ones must not fill the memory. */
const MAX_KEY_NAMES = 4096;

/** The fields of an object in order; a key may be repeated. */
export class JsonFields implements Iterable<readonly [string, string]> {
  /** `name, key, value` of one field after the other: one array is half the garbage of three. */
  readonly #parts: string[] = [];

  get length(): number {
    return this.#parts.length / 3;
  }

  /** @param key the name as JSON text, in quotes */
  add(name: string, key: string, value: string): void {
    this.#parts.push(name, key, value);
  }

  nameAt(index: number): string {
    return this.#parts[3 * index]!;
  }

  /** The name as it was written, in quotes. */
  keyAt(index: number): string {
    return this.#parts[3 * index + 1]!;
  }

  valueAt(index: number): string {
    return this.#parts[3 * index + 2]!;
  }

  /** Where the value of a name is; of a repeated key the last one counts, as in JSON.parse. -1 without one. */
  indexOf(name: string): number {
    let index = this.length - 1;
    while (index >= 0 && this.#parts[3 * index] !== name) index--;
    return index;
  }

  has(name: string): boolean {
    return this.indexOf(name) >= 0;
  }

  get(name: string): string | undefined {
    const index = this.indexOf(name);
    return index < 0 ? undefined : this.valueAt(index);
  }

  /** Replaces the value that counts; nothing happens without one. */
  set(name: string, value: string): void {
    const index = this.indexOf(name);
    if (index >= 0) this.#parts[3 * index + 2] = value;
  }

  /** The same with further fields at the end, but for those that are there. */
  with(others: readonly (readonly [name: string, value: string])[]): JsonFields {
    const fields = new JsonFields();
    for (const part of this.#parts) fields.#parts.push(part);
    for (const [name, value] of others) {
      if (!this.has(name)) fields.add(name, JSON.stringify(name), value);
    }
    return fields;
  }

  *[Symbol.iterator](): Generator<readonly [string, string]> {
    for (let index = 0; index < this.length; index++) {
      yield [this.nameAt(index), this.valueAt(index)];
    }
  }
}

/**
 * Fields of a JSON object.
 *
 * @throws SyntaxError when `line` is not a JSON object
 */
export function jsonFields(line: string, names: KeyNames = new Map()): JsonFields {
  const parsed: unknown = JSON.parse(line);
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) {
    const kind = parsed === null ? 'null' : Array.isArray(parsed) ? 'an array' : typeof parsed;
    throw new NoObject(`expected an object, found ${kind}`);
  }
  // From here the line is known to be well-formed, which is what keeps the scanner below simple.
  const fields = new JsonFields();
  let at = skipSpace(line, line.indexOf('{') + 1);
  while (line[at] === '"') {
    const keyEnd = stringEnd(line, at);
    const key = line.slice(at, keyEnd);
    let name = names.get(key);
    if (name === undefined) {
      name = JSON.parse(key) as string;
      if (names.size < MAX_KEY_NAMES) names.set(key, name);
    }
    at = skipSpace(line, skipSpace(line, keyEnd) + 1);
    const end = valueEnd(line, at);
    fields.add(name, key, line.slice(at, end));
    at = skipSpace(line, end);
    if (line[at] === ',') at = skipSpace(line, at + 1);
  }
  return fields;
}

/** A line of JSON that is another thing than an object. */
export class NoObject extends SyntaxError {}

function skipSpace(line: string, at: number): number {
  let end = at;
  while (end < line.length && ' \t\r\n'.includes(line[end]!)) end++;
  return end;
}

/** Position after the string that begins at `at`. */
function stringEnd(line: string, at: number): number {
  for (let quote = line.indexOf('"', at + 1); quote >= 0; quote = line.indexOf('"', quote + 1)) {
    let slashes = 0;
    while (line[quote - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return quote + 1;
  }
  return line.length;
}

function valueEnd(line: string, at: number): number {
  const first = line[at];
  if (first === '"') return stringEnd(line, at);
  if (first !== '{' && first !== '[') {
    let end = at;
    while (end < line.length && !',} \t\r\n'.includes(line[end]!)) end++;
    return end;
  }
  let depth = 0;
  for (let end = at; end < line.length; ) {
    const char = line[end];
    if (char === '"') {
      end = stringEnd(line, end);
      continue;
    }
    if (char === '{' || char === '[') depth++;
    if (char === '}' || char === ']') depth--;
    end++;
    if (depth === 0) return end;
  }
  return line.length;
}
