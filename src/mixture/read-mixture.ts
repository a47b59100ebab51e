/**
 * One mixture from a file, in the forms that people and other tools write:
 *
 *     .csv .tsv .parquet   the first row of a table, or two columns of names and weights (`domain,weight`)
 *     .json .yaml .yml     {domain: weight}                     also as `weights`, `train_domain_weights` (DoReMi),
 *                                                               `train` (RegMix) or `sources` of an object
 *                          {domains: […], weights: […]}         side by side
 *                          [{domain, weight}]                   Olmix; OLMo-core has source_name and target_ratio
 *
 * Weights may be relative, or percent (`70` of 100, or `70 %`): what does not sum to 1 is divided by its sum, and a note
 * says so. Names are data: `__proto__` is one like any other, and a name that is there twice is refused.
 */
import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { GristmillError } from '../errors.ts';
import { checkDistinct, isBlank, numberOf, type Place, refuse } from './table-columns.ts';
import { readRecords } from './table-file.ts';
import { domainName, mixturesOf, type ReadMixturesOptions, SUM_ROUNDING } from './tables.ts';
import type { MixtureTable } from './types.ts';

/** A mixture as read. */
export interface ReadMixture extends MixtureTable {
  /** What was done to the weights. */
  readonly notes: readonly string[];
}

/** Keys of an object under which weights by domain stand, most telling first. */
const HOLDERS = ['weights', 'train_domain_weights', 'train', 'sources', 'mixture', 'domains'];
/** Keys of an entry of a list. */
const NAME_KEYS = ['domain', 'name', 'source_name', 'source', 'dataset'];
const WEIGHT_KEYS = ['weight', 'target_ratio', 'ratio', 'proportion', 'share'];

/** Of a text that is a number or percent; numberOf() reads it. */
const SHARE = /^\s*[+-]?[\d.]{1,400}(?:[eE][+-]?\d{1,5})?\s*%?\s*$/;

type Entry = readonly [name: string, weight: unknown];

/**
 * Reads a mixture; see the file's header.
 *
 * @param options of a table's columns
 * @throws MIXTURE_TABLE_INVALID, CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function readMixture(
  file: string,
  options: ReadMixturesOptions = {},
): Promise<ReadMixture> {
  const { domains, ids, weights, notes } = await readMixtureRows(file, options);
  return { domains, ids: ids.slice(0, 1), weights: weights.slice(0, domains.length), notes };
}

/** As {@link readMixture}, with all rows of a table. */
export async function readMixtureRows(
  file: string,
  options: ReadMixturesOptions = {},
): Promise<ReadMixture> {
  if (!/\.(json|ya?ml)$/i.test(file)) {
    const records = await readRecords(file);
    const long = longForm(records.header);
    if (long) {
      return fromEntries(
        file,
        records.rows.map((row): Entry => [row[long.name]!, row[long.weight]!]),
      );
    }
    return mixturesOf(records, file, options);
  }
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const details = { file, reason: (cause as Error).message };
    throw new GristmillError('CORPUS_READ_FAILED', details, { cause });
  }
  const isJson = /\.json$/i.test(file);
  const entries = entriesOf(parsed(file, text.replace(/^\ufeff/, ''), isJson));
  if (entries === null) {
    refuse({ file, row: 1, column: '…' }, 'weights by domain', text.trim().slice(0, 60));
  }
  return fromEntries(file, entries!);
}

/** JSON or YAML; names that are there twice are refused. */
function parsed(file: string, text: string, isJson: boolean): unknown {
  const place = { file, row: 1, column: '…' };
  // JSON.parse keeps the last of two, and YAML reads JSON with all its names.
  const document = parseDocument(text, { uniqueKeys: true, maxAliasCount: 100 } as object);
  const twice = document.errors.find(({ code }) => code === 'DUPLICATE_KEY');
  if (twice) refuse(place, 'distinct names of domains', twice.message.split('\n')[0]);
  try {
    if (isJson) return JSON.parse(text);
  } catch {
    refuse(place, 'JSON of weights by domain', text.trim().slice(0, 60));
  }
  const [error] = document.errors;
  if (error) refuse(place, 'YAML of weights by domain', error.message.split('\n')[0]);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    return refuse(place, 'YAML of weights by domain', (cause as Error).message.slice(0, 60));
  }
}

/** Columns of a table of names and weights; null for any other table. */
function longForm(
  header: readonly string[],
): { readonly name: number; readonly weight: number } | null {
  const find = (keys: readonly string[]): number =>
    header.findIndex((column) => keys.includes(column.trim().toLowerCase()));
  const [name, weight] = [find(NAME_KEYS), find(WEIGHT_KEYS)];
  return name >= 0 && weight >= 0 && header.length <= 3 ? { name, weight } : null;
}

/** Names and weights of a parsed file; null where it has another form. */
function entriesOf(value: unknown, depth = 0): Entry[] | null {
  if (Array.isArray(value)) {
    const entries = value.map(listEntry);
    return entries.length > 0 && entries.every((entry) => entry !== null) ? entries : null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const entries = Object.entries(value);
  const own = new Map(entries);
  const [domains, weights] = [own.get('domains'), own.get('weights')];
  if (Array.isArray(domains) && Array.isArray(weights)) {
    const named = domains.every((name) => typeof name === 'string');
    return named && domains.length === weights.length
      ? domains.map((name, at): Entry => [name, weights[at]])
      : null;
  }
  if (entries.length > 0 && entries.every(([, weight]) => isWeight(weight))) return entries;
  for (const key of depth === 0 ? HOLDERS : []) {
    const inner = own.get(key);
    const found = typeof inner === 'object' ? entriesOf(inner, 1) : null;
    if (found) return found;
  }
  return null;
}

/** `{domain, weight}`, or an object of one name. */
function listEntry(item: unknown): Entry | null {
  if (typeof item !== 'object' || item === null) return null;
  const own = new Map(Object.entries(item));
  const valueAt = (keys: readonly string[]): unknown =>
    own.get(keys.find((key) => own.has(key)) ?? '');
  const [name, weight] = [valueAt(NAME_KEYS), valueAt(WEIGHT_KEYS)];
  if (typeof name === 'string' && isWeight(weight)) return [name, weight];
  const [only, ...others] = own;
  return only && others.length === 0 && isWeight(only[1]) ? only : null;
}

function isWeight(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && SHARE.test(value));
}

function fromEntries(file: string, entries: readonly Entry[]): ReadMixture {
  const names = entries.map(([name]) => name.trim());
  const weights = Float64Array.from(entries, ([, weight], at) => {
    const place = { file, row: at + 1, column: names[at]! };
    if (names[at] === '') refuse(place, 'the name of a domain', 'nothing');
    return weightOf(weight, place);
  });
  if (names.length === 0) refuse({ file, row: 1, column: '…' }, 'weights by domain', 'none');
  checkDistinct(file, names, domainName);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const place = { file, row: 1, column: `${names[0]}…` };
  if (!(sum > 0 && Number.isFinite(sum))) refuse(place, 'weights of a sum above 0', sum);
  const notes: string[] = [];
  if (Math.abs(sum - 1) > SUM_ROUNDING) {
    notes.push(`${file}: weights sum to ${Number(sum.toPrecision(9))} and are divided by it`);
    for (const at of weights.keys()) weights[at]! /= sum;
  }
  return { domains: names, ids: ['1'], weights, notes };
}

function weightOf(weight: unknown, place: Place): number {
  const text = String(weight).trim();
  const isPercent = text.endsWith('%');
  if (isBlank(text)) refuse(place, 'a weight', 'nothing');
  const value = numberOf(isPercent ? text.slice(0, -1) : text, place) / (isPercent ? 100 : 1);
  if (value < 0) refuse(place, 'a weight of at least 0', text);
  return value;
}
