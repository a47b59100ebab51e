/** The record of a committed unit. */
import { unitName } from '../work/output-folder.ts';
import type { RefineCounts } from './statistics.ts';

/** One file of a unit. */
export interface UnitFile {
  /** Public path relative to the output folder. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** What is kept of a committed unit. */
export interface UnitRecord {
  readonly unit: number;
  /** The attempt that made it (work/output-store.ts). */
  readonly attempt?: string;
  readonly input: string;
  readonly counts: RefineCounts;
  readonly files: readonly UnitFile[];
  /** The scores of its rows, where they are kept. */
  readonly scores?: UnitFile;
  readonly seconds: number;
  /** Milliseconds since 1970, when it was written; runs of earlier versions do not say. */
  readonly endedAt?: number;
}

/** What the plan says of a unit. */
export interface PlannedUnit {
  /** As {@link UnitRecord.input} has it. */
  readonly input: string;
  /** Null where the format does not tell before reading. */
  readonly nRows: number | null;
}

/** Every file of a unit. */
export function filesOf({ files, scores }: UnitRecord): readonly UnitFile[] {
  return scores ? [...files, scores] : files;
}

/** Path of a unit's scores relative to the output folder. */
export function scoresPath(unit: number): string {
  return `_gristmill/scores/part-${unitName(unit)}.scores`;
}
