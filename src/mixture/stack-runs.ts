/** Runs of several sweeps over the same domains as one table: a size or a token count each, for fits over scales. */
import { type Place, refuse } from './table-columns.ts';
import type { JoinedRuns } from './tables.ts';
import type { RunScales } from './types.ts';

/**
 * Stacks tables of runs, in their order. Where there are several, runs are called `<id>@<n>`, n being the table, from 1.
 *
 * @param files for messages, one a table
 * @throws MIXTURE_TABLE_INVALID for tables of other targets, and where only some say sizes, tokens or epochs
 */
export function stackRuns(tables: readonly JoinedRuns[], files: readonly string[]): JoinedRuns {
  const [first] = tables as [JoinedRuns];
  if (tables.length === 1) return first;
  const { domains, targets } = first;
  for (const [at, table] of tables.entries()) {
    const place: Place = { file: files[at]!, row: 0, column: 'params, tokens, epochs' };
    if (table.targets.join('\n') !== targets.join('\n')) {
      const column = 'losses';
      refuse({ ...place, column }, `the targets of ${files[0]}`, table.targets.join(', '));
    }
    const says = ({ scales }: JoinedRuns): string =>
      scales === undefined ? 'none of them' : scales.epochs === null ? 'no epochs' : 'all of them';
    if (says(table) !== says(first)) {
      refuse(place, `${says(first)}, as ${files[0]} has`, says(table));
    }
  }
  const joined = (valuesOf: (table: JoinedRuns) => Float64Array): Float64Array =>
    Float64Array.from(tables.flatMap((table) => [...valuesOf(table)]));
  const scales: RunScales | undefined = first.scales && {
    params: joined((table) => table.scales!.params),
    tokens: joined((table) => table.scales!.tokens),
    epochs: first.scales.epochs && joined((table) => table.scales!.epochs!),
  };
  const sum = (countOf: (table: JoinedRuns) => number): number =>
    tables.reduce((total, table) => total + countOf(table), 0);
  return {
    domains,
    targets,
    ids: tables.flatMap(({ ids }, at) => ids.map((id) => `${id}@${at + 1}`)),
    weights: joined(({ weights }) => weights),
    losses: joined(({ losses }) => losses),
    ...(scales && { scales }),
    nWithoutLosses: sum((table) => table.nWithoutLosses),
    nWithoutMixture: sum((table) => table.nWithoutMixture),
  };
}
