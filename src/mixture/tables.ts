/**
 * Tables of mixtures and of losses as files, in the column form of RegMix's published results (arXiv 2407.01492):
 *
 *     mixtures   index, train_<domain>, …                weights of a row sum to 1
 *     losses     index, metric/<target>_val_loss, …
 *     either     params, tokens, epochs_<domain>, …      where runs are of several sizes and token counts: scale-columns.ts
 *
 * CSV and Parquet. Full column names are the names of domains and targets, so that what is written reads back as it
 * was. Columns of the published form are taken where there are any, otherwise all columns but `index`. Published
 * weights are rounded to 0.001: rows whose sum is within {@link TABLE_DEFAULTS}.sumTolerance of 1 are divided by it and
 * counted. Rows are counted from 1 in messages.
 *
 * Past 500 lines: what is written must read back as it was, so both sides stand together.
 */

import { type CsvRecords, csvText } from '../csv.ts';
import { GristmillError } from '../errors.ts';
import {
  epochDomainsOf,
  pickScales,
  scaleCells,
  scalesByDomain,
  scalesOf,
  scalesOfPairs,
  takenScales,
} from './scale-columns.ts';
import {
  type ColumnForm,
  chooseColumns,
  isUnmeasured,
  numberOf,
  numericId,
  readIds,
  refuse,
  rowOf,
} from './table-columns.ts';
import { isParquet, parquetOf, readRecords } from './table-file.ts';
import type { LossTable, MixtureTable, RunScales, RunTable } from './types.ts';
import { writeWhole } from './write-whole.ts';

/** Options of {@link readMixtures} and {@link readLosses}. */
export interface ReadTableOptions {
  /** Column that names the rows. Default `index`, else a first column without a name, as pandas writes its index. */
  readonly indexColumn?: string;
  /** Start of the names of the columns that are meant. Default: found, see {@link TABLE_DEFAULTS}. */
  readonly prefix?: string;
  /** End of those names. Default: found; none for mixtures. */
  readonly suffix?: string;
  /** Columns to leave out. */
  readonly ignore?: readonly string[];
}

/** Defaults of tables. */
export const TABLE_DEFAULTS = Object.freeze({
  indexColumn: 'index',
  weightPrefix: 'train_',
  lossPrefix: 'metric/',
  lossSuffix: '_val_loss',
  /** How far a sum of weights may be from 1. */
  sumTolerance: 0.02,
  /** Decimals of written weights. */
  digits: 6,
});

/** Mixtures as read. */
export interface MixtureFile extends MixtureTable {
  /** Rows whose sum was not 1 but within the tolerance; they were divided by it. */
  readonly nRenormalised: number;
  /** Columns that were not taken. */
  readonly ignored: readonly string[];
  /** What was done to the weights. */
  readonly notes: readonly string[];
  /** Where the table has columns of size and tokens. */
  readonly scales?: RunScales | undefined;
}

/** Losses as read. */
export interface LossFile extends LossTable {
  /** Rows left out because a loss was missing. */
  readonly nSkipped: number;
  readonly ignored: readonly string[];
}

/** What happens to rows that lack something: `error` refuses the table, `skip` leaves them out and counts them. */
export type OnMissing = 'error' | 'skip';

const lossForm: ColumnForm = {
  prefix: TABLE_DEFAULTS.lossPrefix,
  suffix: TABLE_DEFAULTS.lossSuffix,
};

/** Sums closer to 1 than this are taken as 1, so that written weights read back bit by bit. */
export const SUM_ROUNDING = 1e-9;

/**
 * Reads mixtures.
 *
 * @param file path of a .csv or .parquet file
 * @throws MIXTURE_TABLE_INVALID naming file, row, column, value and bound: a header name or an index twice, no weights,
 *   a weight that is no number in 0..1, a sum too far from 1; CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function readMixtures(
  file: string,
  options: ReadMixturesOptions = {},
): Promise<MixtureFile> {
  return mixturesOf(await readRecords(file), file, options);
}

/** Options of {@link readMixtures}. */
export interface ReadMixturesOptions extends ReadTableOptions {
  /** How far the sum of a row may be from 1. Default 0.02. */
  readonly sumTolerance?: number;
  /** Weights of any sum: every row is divided by its own. Percent are known without it. Default false. */
  readonly relative?: boolean;
  /** Domains to take, with or without `train_`. Default: by the form of their columns. */
  readonly domains?: readonly string[];
}

/** Mixtures from records. @throws MIXTURE_TABLE_INVALID, see {@link readMixtures} */
export function mixturesOf(
  records: CsvRecords,
  file: string,
  {
    indexColumn,
    prefix,
    suffix = '',
    sumTolerance = TABLE_DEFAULTS.sumTolerance,
    relative = false,
    domains,
    ignore,
  }: ReadMixturesOptions,
): MixtureFile {
  const form = { prefix: TABLE_DEFAULTS.weightPrefix, suffix: '' };
  const asked = prefix === undefined && suffix === '' ? null : { prefix: prefix ?? '', suffix };
  const columns = chooseColumns(file, records, {
    ...{ indexColumn, asked, form, ignore },
    other: lossForm,
    named: domains,
    shortName: domainName,
  });
  const ids = readIds(file, records, columns.index);
  const nDomains = columns.names.length;
  const weights = new Float64Array(ids.length * nDomains);
  const sums = records.rows.map((record, rowIndex) => {
    const row = weights.subarray(rowIndex * nDomains, (rowIndex + 1) * nDomains);
    let sum = 0;
    for (const [domain, column] of columns.indices.entries()) {
      const place = { file, row: rowIndex + 1, column: columns.names[domain]! };
      const weight = numberOf(record[column]!, place);
      if (weight < 0) refuse(place, 'a weight of at least 0', record[column]!);
      row[domain] = weight;
      sum += weight;
    }
    return sum;
  });
  const isPercent = sums.every((sum) => Math.abs(sum / 100 - 1) <= sumTolerance);
  const unit = isPercent ? 100 : 1;
  let nRenormalised = 0;
  for (const [rowIndex, sum] of sums.entries()) {
    const isGood = relative
      ? sum > 0 && Number.isFinite(sum)
      : Math.abs(sum / unit - 1) <= sumTolerance;
    if (!isGood) {
      const place = { file, row: rowIndex + 1, column: `${columns.names[0]}…` };
      const bound = relative ? 'of a sum above 0' : `that sum to 1 within ${sumTolerance}`;
      const wanted = `weights of index ${ids[rowIndex]} ${bound}`;
      refuse(place, wanted, `a sum of ${Number(sum.toPrecision(9))}`);
    }
    const isExact = Math.abs(sum / unit - 1) <= SUM_ROUNDING;
    if (isExact && !isPercent) continue;
    for (let domain = 0; domain < nDomains; domain++) {
      weights[rowIndex * nDomains + domain]! /= isExact ? unit : sum;
    }
    if (!isExact) nRenormalised++;
  }
  const notes = isPercent ? [`${file}: weights are percent, and are divided by 100`] : [];
  const { names, ignored } = columns;
  const scales = scalesOf(records, file, names.map(domainName));
  const table = { domains: names, ids, weights, nRenormalised, notes };
  return { ...table, ...takenScales(scales, ignored) };
}

/** Options of {@link readLosses}. */
export interface ReadLossesOptions extends ReadTableOptions {
  /** Rows without a loss, or with one that is not finite: `error` (default), or `skip` and count. */
  readonly onMissing?: OnMissing;
  /** Targets to take, whole names or without `metric/` and `_val_loss`. Default: by the form of their columns. */
  readonly targets?: readonly string[];
}

/**
 * Reads losses.
 *
 * @param file path of a .csv or .parquet file
 * @throws MIXTURE_TABLE_INVALID naming file, row, column and value; CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function readLosses(
  file: string,
  { indexColumn, prefix, suffix, targets, ignore, onMissing = 'error' }: ReadLossesOptions = {},
): Promise<LossFile> {
  const records = await readRecords(file);
  const asked =
    prefix === undefined && suffix === undefined
      ? null
      : { prefix: prefix ?? '', suffix: suffix ?? '' };
  const columns = chooseColumns(file, records, {
    ...{ indexColumn, asked, ignore },
    form: lossForm,
    other: { prefix: TABLE_DEFAULTS.weightPrefix, suffix: '' },
    named: targets,
    shortName: targetName,
  });
  const ids = readIds(file, records, columns.index);
  const epochDomains = epochDomainsOf(records.header);
  const scales = scalesOf(records, file, epochDomains);
  const kept: number[] = [];
  const losses: number[] = [];
  for (const [rowIndex, record] of records.rows.entries()) {
    const isMissing = columns.indices.some((column) => isUnmeasured(record[column]!));
    if (isMissing && onMissing === 'skip') continue;
    for (const [target, column] of columns.indices.entries()) {
      const place = { file, row: rowIndex + 1, column: columns.names[target]! };
      losses.push(numberOf(record[column]!, place));
    }
    kept.push(rowIndex);
  }
  return {
    targets: columns.names,
    ids: kept.map((rowIndex) => ids[rowIndex]!),
    losses: Float64Array.from(losses),
    nSkipped: ids.length - kept.length,
    ...takenScales(scales && pickScales(scales, kept), columns.ignored),
    ...(scales?.epochs && { epochDomains }),
  };
}

/** Runs as joined. */
export interface JoinedRuns extends RunTable {
  /** Mixtures that no row of losses belongs to. */
  readonly nWithoutLosses: number;
  /** Rows of losses that no mixture belongs to. */
  readonly nWithoutMixture: number;
}

/**
 * Joins mixtures and losses on their ids, in the order of the mixtures. Scales are those of the losses, else of the mixtures;
 * of the mixtures too where they alone have epochs.
 *
 * @param options `onMissing`: what happens to ids that only one table has (`error`); `files`: for messages
 * @throws MIXTURE_TABLE_INVALID for an id that only one table has, or when none is in both
 */
export function joinRuns(
  mixtures: MixtureTable & { readonly scales?: RunScales | undefined },
  losses: LossTable,
  {
    onMissing = 'error',
    files = { mixtures: 'mixtures', losses: 'losses' },
  }: {
    readonly onMissing?: OnMissing;
    readonly files?: { readonly mixtures: string; readonly losses: string };
  } = {},
): JoinedRuns {
  const nDomains = mixtures.domains.length;
  const nTargets = losses.targets.length;
  const rowById = new Map(losses.ids.map((id, row) => [id, row]));
  const byNumber = otherSpellings(mixtures.ids, losses.ids);
  const pairs: (readonly [mixture: number, loss: number])[] = [];
  for (const [row, id] of mixtures.ids.entries()) {
    const lossRow = rowById.get(id) ?? byNumber.get(id);
    if (lossRow !== undefined) pairs.push([row, lossRow]);
    else if (onMissing === 'error') {
      const place = { file: files.mixtures, row: row + 1, column: TABLE_DEFAULTS.indexColumn };
      refuse(place, `an index that ${files.losses} has too`, id);
    }
  }
  const nWithoutMixture = losses.ids.length - pairs.length;
  if (onMissing === 'error' && nWithoutMixture > 0) {
    const paired = new Set(pairs.map(([, lossRow]) => lossRow));
    const row = losses.ids.findIndex((_, lossRow) => !paired.has(lossRow));
    const place = { file: files.losses, row: row + 1, column: TABLE_DEFAULTS.indexColumn };
    refuse(place, `an index that ${files.mixtures} has too`, losses.ids[row]!);
  }
  if (pairs.length === 0) {
    const place = { file: files.losses, row: 1, column: TABLE_DEFAULTS.indexColumn };
    refuse(place, `an index that ${files.mixtures} has too`, losses.ids[0] ?? 'no rows');
  }
  const weights = new Float64Array(pairs.length * nDomains);
  const joined = new Float64Array(pairs.length * nTargets);
  for (const [run, [row, lossRow]] of pairs.entries()) {
    weights.set(mixtures.weights.subarray(row * nDomains, (row + 1) * nDomains), run * nDomains);
    joined.set(
      losses.losses.subarray(lossRow * nTargets, (lossRow + 1) * nTargets),
      run * nTargets,
    );
  }
  const named = { weights: mixtures.weights, domains: mixtures.domains.map(domainName) };
  // What was measured comes before what was planned: a design's tokens are not a sweep's to the token.
  const isMeasured = losses.scales && (losses.scales.epochs || !mixtures.scales?.epochs);
  const ofLosses = isMeasured ? scalesByDomain(losses, named, files.losses) : undefined;
  const ofMixtures = isMeasured ? undefined : mixtures.scales;
  return {
    domains: mixtures.domains,
    targets: losses.targets,
    ids: pairs.map(([row]) => mixtures.ids[row]!),
    weights,
    losses: joined,
    ...scalesOfPairs({ scales: ofMixtures }, { scales: ofLosses }, pairs),
    nWithoutLosses: mixtures.ids.length - pairs.length,
    nWithoutMixture,
  };
}

/** Rows of the losses by ids of mixtures that are spelled otherwise there: `1.0`, `001` and `1`. */
function otherSpellings(
  mixtureIds: readonly string[],
  lossIds: readonly string[],
): ReadonlyMap<string, number> {
  const known = new Set(lossIds);
  const taken = new Set(mixtureIds);
  return new Map(
    mixtureIds.flatMap((id) => {
      if (known.has(id) || numericId(id) === null || rowOf(mixtureIds, numericId(id)!) < 0)
        return [];
      const row = rowOf(lossIds, id);
      return row < 0 || taken.has(lossIds[row]!) ? [] : [[id, row] as const];
    }),
  );
}

/**
 * Weights in the order of `domains`. Names match whole, or without `train_`.
 *
 * @param file for messages
 * @returns `[nMixtures × domains.length]`
 * @throws MIXTURE_TABLE_INVALID for a domain that the table lacks, and for one that only the table has unless all its
 *   weights are 0
 */
export function alignDomains(
  table: MixtureTable,
  domains: readonly string[],
  file = 'mixtures',
): Float64Array {
  const columnOf = new Map(table.domains.map((name, column) => [domainName(name), column]));
  const nColumns = table.domains.length;
  const aligned = new Float64Array(table.ids.length * domains.length);
  for (const [domain, name] of domains.entries()) {
    const column = columnOf.get(domainName(name));
    if (column === undefined) {
      refuse({ file, row: 0, column: name }, 'this column', table.domains.join(', '));
    }
    columnOf.delete(domainName(name));
    for (let row = 0; row < table.ids.length; row++) {
      aligned[row * domains.length + domain] = table.weights[row * nColumns + column!]!;
    }
  }
  for (const column of columnOf.values()) {
    for (let row = 0; row < table.ids.length; row++) {
      const weight = table.weights[row * nColumns + column]!;
      if (weight === 0) continue;
      const place = { file, row: row + 1, column: table.domains[column]! };
      refuse(place, 'weight 0 in a domain that the fit does not know', weight);
    }
  }
  return aligned;
}

/** A domain without the published prefix: `train_arxiv` is `arxiv`. */
export function domainName(column: string): string {
  const { weightPrefix } = TABLE_DEFAULTS;
  return column.startsWith(weightPrefix) ? column.slice(weightPrefix.length) : column;
}

/** A target without the published prefix and suffix: `metric/arxiv_val_loss` is `arxiv`. */
export function targetName(column: string): string {
  const { lossPrefix, lossSuffix } = TABLE_DEFAULTS;
  return column.startsWith(lossPrefix) && column.endsWith(lossSuffix)
    ? column.slice(lossPrefix.length, -lossSuffix.length)
    : column;
}

/** Options of the writers. */
export interface WriteTableOptions {
  /** Column that names the rows. Default `index`. */
  readonly indexColumn?: string;
}

/**
 * Writes mixtures, as CSV or, by the name's end, as Parquet. Every written row sums to 1 exactly in its decimals: see
 * {@link roundMixture}. Domains that do not begin with `train_` get it.
 *
 * @param options `digits`: decimals of weights, 1..12 (6)
 * @throws MIXTURE_WRITE_FAILED, OPTION_INVALID
 */
export async function writeMixtures(
  path: string,
  table: MixtureTable & { readonly scales?: RunScales | undefined },
  {
    indexColumn = TABLE_DEFAULTS.indexColumn,
    digits = TABLE_DEFAULTS.digits,
  }: WriteTableOptions & { readonly digits?: number } = {},
): Promise<void> {
  const nDomains = table.domains.length;
  const { names, cellsOf } = scaleCells(table.scales, table.domains.map(domainName));
  const rows = table.ids.map((_, row) => [
    ...roundMixture(table.weights.subarray(row * nDomains, (row + 1) * nDomains), digits),
    ...cellsOf(row),
  ]);
  const columns = [...table.domains.map(weightColumn), ...names];
  await writeTable(path, indexColumn, columns, table.ids, rows);
}

/**
 * Writes losses, as CSV or, by the name's end, as Parquet. Targets that are not of the published form get it: `arxiv`
 * becomes `metric/arxiv_val_loss`. Losses are written so that they read back bit by bit. Scales follow where there are any.
 *
 * @throws MIXTURE_WRITE_FAILED
 */
export async function writeLosses(
  path: string,
  table: LossTable,
  { indexColumn = TABLE_DEFAULTS.indexColumn }: WriteTableOptions = {},
): Promise<void> {
  const nTargets = table.targets.length;
  const { names, cellsOf } = scaleCells(table.scales, table.epochDomains ?? []);
  const rows = table.ids.map((_, row) => [
    ...table.losses.subarray(row * nTargets, (row + 1) * nTargets),
    ...cellsOf(row),
  ]);
  await writeTable(
    path,
    indexColumn,
    [...table.targets.map(lossColumn), ...names],
    table.ids,
    rows,
  );
}

/**
 * Writes mixtures and losses into one file, which both readers take. See {@link writeMixtures}, {@link writeLosses}.
 *
 * @throws MIXTURE_WRITE_FAILED, OPTION_INVALID
 */
export async function writeRuns(
  path: string,
  runs: RunTable,
  { indexColumn = TABLE_DEFAULTS.indexColumn }: WriteTableOptions = {},
): Promise<void> {
  const nDomains = runs.domains.length;
  const nTargets = runs.targets.length;
  const { names, cellsOf } = scaleCells(runs.scales, runs.domains.map(domainName));
  const rows = runs.ids.map((_, row) => [
    ...roundMixture(
      runs.weights.subarray(row * nDomains, (row + 1) * nDomains),
      TABLE_DEFAULTS.digits,
    ),
    ...runs.losses.subarray(row * nTargets, (row + 1) * nTargets),
    ...cellsOf(row),
  ]);
  const all = [...runs.domains.map(weightColumn), ...runs.targets.map(lossColumn), ...names];
  await writeTable(path, indexColumn, all, runs.ids, rows);
}

/** A domain's column in the published form: `train_<domain>`. */
export function weightColumn(domain: string): string {
  return `${TABLE_DEFAULTS.weightPrefix}${domainName(domain)}`;
}

/** A target's column in the published form: `metric/<target>_val_loss`. */
export function lossColumn(target: string): string {
  return `${TABLE_DEFAULTS.lossPrefix}${targetName(target)}${TABLE_DEFAULTS.lossSuffix}`;
}

async function writeTable(
  path: string,
  indexColumn: string,
  names: readonly string[],
  ids: readonly string[],
  rows: readonly ArrayLike<number>[],
): Promise<void> {
  if (isParquet(path)) {
    const columns = names.map((name, column) => ({
      name,
      values: rows.map((row) => row[column]!),
    }));
    await writeWhole(path, parquetOf(indexColumn, ids, columns));
    return;
  }
  const records = ids.map((id, row) => [id, ...Array.from(rows[row]!, decimals)]);
  await writeWhole(path, csvText([[indexColumn, ...names], ...records]));
}

/** The shortest decimals that read back as the number, without an exponent where it is a plain weight. */
function decimals(value: number): string {
  const text = String(value);
  return text.includes('e-') && value >= 1e-12 && value < 1
    ? value.toFixed(12).replace(/0+$/, '')
    : text;
}

/**
 * A mixture on the grid of `10^-digits` that sums to 1: rounded half to even, and the weights whose rounding was
 * furthest off moved by one step until the sum fits (largest remainder; the earlier domain first in a tie).
 *
 * @param weights sum 1
 * @param digits 1..12
 */
export function roundMixture(weights: Float64Array, digits: number): Float64Array {
  if (!Number.isSafeInteger(digits) || digits < 1 || digits > 12) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'digits',
      expected: 'a whole number in 1..12',
      received: digits,
    });
  }
  const units = 10 ** digits;
  const steps = Array.from(weights, (weight) => halfEven(weight * units));
  const remainders = steps.map((step, domain) => weights[domain]! * units - step);
  let missing = units - steps.reduce((sum, step) => sum + step, 0);
  const direction = Math.sign(missing);
  const order = steps
    .map((_, domain) => domain)
    .sort((left, right) => direction * (remainders[right]! - remainders[left]!) || left - right);
  for (let place = 0; missing !== 0; place = (place + 1) % order.length) {
    const domain = order[place]!;
    if (direction < 0 && steps[domain] === 0) continue;
    steps[domain]! += direction;
    missing -= direction;
  }
  return Float64Array.from(steps, (step) => step / units);
}

function halfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
