/** Which columns of a plan are read. */
import type { CorpusColumn, CorpusPlan } from './types.ts';

/** The plan without columns that nobody will look at; fields of JSON lines that are none of the others are not missed. */
export function onlyColumns(plan: CorpusPlan, wanted: ReadonlySet<string | null>): CorpusPlan {
  const only = (columns: readonly CorpusColumn[]): CorpusColumn[] =>
    columns.filter(({ name }) => wanted.has(name));
  const schemas = plan.schemas.map(({ family, columns }) => ({ family, columns: only(columns) }));
  const partitions = plan.partitions.map(({ name }) => wanted.has(name));
  return {
    ...plan,
    isPart: true,
    schemas,
    columns: only(plan.columns),
    partitions: only(plan.partitions),
    files: plan.files.map((file) => {
      return { ...file, partition: file.partition.filter((_, at) => partitions[at]) };
    }),
  };
}
