/** The one mixture that is applied: of a file that holds one, or a named row of a table. */
import { readMixtureRows } from '../read-mixture.ts';
import { refuse, rowOf } from '../table-columns.ts';
import { domainName, type ReadMixturesOptions, TABLE_DEFAULTS } from '../tables.ts';

/** A mixture: distinct domains, without the published `train_`, and their weights, summing to 1. */
export interface Mixture {
  readonly domains: readonly string[];
  /** `[nDomains]`. */
  readonly weights: Float64Array;
  /** What was done to the weights while they were read. */
  readonly notes?: readonly string[];
}

/**
 * Reads the mixture to apply.
 *
 * @param file as for {@link readMixture}
 * @param id which row of a table; needed where it has several
 * @throws MIXTURE_TABLE_INVALID, CORPUS_READ_FAILED
 */
export async function chosenMixture(
  file: string,
  id?: string,
  options: ReadMixturesOptions = {},
): Promise<Mixture> {
  const table = await readMixtureRows(file, options);
  const only = table.ids.length === 1 ? 0 : -1;
  const row = id === undefined ? only : rowOf(table.ids, id);
  if (row < 0) {
    const place = { file, row: 0, column: TABLE_DEFAULTS.indexColumn };
    const expected = id === undefined ? 'one row, or the index of one' : `an index ${id}`;
    refuse(place, expected, table.ids.slice(0, 8).join(', '));
  }
  const nDomains = table.domains.length;
  return {
    domains: table.domains.map(domainName),
    weights: table.weights.slice(row * nDomains, (row + 1) * nDomains),
    ...(table.notes.length > 0 && { notes: table.notes }),
  };
}
