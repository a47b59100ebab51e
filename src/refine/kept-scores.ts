/**
 * The scores that a run has kept, for whoever looks at thresholds afterwards or cuts the corpus anew. Their form:
 * src/scores/score-file.ts; what they mean: {@link KeptScores.layout}.
 *
 *     const scores = await openScores('out');
 *     const file = await scores.unit(3);
 *     for (const place of file.blocks) {
 *       const block = await file.read(place);
 *       block.document[row]                                    // score of the document, NaN: none
 *       block.codes.subarray(lineStarts[row], lineStarts[row + 1])   // a code per line; scoreOfCode(edges, code)
 *     }
 *
 * What a threshold does to a row: `verdictAt` in src/scores/verdict.ts.
 */
import * as z from 'zod';
import { below } from '../corpus/storage/addresses.ts';
import { readableFolder, readSmall } from '../corpus/storage/folders.ts';
import { storageOf } from '../corpus/storage/storages.ts';
import { parseLedgerJson } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import type { ScoreLayout } from '../scores/layout.ts';
import { layoutSchema } from '../scores/layout-schema.ts';
import { openScoreFile, type ScoreFile } from '../scores/score-file.ts';
import type { RunIdentity } from './run-identity.ts';
import { scoresPath } from './unit-record.ts';

const RUN_FILE = '_gristmill/run.json';

/** The kept scores of a run. */
export interface KeptScores {
  readonly out: string;
  readonly layout: ScoreLayout;
  /** Opens those of a unit. @throws RUN_SCORES_ABSENT, RUN_LEDGER_INVALID */
  unit(unit: number): Promise<ScoreFile>;
}

/**
 * Opens the scores of the run in a folder, local or in a bucket.
 *
 * @throws RUN_SCORES_ABSENT where it has kept none, RUN_LEDGER_INVALID; STORAGE_*, PATH_REMOTE
 */
export async function openScores(dir: string): Promise<KeptScores> {
  const out = readableFolder(dir, 'the run');
  const file = below(out, RUN_FILE);
  const text = await readSmall(file);
  if (text === null) {
    throw new GristmillError('RUN_SCORES_ABSENT', { out, reason: 'it holds no run' });
  }
  const { scores } = parseLedgerJson(file, text) as Partial<RunIdentity>;
  if (scores === undefined) {
    const reason = 'its run was not told to keep them (--keep-scores)';
    throw new GristmillError('RUN_SCORES_ABSENT', { out, reason });
  }
  const layout = layoutSchema.safeParse(scores);
  if (!layout.success) {
    const reason = `its scores: ${z.prettifyError(layout.error)}`;
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
  }
  return {
    out,
    layout: layout.data,
    unit: async (unit) => {
      const path = below(out, scoresPath(unit));
      if ((await (await storageOf(path)).stat(path)) === null) {
        const reason = `unit ${unit} is not committed, or its scores are gone (${path})`;
        throw new GristmillError('RUN_SCORES_ABSENT', { out, reason });
      }
      return openScoreFile(path);
    },
  };
}
