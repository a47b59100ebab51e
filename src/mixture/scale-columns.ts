/**
 * Columns of size, tokens and repetition in a table of runs:
 *
 *     params, tokens          parameters of the model, tokens it was trained on; both or neither
 *     epochs_<domain>         how often the domain was seen; all domains or none
 *
 * They are known by their names wherever they stand, and are never taken for domains or targets unless those are named.
 */
import type { CsvRecords } from '../csv.ts';
import { numberOf, type Place, refuse, SCALE_COLUMNS } from './table-columns.ts';
import type { LossTable, MixtureTable, RunScales } from './types.ts';

/**
 * Size and tokens of the rows; undefined where the table has neither column.
 *
 * @param domains short names, in the order of the weights
 * @throws MIXTURE_TABLE_INVALID for one of both columns, epochs of some domains only, a number that is not above 0
 */
export function scalesOf(
  { header, rows }: CsvRecords,
  file: string,
  domains: readonly string[],
): RunScales | undefined {
  const read = (column: number, isGood: (value: number) => boolean, bound: string) =>
    rows.map((record, row) => {
      const place: Place = { file, row: row + 1, column: header[column]! };
      const value = numberOf(record[column]!, place);
      return isGood(value) ? value : refuse(place, bound, record[column]!);
    });
  const names = [SCALE_COLUMNS.params, SCALE_COLUMNS.tokens];
  const [params, tokens] = names.map((name) => header.indexOf(name)) as [number, number];
  if (params < 0 && tokens < 0) return undefined;
  const lacking = names[params < 0 ? 0 : 1]!;
  if (params < 0 || tokens < 0) {
    const place = { file, row: 0, column: lacking };
    return refuse(place, 'this column beside the other of params and tokens', header.join(', '));
  }
  const columns = domains.map((domain) => header.indexOf(`${SCALE_COLUMNS.epochs}${domain}`));
  const hasEpochs = columns.some((column) => column >= 0);
  const missing = columns.indexOf(-1);
  if (hasEpochs && missing >= 0) {
    const column = `${SCALE_COLUMNS.epochs}${domains[missing]}`;
    return refuse({ file, row: 0, column }, 'epochs of every domain', header.join(', '));
  }
  const isAbove = (value: number): boolean => value > 0;
  const epochs = new Float64Array(hasEpochs ? rows.length * domains.length : 0);
  if (hasEpochs) {
    for (const [domain, column] of columns.entries()) {
      const values = read(column, (value) => value >= 0, 'a number of at least 0');
      for (const [row, value] of values.entries()) epochs[row * domains.length + domain] = value;
    }
  }
  return {
    params: Float64Array.from(read(params, isAbove, 'a number above 0')),
    tokens: Float64Array.from(read(tokens, isAbove, 'a number above 0')),
    epochs: hasEpochs ? epochs : null,
  };
}

/** Short names of the domains that a header has epochs of, in its order. */
export function epochDomainsOf(header: readonly string[]): string[] {
  const { epochs } = SCALE_COLUMNS;
  return header.flatMap((name) =>
    name.startsWith(epochs) && name.length > epochs.length ? [name.slice(epochs.length)] : [],
  );
}

/**
 * Scales of losses with epochs in the order of the mixtures' domains. A domain without epochs was never seen.
 *
 * @param mixtures their weights, and the short names of their domains
 * @throws MIXTURE_TABLE_INVALID for a domain without epochs that some mixture has
 */
export function scalesByDomain(
  { scales, epochDomains = [] }: LossTable,
  { domains, weights }: Pick<MixtureTable, 'domains' | 'weights'>,
  file: string,
): RunScales | undefined {
  if (!scales?.epochs || epochDomains.join('\n') === domains.join('\n')) return scales;
  const columns = domains.map((name, domain) => {
    const column = epochDomains.indexOf(name);
    const isSeen = weights.some((weight, at) => at % domains.length === domain && weight > 0);
    if (column >= 0 || !isSeen) return column;
    const missing = `${SCALE_COLUMNS.epochs}${name}`;
    return refuse(
      { file, row: 0, column: missing },
      'epochs of every domain',
      epochDomains.join(', '),
    );
  });
  const { epochs } = scales;
  const width = epochDomains.length;
  return {
    ...scales,
    epochs: Float64Array.from(
      Array.from(scales.params, (_, row) =>
        columns.map((column) => (column < 0 ? 0 : epochs[row * width + column]!)),
      ).flat(),
    ),
  };
}

/** Names and cells of the columns that say scales. @param domains short names that epochs are of */
export function scaleCells(
  scales: RunScales | undefined,
  domains: readonly string[],
): { readonly names: readonly string[]; cellsOf(row: number): number[] } {
  if (scales === undefined) return { names: [], cellsOf: () => [] };
  const { params, tokens, epochs } = scales;
  const width = domains.length;
  const names = domains.map((name) => `${SCALE_COLUMNS.epochs}${name}`);
  return {
    names: [SCALE_COLUMNS.params, SCALE_COLUMNS.tokens, ...(epochs ? names : [])],
    cellsOf: (row) => [
      ...[params[row]!, tokens[row]!],
      ...(epochs?.subarray(row * width, (row + 1) * width) ?? []),
    ],
  };
}

/** Scales of some rows, in that order. */
export function pickScales(
  { params, tokens, epochs }: RunScales,
  rows: ArrayLike<number>,
): RunScales {
  const nDomains = epochs === null ? 0 : epochs.length / params.length;
  return {
    params: Float64Array.from(rows, (row) => params[row]!),
    tokens: Float64Array.from(rows, (row) => tokens[row]!),
    epochs:
      epochs === null
        ? null
        : Float64Array.from(
            Array.from(rows, (row) => [
              ...epochs.subarray(row * nDomains, (row + 1) * nDomains),
            ]).flat(),
          ),
  };
}

/** Scales as they were read, and what is ignored without their columns. */
export function takenScales(scales: RunScales | undefined, ignored: readonly string[]) {
  if (scales === undefined) return { ignored };
  const left = ignored.filter(
    (name) =>
      name !== SCALE_COLUMNS.params &&
      name !== SCALE_COLUMNS.tokens &&
      !(scales.epochs !== null && name.startsWith(SCALE_COLUMNS.epochs)),
  );
  return { ignored: left, scales };
}

/** Scales of joined rows: those of the mixtures, else of the losses. */
export function scalesOfPairs(
  mixtures: { readonly scales?: RunScales | undefined },
  losses: { readonly scales?: RunScales | undefined },
  pairs: readonly (readonly [mixture: number, loss: number])[],
): { readonly scales?: RunScales } {
  const side = mixtures.scales ? 0 : 1;
  const scales = mixtures.scales ?? losses.scales;
  if (scales === undefined) return {};
  return {
    scales: pickScales(
      scales,
      pairs.map((pair) => pair[side]),
    ),
  };
}
