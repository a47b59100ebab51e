/** What the table and the page of a comparison have in common. */
import { count } from '../figures.ts';
import type { RunComparison } from '../refine/compare.ts';

/** Share of the documents that differ. */
export function differingShare({
  documents,
  differing,
}: Pick<RunComparison, 'documents' | 'differing'>): number {
  return documents === 0 ? 0 : differing / documents;
}

/** A share for people. */
export function percent(part: number, whole: number): string {
  return whole === 0 ? '–' : `${((100 * part) / whole).toFixed(2)} %`;
}

/** The table of statuses, with its heads. */
export function statusRows({ statuses }: Pick<RunComparison, 'statuses'>): string[][] {
  const names = Object.keys(statuses) as (keyof typeof statuses)[];
  return [
    ['', ...names],
    ...names.map((one) => [one, ...names.map((other) => count(statuses[one][other]))]),
  ];
}
