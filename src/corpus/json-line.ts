/**
 * Top-level fields of one JSON line as the text they were written in.
 *
 * Fields that are passed through keep that text: numbers beyond a double's precision and the spelling of strings
 * come out as they went in, which a round trip through JSON.parse would not give.
 */

/** Fields in order; of a repeated key the last value counts, as in JSON.parse. */
export type JsonFields = Map<string, string>;

/**
 * Fields of a JSON object.
 *
 * @throws SyntaxError when `line` is not a JSON object
 */
export function jsonFields(line: string): JsonFields {
  const parsed: unknown = JSON.parse(line);
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new SyntaxError(
      `expected an object, found ${Array.isArray(parsed) ? 'an array' : typeof parsed}`,
    );
  }
  // From here the line is known to be well-formed, which is what keeps the scanner below simple.
  const fields: JsonFields = new Map();
  let at = skipSpace(line, line.indexOf('{') + 1);
  while (line[at] === '"') {
    const keyEnd = stringEnd(line, at);
    const key = JSON.parse(line.slice(at, keyEnd)) as string;
    at = skipSpace(line, skipSpace(line, keyEnd) + 1);
    const end = valueEnd(line, at);
    fields.set(key, line.slice(at, end));
    at = skipSpace(line, end);
    if (line[at] === ',') at = skipSpace(line, at + 1);
  }
  return fields;
}

function skipSpace(line: string, at: number): number {
  while (at < line.length && ' \t\r\n'.includes(line[at]!)) at++;
  return at;
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
