/** Kept scores of a run (src/scores/) by unit: whole for the grid, of one document for the page. */
import type { FinishedRow, FinishedRun } from '../refine/finished-run.ts';
import { scoreOfCode } from '../scores/edges.ts';
import type { ScoreLayout } from '../scores/layout.ts';
import { layoutSchema } from '../scores/layout-schema.ts';
import { openScoreFile, type ScoreBlock } from '../scores/score-file.ts';

/** What a run's scores mean; null where none are kept. */
export function scoresOf({ identity }: FinishedRun): ScoreLayout | null {
  const parsed = layoutSchema.safeParse(identity.scores);
  return parsed.success ? (parsed.data as ScoreLayout) : null;
}

/** Blocks of a unit, one after the other. @throws RUN_LEDGER_INVALID where the sidecar is damaged */
export async function* scoreBlocks(run: FinishedRun, unit: number): AsyncGenerator<ScoreBlock> {
  const record = run.unit(unit).scores;
  if (!record) return;
  const file = await openScoreFile(run.pathOf(record));
  try {
    for (const place of file.blocks) yield await file.read(place);
  } finally {
    await file.close();
  }
}

/** Scores of "keep" of a document's lines; null where there are none. */
export async function lineScores(
  run: FinishedRun,
  { unit, position }: FinishedRow,
): Promise<((line: number) => number | null) | null> {
  const edges = scoresOf(run)?.lines?.edges;
  const record = run.unit(unit).scores;
  const { firstRow: first } = await run.layout(unit);
  if (!edges || !record || first === null) return null;
  const row = first + position;
  const file = await openScoreFile(run.pathOf(record));
  try {
    const place = file.blocks.find(({ firstRow, lastRow }) => row >= firstRow && row <= lastRow);
    if (!place) return null;
    const block = await file.read(place);
    const at = block.rowNumbers.indexOf(row);
    if (at < 0) return null;
    const [start, end] = [block.lineStarts[at]!, block.lineStarts[at + 1]!];
    if (start === end) return null;
    return (line) => {
      return start + line < end ? scoreOfCode(edges, block.codes[start + line]!) : null;
    };
  } finally {
    await file.close();
  }
}
