/**
 * Domains of a mixture: names, tokens, priors, epoch caps; from YAML, JSON or CSV.
 *
 *     domains:                                  name,tokens,prior,max_epochs
 *       - { name: web, tokens: 3B }             web,3e9,,
 *       - { name: code, tokens: 1e9, maxEpochs: 2 }   code,1e9,,2
 *
 * A YAML or JSON file may also be the bare list, or an object of priors by name.
 */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import * as z from 'zod';
import { parseCsv } from '../csv.ts';
import { GristmillError, printable } from '../errors.ts';
import { parseTokens } from '../schedules/lengths.ts';
import { byName, faultText } from '../schema.ts';
import { domainName } from './tables.ts';

/** A domain. */
export interface DomainSpec {
  /** Not empty, no comma, quote or control character; distinct. */
  readonly name: string;
  /** Tokens (or bytes, if all are) there are of it: its prior where no `prior` is given, and what epoch caps count. */
  readonly tokens?: number | undefined;
  /** Its share of the prior; priors are scaled to sum to 1. All domains have one or none. */
  readonly prior?: number | undefined;
  /** Times its tokens may be seen, above 0. */
  readonly maxEpochs?: number | undefined;
}

/** As plans write them: 5B, 1_000_000 or a number. */
const tokens = z.union([z.number(), z.string()]).transform((value, context) => {
  const count = parseTokens(value);
  if (count !== null && count >= 0) return count;
  const message = `expected tokens, e.g. 2_000_000, 2M or 300B; received ${printable(value)}`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const spec = z.strictObject({
  name: z.string().min(1),
  tokens: tokens.optional(),
  prior: z.number().min(0).optional(),
  maxEpochs: z.number().positive().optional(),
});
const specs = z.array(spec);
const file = z.union(
  [
    specs,
    z.strictObject({ domains: specs }).transform(({ domains }) => domains),
    byName(z.number()).transform((priors) =>
      Object.entries(priors).map(([name, prior]) => ({ name, prior })),
    ),
  ],
  { error: 'expected a list of { name, tokens?, prior?, maxEpochs? }, or priors by name' },
);

const CSV_COLUMNS = { name: 'name', tokens: 'tokens', prior: 'prior', max_epochs: 'maxEpochs' };

/**
 * Reads domains from a `.csv` file, or from YAML or JSON.
 *
 * @throws MIXTURE_DOMAINS_INVALID; MIXTURE_TABLE_INVALID for a file that is no CSV
 */
export function readDomains(path: string): DomainSpec[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(path, (cause as Error).message, cause);
  }
  return checkDomains(path.endsWith('.csv') ? fromCsv(path, text) : fromYaml(path, text), path);
}

/**
 * Checks domains: names distinct, numbers finite and not negative, priors for all or none.
 *
 * @param source what messages call them; default `domains`
 * @throws MIXTURE_DOMAINS_INVALID
 */
export function checkDomains(domains: readonly DomainSpec[], source = 'domains'): DomainSpec[] {
  const parsed = specs.safeParse(domains);
  if (!parsed.success) throw invalid(source, faultText(parsed.error, domains, 'the list'));
  if (domains.length < 2) throw invalid(source, `expected at least 2, received ${domains.length}`);
  const seen = new Set<string>();
  for (const { name } of domains) {
    if (seen.has(name)) throw invalid(source, `${printable(name)} is there twice`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    if (/[",\u0000-\u001f\u007f]/.test(name) || name.trim() !== name) {
      throw invalid(source, `name ${printable(name)}: a comma, quote, control or outer space`);
    }
    seen.add(name);
  }
  const nPriors = domains.filter(({ prior }) => prior !== undefined).length;
  if (nPriors > 0 && nPriors < domains.length) {
    const without = domains.find(({ prior }) => prior === undefined)!.name;
    throw invalid(source, `${printable(without)} has no prior, but others have`);
  }
  return parsed.data;
}

/**
 * The prior of every domain, summing to 1: `prior` where it is given, else in proportion to `tokens`.
 *
 * @returns `[nDomains]`
 * @throws MIXTURE_DOMAINS_INVALID where there is neither, or all are 0
 */
export function priorOf(domains: readonly DomainSpec[]): Float64Array {
  const shares = domains.map(({ name, prior, tokens }) => {
    const share = prior ?? tokens;
    if (share === undefined) {
      throw invalid('domains', `${printable(name)} has neither prior nor tokens`);
    }
    return share;
  });
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (!(total > 0 && Number.isFinite(total))) {
    throw invalid('domains', `their priors or tokens sum to ${total}, expected more than 0`);
  }
  return Float64Array.from(shares, (share) => share / total);
}

/** The one of `names` that is meant by `name`, with or without the `train_` of published tables; null for none. */
export function matchDomain(names: readonly string[], name: string): string | null {
  if (names.includes(name)) return name;
  return names.find((known) => domainName(known) === domainName(name)) ?? null;
}

/**
 * Domains under the names of a fit and in their order; `train_` of published tables may be missing.
 *
 * @throws MIXTURE_DOMAINS_INVALID where they are not the same domains
 */
export function orderDomains(
  domains: readonly DomainSpec[],
  names: readonly string[],
): DomainSpec[] {
  const given = new Map(domains.map((domain) => [matchDomain(names, domain.name), domain]));
  const missing = names.filter((name) => !given.has(name));
  const extra = domains.map(({ name }) => name).filter((name) => matchDomain(names, name) === null);
  if (missing.length > 0 || extra.length > 0) {
    const parts = [
      ...(missing.length > 0 ? [`missing ${missing.join(', ')}`] : []),
      ...(extra.length > 0 ? [`not known to the fit: ${extra.join(', ')}`] : []),
    ];
    throw invalid('domains', printable(parts.join('; ')));
  }
  return names.map((name) => ({ ...given.get(name)!, name }));
}

function fromYaml(path: string, text: string): DomainSpec[] {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (cause) {
    throw invalid(path, (cause as Error).message, cause);
  }
  const parsed = file.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalid(path, faultText(parsed.error, value, 'the file'));
}

function fromCsv(path: string, text: string): DomainSpec[] {
  const { header, rows } = parseCsv(text, path);
  const keys = header.map((column) => {
    if (Object.hasOwn(CSV_COLUMNS, column)) return CSV_COLUMNS[column as keyof typeof CSV_COLUMNS];
    const known = Object.keys(CSV_COLUMNS).join(', ');
    throw invalid(path, `column ${printable(column)}: expected ${known}`);
  });
  if (!keys.includes('name') || new Set(keys).size < keys.length) {
    throw invalid(path, 'expected one column name, and no column twice');
  }
  return rows.map((cells, rowIndex) => {
    const entries = keys.flatMap((key, cellIndex): [string, string | number][] => {
      const cell = cells[cellIndex]!.trim();
      if (key === 'name') return [[key, cell]];
      if (cell === '') return [];
      const value = key === 'tokens' ? parseTokens(cell) : Number(cell);
      if (value !== null && Number.isFinite(value)) return [[key, value]];
      const reason = `row ${rowIndex + 1}, ${key}: expected a number, received ${printable(cell)}`;
      throw invalid(path, reason);
    });
    return Object.fromEntries(entries) as unknown as DomainSpec;
  });
}

function invalid(source: string, reason: string, cause?: unknown): GristmillError {
  const options = cause === undefined ? undefined : { cause };
  return new GristmillError('MIXTURE_DOMAINS_INVALID', { file: source, reason }, options);
}
