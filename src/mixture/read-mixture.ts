/** One mixture from a file: a row of a table, or JSON of weights by domain. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { GristmillError } from '../errors.ts';
import { refuse } from './table-columns.ts';
import { mixturesOf, readMixtures, TABLE_DEFAULTS } from './tables.ts';
import type { MixtureTable } from './types.ts';

const WEIGHTS = z.record(z.string(), z.number());
const FORMS = z.union([
  WEIGHTS.transform((weights) => Object.entries(weights)),
  z.object({ weights: WEIGHTS }).transform(({ weights }) => Object.entries(weights)),
  z
    .object({ domains: z.array(z.string()), weights: z.array(z.number()) })
    .refine(({ domains, weights }) => domains.length === weights.length)
    .transform(({ domains, weights }) =>
      domains.map((domain, at): [string, number] => [domain, weights[at]!]),
    ),
]);

/**
 * Reads a mixture: the first row of a .csv or .parquet table, or JSON `{domain: weight}`, also as `weights` of an
 * object, or as its `domains` and `weights` side by side.
 *
 * @throws MIXTURE_TABLE_INVALID, CORPUS_READ_FAILED
 */
export async function readMixture(file: string): Promise<MixtureTable> {
  if (!file.toLowerCase().endsWith('.json')) {
    const { domains, ids, weights } = await readMixtures(file);
    return { domains, ids: ids.slice(0, 1), weights: weights.slice(0, domains.length) };
  }
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const details = { file, reason: (cause as Error).message };
    throw new GristmillError('CORPUS_READ_FAILED', details, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const parsed = FORMS.safeParse(json);
  if (!parsed.success) {
    refuse({ file, row: 1, column: '…' }, 'JSON of weights by domain', text.slice(0, 60));
  }
  const entries = parsed.data!;
  const header = [TABLE_DEFAULTS.indexColumn, ...entries.map(([domain]) => domain)];
  const rows = [['1', ...entries.map(([, weight]) => String(weight))]];
  return mixturesOf({ header, rows }, file, { prefix: '' });
}
