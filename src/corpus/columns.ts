/** Which columns of a plan are read. */
import type { CorpusPlan } from './types.ts';

/**
 * The plan without columns that nobody will look at. Readers of JSON lines hold rows against all columns of the plan
 * and read whole rows anyway.
 */
export function onlyColumns(plan: CorpusPlan, wanted: ReadonlySet<string | null>): CorpusPlan {
  if (plan.files.some(({ format }) => format.startsWith('jsonl'))) return plan;
  return { ...plan, columns: plan.columns.filter(({ name }) => wanted.has(name)) };
}
