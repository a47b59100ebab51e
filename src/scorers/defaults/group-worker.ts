/**
 * One training of the default chunk refiner in a thread of its own: the model for one group of sources left out, or the
 * one on everything. Data is read again here: it is megabytes, and its measures are gigabytes.
 */
import type { LineStack } from '../../lines/stack.ts';
import { type DataFolders, readStackData } from './data.ts';
import { type GroupLogits, scoreGroup, trainStack } from './line-stack.ts';

/** What a thread is asked for. */
export interface GroupTask {
  readonly folders: DataFolders;
  readonly nGroups: number;
  /** Number of the group, or null for the model on everything. */
  readonly group: number | null;
}

/** @throws as {@link trainStack} and {@link readStackData} */
export default async function runGroup({
  folders,
  nGroups,
  group,
}: GroupTask): Promise<GroupLogits | LineStack> {
  const data = await readStackData(folders, () => undefined);
  return group === null ? trainStack(data) : scoreGroup({ ...data, nGroups }, group);
}
