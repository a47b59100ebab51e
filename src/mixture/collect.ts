/**
 * Runs from the tables of other trackers: one row a run (wandb and MLflow tables of runs), many rows a run (histories by
 * step), or one file a run (TensorBoard's scalars), as CSV or Parquet.
 *
 * Weights of a run may stand in any of its rows and must agree. Empty fields say nothing; a loss that is there but no
 * finite number is an error, because the value before it would hide that the run diverged.
 */
import { basename, extname } from 'node:path';
import type { CsvRecords } from '../csv.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import {
  anObject,
  callback,
  checkOptions,
  listOf,
  name,
  nullable,
  type OptionTable,
  oneOf,
  text,
} from '../options.ts';
import { counting, type OnProgress } from '../progress.ts';
import { isText, numberOf, type Place, refuse } from './table-columns.ts';
import { readRecords } from './table-file.ts';
import {
  lossColumn,
  type MixtureFile,
  mixturesOf,
  type OnMissing,
  TABLE_DEFAULTS,
  targetName,
  weightColumn,
} from './tables.ts';
import type { LossTable } from './types.ts';

/** Options of {@link collectRuns}. */
export interface CollectOptions {
  /** Files of a tracker, .csv or .parquet. */
  readonly inputs: readonly string[];
  /** Column that names the run, or null: every file is a run, named as the file. Default `index`. */
  readonly indexColumn?: string | null;
  /** Start of the columns of weights; what follows is the domain. Default `train_`. */
  readonly weightsPrefix?: string;
  /** Columns of weights by their whole names, in place of the prefix. */
  readonly domains?: readonly string[];
  /** Columns of losses by target. Default: columns of the form `metric/<target>_val_loss`. */
  readonly losses?: Readonly<Record<string, string>>;
  /** Which value of a run with many rows: the last that is there, or the least. Default `last`. */
  readonly reduce?: 'last' | 'min';
  /** Column of numbers that says which row is the last. Default: the order of the rows. */
  readonly stepColumn?: string;
  /** Runs that lack a loss or have one that is no number: `error` (default), or `skip` and count. */
  readonly onMissing?: OnMissing;
  /** Told how many files are read. */
  readonly onProgress?: OnProgress | undefined;
}

/** Runs as collected. */
export interface CollectedRuns {
  /** Null where no file has weights. */
  readonly mixtures: MixtureFile | null;
  readonly losses: LossTable;
  readonly nRows: number;
  /** Runs that were left out. */
  readonly nSkipped: number;
}

interface Run {
  readonly weights: Map<string, { readonly text: string; readonly place: Place }>;
  readonly losses: Map<string, { readonly value: number; readonly step: number }>;
  /** Where the run was first seen. */
  readonly place: Place;
  failure: GristmillError | null;
}

const OPTION_TABLE: OptionTable<CollectOptions> = {
  inputs: listOf(name, 1),
  indexColumn: nullable(name),
  weightsPrefix: text,
  domains: listOf(name),
  losses: anObject,
  reduce: oneOf(['last', 'min']),
  stepColumn: name,
  onMissing: oneOf(['error', 'skip']),
  onProgress: callback,
};

/**
 * Collects runs.
 *
 * @throws MIXTURE_TABLE_INVALID naming file, row, column and value; CORPUS_READ_FAILED, CORPUS_FILE_INVALID,
 *   OPTION_INVALID
 */
export async function collectRuns(options: CollectOptions): Promise<CollectedRuns> {
  checkOptions<CollectOptions>('collectRuns', options, OPTION_TABLE, ['inputs']);
  const { inputs, weightsPrefix = TABLE_DEFAULTS.weightPrefix, onMissing = 'error' } = options;
  if (inputs.length === 0) {
    const details = { option: 'inputs', expected: 'at least one file', received: 'none' };
    throw new GristmillError('OPTION_INVALID', details);
  }
  const runs = new Map<string, Run>();
  const targets = new Set(Object.keys(options.losses ?? {}));
  let nRows = 0;
  const tell = counting(options.onProgress, {
    ...{ phase: 'reading', unit: 'files', total: inputs.length },
  });
  for (const file of inputs) {
    const { header, rows } = await readRecords(file);
    const seen = new Set<string>();
    for (const name of header) {
      if (seen.has(name))
        refuse({ file, row: 0, column: name }, 'distinct column names', 'it twice');
      seen.add(name);
    }
    const columns = columnsOf(file, { header, rows }, { ...options, weightsPrefix });
    for (const target of columns.losses.keys()) targets.add(target);
    for (const [rowIndex, record] of rows.entries()) {
      addRow(runs, record, { file, row: rowIndex + 1, columns, reduce: options.reduce ?? 'last' });
    }
    nRows += rows.length;
    tell();
  }
  return tablesOf(runs, [...targets], { nRows, onMissing, file: inputs.join(', ') });
}

interface Columns {
  readonly header: readonly string[];
  /** Null: the run is the file. */
  readonly index: number | null;
  readonly step: number | null;
  /** Columns of weights. */
  readonly weights: readonly number[];
  /** By column: the domain. */
  readonly domainOf: (column: number) => string;
  /** Column by target. */
  readonly losses: ReadonlyMap<string, number>;
}

function columnsOf(
  file: string,
  { header, rows }: CsvRecords,
  options: CollectOptions & { readonly weightsPrefix: string },
): Columns {
  const { indexColumn = TABLE_DEFAULTS.indexColumn, stepColumn, weightsPrefix, domains } = options;
  const find = (name: string): number => {
    const column = header.indexOf(name);
    if (column < 0) refuse({ file, row: 0, column: name }, 'this column', header.join(', '));
    return column;
  };
  const losses = new Map<string, number>();
  if (options.losses) {
    for (const [target, name] of Object.entries(options.losses)) {
      // A file may hold a part of the targets; that all are there is checked by run.
      const column = header.indexOf(name);
      if (column >= 0) losses.set(target, column);
    }
  } else {
    for (const [column, name] of header.entries()) {
      if (targetName(name) !== name) losses.set(targetName(name), column);
    }
  }
  const index = indexColumn === null ? null : find(indexColumn);
  const step = stepColumn === undefined ? null : find(stepColumn);
  const others = new Set([index, step, ...losses.values()]);
  const weights = header.flatMap((name, column) => {
    if (domains) return domains.includes(name) ? [column] : [];
    if (!name.startsWith(weightsPrefix) || name.length === weightsPrefix.length) return [];
    // Without a prefix every column is meant that may hold weights.
    return weightsPrefix === '' && (others.has(column) || isText(rows, column)) ? [] : [column];
  });
  if (losses.size === 0 && weights.length === 0) {
    const expected = `a column of losses, or of weights with ${weightsPrefix} in front`;
    refuse({ file, row: 0, column: '…' }, expected, header.join(', '));
  }
  return {
    ...{ header, index, step, weights, losses },
    domainOf: (column) =>
      weightColumn(domains ? header[column]! : header[column]!.slice(weightsPrefix.length)),
  };
}

function addRow(
  runs: Map<string, Run>,
  record: readonly string[],
  {
    file,
    row,
    columns,
    reduce,
  }: {
    readonly file: string;
    readonly row: number;
    readonly columns: Columns;
    readonly reduce: 'last' | 'min';
  },
): void {
  const { header, index } = columns;
  const placeOf = (column: number): Place => ({ file, row, column: header[column]! });
  const id = index === null ? basename(file, extname(file)) : record[index]!.trim();
  if (id === '') refuse(placeOf(index!), 'the name of a run', 'nothing');
  let run = runs.get(id);
  if (!run) {
    run = { weights: new Map(), losses: new Map(), place: placeOf(index ?? 0), failure: null };
    runs.set(id, run);
  }
  for (const column of columns.weights) {
    const text = record[column]!.trim();
    if (text === '') continue;
    const place = placeOf(column);
    const domain = columns.domainOf(column);
    const known = run.weights.get(domain);
    if (known === undefined) run.weights.set(domain, { text, place });
    else if (numberOf(known.text, known.place) !== numberOf(text, place)) {
      refuse(
        place,
        `the weight that row ${known.place.row} has for run ${id}, ${known.text}`,
        text,
      );
    }
  }
  const step = columns.step === null ? 0 : numberOf(record[columns.step]!, placeOf(columns.step));
  for (const [target, column] of columns.losses) {
    const text = record[column]!;
    if (text.trim() === '') continue;
    try {
      const value = numberOf(text, placeOf(column));
      const known = run.losses.get(target);
      if (known === undefined || (reduce === 'min' ? value < known.value : step >= known.step)) {
        run.losses.set(target, { value, step });
      }
    } catch (error) {
      if (!isGristmillError(error)) throw error;
      run.failure ??= error;
    }
  }
}

function tablesOf(
  runs: ReadonlyMap<string, Run>,
  targets: readonly string[],
  {
    nRows,
    onMissing,
    file,
  }: { readonly nRows: number; readonly onMissing: OnMissing; readonly file: string },
): CollectedRuns {
  if (targets.length === 0) {
    refuse({ file, row: 0, column: lossColumn('…') }, 'columns of losses', 'none');
  }
  const kept: [string, Run][] = [];
  for (const [id, run] of runs) {
    const missing = targets.find((target) => !run.losses.has(target));
    if (run.failure === null && missing === undefined) kept.push([id, run]);
    else if (onMissing === 'error') {
      if (run.failure) throw run.failure;
      refuse({ ...run.place, column: missing! }, `a loss of run ${id}`, 'none in any row');
    }
  }
  if (kept.length === 0) refuse({ file, row: 1, column: '…' }, 'at least one whole run', 'none');
  const losses = Float64Array.from(
    kept.flatMap(([, run]) => targets.map((target) => run.losses.get(target)!.value)),
  );
  return {
    mixtures: mixturesFrom(kept, file),
    losses: { targets: targets.map(lossColumn), ids: kept.map(([id]) => id), losses },
    nRows,
    nSkipped: runs.size - kept.length,
  };
}

/** Domains of all runs; one that a run does not name has weight 0 there. */
function mixturesFrom(kept: readonly [string, Run][], file: string): MixtureFile | null {
  const domains = [...new Set(kept.flatMap(([, { weights }]) => [...weights.keys()]))];
  if (domains.length === 0) return null;
  const rows = kept.map(([id, { weights, place }]) => {
    if (weights.size === 0) refuse(place, `weights of run ${id}`, 'none');
    return [
      id,
      ...domains.map((domain) => {
        const found = weights.get(domain);
        if (found) numberOf(found.text, found.place);
        return found?.text ?? '0';
      }),
    ];
  });
  const header = [TABLE_DEFAULTS.indexColumn, ...domains];
  return mixturesOf({ header, rows }, file, { prefix: TABLE_DEFAULTS.weightPrefix });
}
