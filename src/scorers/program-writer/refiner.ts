/**
 * Generating refiners as line refiners: a page runs through the chunk stage as a corpus does, and the lines that its
 * programs remove score 0, all others 1.
 *
 * Measuring a refiner means running it, so this file (and `defaults/`) use the refine room; refine never uses train.
 */
import { DIALECTS } from '../../program/dialects.ts';
import { EXECUTE_DEFAULTS } from '../../program/options.ts';
import { parseProgram } from '../../program/parse.ts';
import { loadProfile } from '../../refine/find-profile.ts';
import { openRefiner } from '../../refine/refiner.ts';
import type { LineRefiner } from '../line-scorer.ts';

/** A page's programs together may have any number of ops: each window's was bounded when it was written. */
const ANY_NUMBER = 2 ** 20;

/**
 * A refiner over a language model that writes programs, with the profile beside it.
 *
 * @throws ENGINE_MODEL_*, PROFILE_* when it is opened
 */
export function programRefiner(name: string, modelPath: string): LineRefiner {
  return {
    name,
    trainable: false,
    fit: async () => {
      const dialect = DIALECTS[loadProfile(undefined, modelPath).dialect];
      const limits = { ...EXECUTE_DEFAULTS, maxOps: ANY_NUMBER };
      const refiner = await openRefiner({ chunkModel: modelPath, stages: ['chunk'] });
      return {
        name,
        threshold: 0.5,
        scoreLines: async (lines) => {
          const scores = new Float32Array(lines.length).fill(1);
          const [refined] = await refiner.refine([lines.join('\n')]);
          const { statements } = parseProgram(dialect, refined?.program ?? '', limits);
          for (const { op } of statements) {
            if (op?.op === 'remove_lines') scores.fill(0, op.lineStart, op.lineEnd);
          }
          return scores;
        },
        dispose: () => refiner.dispose(),
      };
    },
  };
}
