/**
 * One mixture from a file: a row of a table of mixtures, or an object of weights in JSON or YAML.
 *
 *     {"web": 0.7, "code": 0.3}                                 weights by domain, or the same under
 *     mixture: …    weights: …    train: …                      one of these keys (`train:` is the published form)
 *     {"domains": ["web", "code"], "weights": [0.7, 0.3]}       two lists
 *
 * Names lose the published `train_`; weights whose sum is a rounding away from 1 are divided by it.
 */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { GristmillError } from '../errors.ts';
import { domainName, readMixtures, TABLE_DEFAULTS } from './tables.ts';

/** A mixture: distinct domains with their weights, summing to 1. */
export interface Mixture {
  readonly domains: readonly string[];
  /** `[nDomains]`. */
  readonly weights: Float64Array;
}

const byName = z.record(z.string().min(1), z.number().min(0));
const schema = z.union([
  z
    .looseObject({ domains: z.array(z.string().min(1)), weights: z.array(z.number().min(0)) })
    .refine(({ domains, weights }) => domains.length === weights.length)
    .transform(({ domains, weights }) => domains.map((name, at) => [name, weights[at]!] as const)),
  z.looseObject({ mixture: byName }).transform(({ mixture }) => Object.entries(mixture)),
  z.looseObject({ weights: byName }).transform(({ weights }) => Object.entries(weights)),
  z.looseObject({ train: byName }).transform(({ train }) => Object.entries(train)),
  byName.transform((weights) => Object.entries(weights)),
]);

/**
 * Reads a mixture.
 *
 * @param file .csv or .parquet (see tables.ts), else JSON or YAML
 * @param id which row of a table; needed where it has several
 * @throws MIXTURE_TABLE_INVALID, CORPUS_READ_FAILED
 */
export async function readMixture(file: string, id?: string): Promise<Mixture> {
  if (/\.(csv|parquet)$/i.test(file)) {
    const table = await readMixtures(file);
    const row = id === undefined && table.ids.length === 1 ? 0 : table.ids.indexOf(id ?? '');
    if (row < 0) {
      const expected = id === undefined ? 'one row, or the index of one' : `an index ${id}`;
      refuse(file, TABLE_DEFAULTS.indexColumn, expected, table.ids.slice(0, 8).join(', '));
    }
    const nDomains = table.domains.length;
    const weights = table.weights.slice(row * nDomains, (row + 1) * nDomains);
    return { domains: table.domains.map(domainName), weights };
  }
  const parsed = schema.safeParse(parseFile(file));
  if (!parsed.success) refuse(file, '-', 'weights by domain, 0 or more', 'something else');
  const entries = parsed.data!;
  const sum = entries.reduce((total, [, weight]) => total + weight, 0);
  if (!(Math.abs(sum - 1) <= TABLE_DEFAULTS.sumTolerance)) {
    const expected = `weights that sum to 1 within ${TABLE_DEFAULTS.sumTolerance}`;
    refuse(file, 'weights', expected, Number(sum.toPrecision(9)));
  }
  const domains = entries.map(([name]) => domainName(name));
  const twice = domains.find((name, at) => domains.indexOf(name) !== at);
  if (twice !== undefined) refuse(file, twice, 'distinct domains', 'it is there twice');
  return { domains, weights: Float64Array.from(entries, ([, weight]) => weight / sum) };
}

function parseFile(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_READ_FAILED', { file, reason }, { cause });
  }
  try {
    return parseYaml(text);
  } catch (cause) {
    return refuse(file, '-', 'JSON or YAML', (cause as Error).message);
  }
}

function refuse(file: string, column: string, expected: string, received: unknown): never {
  throw new GristmillError('MIXTURE_TABLE_INVALID', { file, row: 1, column, expected, received });
}
