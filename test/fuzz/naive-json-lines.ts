/**
 * JSON lines read naively: the whole file at once, split, JSON.parse, one character after the other. The oracle of the
 * reader, written without it.
 */

/** A line as it should be read. */
export interface NaiveRow {
  readonly bytes: Buffer;
  /** Fields in order with their raw values; null for a line that is no object in UTF-8. */
  readonly fields: readonly (readonly [name: string, raw: string])[] | null;
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Lines that are not blank. */
export function naiveRows(file: Buffer): NaiveRow[] {
  const rows: NaiveRow[] = [];
  const text = file.toString('latin1');
  for (const [index, part] of text.split('\n').entries()) {
    let line = part;
    if (index === 0 && line.startsWith('\xef\xbb\xbf')) line = line.slice(3);
    if (line.endsWith('\r')) line = line.slice(0, -1);
    if (/^[ \t\r]*$/.test(line)) continue;
    const bytes = Buffer.from(line, 'latin1');
    rows.push({ bytes, fields: naiveFields(bytes) });
  }
  return rows;
}

function naiveFields(bytes: Buffer): NaiveRow['fields'] {
  let line: string;
  let value: unknown;
  try {
    line = STRICT.decode(bytes);
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null;
  const fields: [string, string][] = [];
  let depth = 0;
  let isString = false;
  let start = -1;
  let key = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at]!;
    if (isString) {
      if (char === '\\') at++;
      else if (char === '"') isString = false;
      continue;
    }
    if (char === '"') isString = true;
    else if (char === '{' || char === '[') depth++;
    if (depth === 1 && char === '{') start = at + 1;
    if (depth === 1 && char === ':') {
      key = JSON.parse(line.slice(start, at)) as string;
      start = at + 1;
    }
    if (depth === 1 && (char === ',' || char === '}')) {
      const raw = line.slice(start, at).trim();
      if (raw !== '') fields.push([key, raw]);
      start = at + 1;
    }
    if (char === '}' || char === ']') depth--;
  }
  return fields;
}

/** The value that counts of a name: the last one. */
export function naiveValue({ fields }: NaiveRow, name: string): unknown {
  const found = fields?.filter(([key]) => key === name).at(-1);
  return found === undefined ? undefined : JSON.parse(found[1]);
}

/** True for numbers that are equal in all their digits, however they are spelt. */
export function sameNumber(left: string, right: string): boolean {
  const [a, b] = fraction(left);
  const [c, d] = fraction(right);
  return a * d === c * b && left.startsWith('-') === right.startsWith('-');
}

function fraction(raw: string): [bigint, bigint] {
  const [mantissa = '', power = '0'] = raw.toLowerCase().split('e');
  const [whole = '', part = ''] = mantissa.split('.');
  const exponent = Number(power) - part.length;
  const digits = BigInt(whole + part);
  return exponent >= 0
    ? [digits * 10n ** BigInt(exponent), 1n]
    : [digits, 10n ** BigInt(-exponent)];
}
