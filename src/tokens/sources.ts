/**
 * Where the texts of each domain lie: YAML or JSON, and reading them.
 *
 *     domains:
 *       - { name: code, inputs: [code/*.parquet], textColumn: content }     one domain
 *       - { name: iberian, inputs: [web.parquet], where: { language: [es, pt] } }    rows with one of these values
 *       - { domainColumn: kind, inputs: [web.parquet] }                     one for every value of a column
 *
 * A row belongs to one domain of its source; names are distinct over the file. Rows without a text or without a domain
 * are counted.
 */
import * as z from 'zod';
import type { BytesColumn } from '../batch/document-batch.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { readRowBatches, requireColumn } from '../corpus/rows.ts';
import { planTexts } from '../corpus/texts.ts';
import { type CorpusPlan, ROW_OK } from '../corpus/types.ts';
import { GristmillError, printable } from '../errors.ts';
import { byName, faultText } from '../schema.ts';
import { readYaml } from '../yaml-file.ts';

const inputs = z.array(z.string().min(1)).min(1);
const textColumn = z.string().min(1).optional();
/** By column: values of which a row must have one. */
const where = byName(z.array(z.string()).min(1), z.string().min(1)).optional();
const schema = z.strictObject({
  domains: z
    .array(
      z.union(
        [
          z.strictObject({ name: z.string().min(1).max(200), inputs, textColumn, where }),
          z.strictObject({ domainColumn: z.string().min(1), inputs, textColumn }),
        ],
        {
          error:
            'expected { name, inputs, textColumn?, where? } or { domainColumn, inputs, textColumn? }',
        },
      ),
    )
    .min(1),
});

/** Texts of one domain, or of one for every value of a column. */
export type DomainSource = z.infer<typeof schema>['domains'][number];

/** Domains beyond this are no parts of a corpus but a column of something else. */
const MAX_DOMAINS = 4096;

/** Checks sources. @param file named in the error @throws TRAIN_SOURCES_INVALID */
export function checkSources(input: unknown, file = 'sources'): readonly DomainSource[] {
  const parsed = schema.safeParse(input);
  if (!parsed.success) {
    const reason = faultText(parsed.error, input, 'file');
    throw new GristmillError('TRAIN_SOURCES_INVALID', { file, reason });
  }
  const seen = new Set<string>();
  for (const source of parsed.data.domains) {
    if ('name' in source) checkName(source.name, seen, file);
  }
  return parsed.data.domains;
}

/** Reads sources. @throws TRAIN_SOURCES_INVALID */
export function readSources(file: string): readonly DomainSource[] {
  return checkSources(readYaml(file, 'TRAIN_SOURCES_INVALID'), file);
}

/** A source that is planned: its files are there and have the columns. */
export interface PlannedSource {
  readonly source: DomainSource;
  readonly plan: CorpusPlan;
}

/** Plans sources; what lies in them and is not read is said. @throws CORPUS_* */
export async function planSources(
  sources: readonly DomainSource[],
  signal?: AbortSignal,
  onNotice?: (line: string) => void,
): Promise<PlannedSource[]> {
  const planned: PlannedSource[] = [];
  for (const source of sources) {
    const plan = await planTexts({
      inputs: source.inputs,
      signal,
      onNotice,
      ...(source.textColumn !== undefined && { textColumn: source.textColumn }),
    });
    const needed = columnsOf(source);
    for (const column of needed) requireColumn(plan, column, source.inputs.join(' '));
    const wanted = new Set([plan.textColumn, ...needed]);
    planned.push({ source, plan: onlyColumns({ ...plan, idColumn: null }, wanted) });
  }
  return planned;
}

/** Columns that say where a row belongs. */
function columnsOf(source: DomainSource): string[] {
  return 'name' in source ? Object.keys(source.where ?? {}) : [source.domainColumn];
}

/** Files of sources by path, with what tells whether they changed. */
export function fingerprintsOf(planned: readonly PlannedSource[]): Record<string, string> {
  return Object.fromEntries(
    planned.flatMap(({ plan }) => plan.files.map(({ path, fingerprint }) => [path, fingerprint])),
  );
}

/** A batch of texts with their domains; its memory is valid until the next one is asked for. */
export interface DomainBatch {
  readonly text: BytesColumn;
  /** Name of each row's domain; null for a row without a text or without a domain. */
  readonly domains: readonly (string | null)[];
}

/**
 * Reads the texts of a source in order.
 *
 * @param names of the domains so far, which what is found is added to
 * @throws CORPUS_*, TRAIN_SOURCES_INVALID for a name that no domain can have or that another source has, ABORTED
 */
export async function* readDomainTexts(
  { source, plan }: PlannedSource,
  names: Set<string>,
  signal?: AbortSignal,
): AsyncGenerator<DomainBatch> {
  const own = new Set<string>();
  const file = source.inputs.join(' ');
  for await (const { batch, rowStatus, columns } of readRowBatches(plan, signal)) {
    const values = columnsOf(source).length > 0 ? await columns() : new Map();
    const domains = Array.from(rowStatus, (status, row) => {
      if (status !== ROW_OK) return null;
      const name = domainOf(source, (column) => nameOf(values.get(column)?.[row]));
      if (name === null || own.has(name)) return name;
      own.add(name);
      checkName(name, names, file);
      return name;
    });
    yield { text: batch.text, domains };
  }
}

/**
 * Whether a source has a document that is not empty; it is read up to the first one.
 *
 * @throws as {@link readDomainTexts} does
 */
export async function hasDocuments(planned: PlannedSource, signal?: AbortSignal): Promise<boolean> {
  for await (const { text, domains } of readDomainTexts(planned, new Set(), signal)) {
    const isThere = (row: number): boolean => text.offsets[row + 1]! > text.offsets[row]!;
    if (domains.some((name, row) => name !== null && isThere(row))) return true;
  }
  return false;
}

function domainOf(source: DomainSource, read: (column: string) => string | null): string | null {
  if (!('name' in source)) return read(source.domainColumn);
  const conditions = Object.entries(source.where ?? {});
  return conditions.every(([column, values]) => values.includes(read(column) ?? ''))
    ? source.name
    : null;
}

function nameOf(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null;
  return typeof value === 'object' ? null : String(value);
}

function checkName(name: string, seen: Set<string>, file: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[",\u0000-\u001f\u007f]/.test(name) || name.trim() !== name || name.length > 200) {
    const reason = `domain ${printable(name)}: a comma, quote, control, outer space, or more than 200 characters`;
    throw new GristmillError('TRAIN_SOURCES_INVALID', { file, reason });
  }
  if (seen.has(name)) {
    const reason = `domain ${printable(name)} is there twice`;
    throw new GristmillError('TRAIN_SOURCES_INVALID', { file, reason });
  }
  seen.add(name);
  if (seen.size > MAX_DOMAINS) {
    const reason = `more than ${MAX_DOMAINS} domains`;
    throw new GristmillError('TRAIN_SOURCES_INVALID', { file, reason });
  }
}
