/** Columns of JSONL files: inferred from the first lines, since the format declares none. */
import type { SchemaElement } from 'hyparquet';
import { GristmillError } from '../errors.ts';
import { absoluteLine, readLines } from './byte-lines.ts';
import { type JsonFields, jsonFields } from './json-line.ts';
import { flatColumn, stringColumn } from './schema.ts';
import type { CorpusColumn, CorpusFormat } from './types.ts';

/** Bytes of lines that are looked at, besides the bound on their number. */
const SAMPLE_BYTES = 16 * 2 ** 20;

/** What the values of a field were. */
export type JsonKind = 'string' | 'integer' | 'number' | 'boolean' | 'other';

/** Kind of a value's JSON text; null for `null`, which fits every column. */
export function kindOf(raw: string): JsonKind | null {
  const first = raw[0];
  if (first === '"') return 'string';
  if (first === 'n') return null;
  if (first === 't' || first === 'f') return 'boolean';
  if (first === '{' || first === '[') return 'other';
  if (!/^-?\d{1,19}$/.test(raw) || raw === '-0') return 'number';
  const value = BigInt(raw);
  return value === BigInt.asIntN(64, value) ? 'integer' : 'number';
}

/** The column that holds values of these kinds. */
export function columnOfKinds(name: string, kinds: ReadonlySet<JsonKind>): CorpusColumn {
  const only = (...allowed: JsonKind[]): boolean =>
    [...kinds].every((kind) => allowed.includes(kind));
  const base = { name, repetition_type: 'OPTIONAL' as const };
  if (kinds.size > 0) {
    if (only('string')) return stringColumn(name);
    if (only('integer')) return flatColumn({ ...base, type: 'INT64' });
    if (only('integer', 'number')) return flatColumn({ ...base, type: 'DOUBLE' });
    if (only('boolean')) return flatColumn({ ...base, type: 'BOOLEAN' });
  }
  const json: SchemaElement = {
    ...base,
    type: 'BYTE_ARRAY',
    converted_type: 'JSON',
    logical_type: { type: 'JSON' },
  };
  return flatColumn(json);
}

/** Two files' columns of one name joined: the narrowest type that holds both. */
export function joinColumns(left: CorpusColumn, right: CorpusColumn): CorpusColumn {
  const kinds = new Set<JsonKind>([...kindsOf(left), ...kindsOf(right)]);
  return columnOfKinds(left.name, kinds);
}

function kindsOf(column: CorpusColumn): JsonKind[] {
  const type = column.elements[0]?.type;
  if (column.type === 'string') return ['string'];
  if (type === 'INT64') return ['integer'];
  if (type === 'DOUBLE') return ['number'];
  return type === 'BOOLEAN' ? ['boolean'] : ['other'];
}

/**
 * Columns of a JSONL file, in order of first appearance.
 *
 * @throws CORPUS_LINE_INVALID, CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function inferColumns(
  path: string,
  format: CorpusFormat,
  options: {
    readonly inferLines: number;
    readonly maxLineBytes: number;
    readonly textColumn: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<CorpusColumn[]> {
  const kinds = new Map<string, Set<JsonKind>>();
  const source = { ...options, path, format, byteStart: null, byteEnd: null };
  let nLines = 0;
  let nBytes = 0;
  reading: for await (const group of readLines(source)) {
    for (const { bytes, line } of group) {
      for (const [name, raw] of await fieldsOf(bytes.toString(), source, line)) {
        const seen = kinds.get(name) ?? new Set();
        kinds.set(name, seen);
        const kind = kindOf(raw);
        if (kind) seen.add(kind);
      }
      nLines++;
      nBytes += bytes.byteLength;
      const sampled = options.inferLines !== Number.POSITIVE_INFINITY && nBytes >= SAMPLE_BYTES;
      if (nLines >= options.inferLines || sampled) break reading;
    }
  }
  // The text is a string column even where all sampled texts are null; another type there is a planning error.
  return [...kinds].map(([name, seen]) => {
    return name === options.textColumn && seen.size === 0
      ? stringColumn(name)
      : columnOfKinds(name, seen);
  });
}

/** Fields of a line. @throws CORPUS_LINE_INVALID naming the line */
export async function fieldsOf(
  text: string,
  source: Parameters<typeof absoluteLine>[0],
  line: number,
): Promise<JsonFields> {
  try {
    return jsonFields(text);
  } catch (cause) {
    throw new GristmillError(
      'CORPUS_LINE_INVALID',
      {
        file: source.path,
        line: await absoluteLine(source, line),
        reason: `not a JSON object: ${(cause as Error).message}`,
      },
      { cause },
    );
  }
}
