/**
 * The default refiner that writes programs: how `models/default-programs.gguf` comes to be.
 *
 * The published form of ProX at a size that any CPU runs: windows, a generating model, decoding under the grammar,
 * execution. One fold of the pages is held out, for the measures; the model that is shipped is the one that was
 * measured. Beside it lies its profile, which the chunk stage finds by the model's name.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainTokenizer } from '../../model/tokenizer-training.ts';
import { native } from '../../native/index.ts';
import type { Profile } from '../../refine/profile.ts';
import { evaluateLines, type LineEvaluationResult } from '../cross-validate.ts';
import { foldOf, type GoldPage } from '../gold.ts';
import type { ChunkFormat } from '../program-writer/examples.ts';
import { programRefiner } from '../program-writer/refiner.ts';
import {
  type ProgramTrainingOptions,
  type ProgramTrainingStep,
  trainProgramWriter,
} from '../program-writer/training.ts';
import { thinNoise } from '../thin-noise.ts';
import { LIGHT_SHARE } from './chunk.ts';

/** Chosen for half an hour on two cores; see models/README.md for what they reach. */
export const PROGRAM_TRAINING_DEFAULTS: ProgramTrainingOptions = Object.freeze({
  nEmbd: 128,
  nLayer: 5,
  nHead: 4,
  nHeadKv: 4,
  nFf: 352,
  nCtx: 576,
  nSeq: 5,
  nPasses: 1,
  peakLr: 2e-3,
  weightDecay: 0.1,
  maxOps: 12,
  thinShares: [0.2, 0.1],
  verdictWeight: 0.5,
  textWeight: 0.1,
  textShare: 0.15,
  seed: 1,
});

/** Tokens of the vocabulary. */
export const PROGRAM_VOCABULARY = 4096;

/** `context_length` of the file: a window, its frame, a program, and what the chunk stage leaves free for templates. */
const CONTEXT = 768;

/** How the model is asked: ProX's windows with plain numbers, which are the same tokens in markers and in programs. */
export const PROGRAM_PROFILE: Profile & { readonly chunk: ChunkFormat } = Object.freeze({
  name: 'default-programs',
  dialect: 'prox',
  chat: { template: "{{ messages[0]['content'] }}", system: null },
  document: null,
  chunk: {
    user: '[doc]\n{lines}\n[/doc]\n',
    line: { prefix: '[', minDigits: 1, suffix: ']' },
    windows: { unit: 'tokens', max: 384, countBos: true } as const,
    maxNewTokens: 160,
    ops: ['remove_lines'],
  },
});

/** Options of {@link trainDefaultPrograms}. */
export interface DefaultProgramsOptions {
  readonly pages: readonly GoldPage[];
  readonly out: string;
  /** Pages of the first of so many folds are held out. */
  readonly nFolds: number;
  readonly training?: ProgramTrainingOptions;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: ProgramTrainingStep) => void) | undefined;
}

/** Measures of the model on the pages that it did not learn from. */
export interface ProgramsValidation {
  readonly nParams: number;
  readonly nTrainPages: number;
  readonly whole: LineEvaluationResult;
  readonly light: LineEvaluationResult;
}

/** Trains, exports and measures. @throws TRAIN_*, MODEL_WRITE_FAILED, ENGINE_* */
export async function trainDefaultPrograms(
  options: DefaultProgramsOptions,
): Promise<ProgramsValidation> {
  const { pages, out, nFolds, signal } = options;
  const held = pages.filter((page) => foldOf(page, nFolds) === 0);
  const learning = pages.filter((page) => foldOf(page, nFolds) !== 0);
  const modelPath = join(out, 'default-programs.gguf');
  const scratch = mkdtempSync(join(tmpdir(), 'gristmill-programs-'));
  let nParams: number;
  try {
    const tokenizerPath = join(scratch, 'tokenizer.gguf');
    nParams = await makeModel({ ...options, pages: learning, modelPath, tokenizerPath });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const profile = `${JSON.stringify(PROGRAM_PROFILE, null, 2)}\n`;
  writeFileSync(join(out, 'default-programs.profile.json'), profile);
  const refiner = programRefiner('default-programs', modelPath);
  const measure = (of: readonly GoldPage[]): Promise<LineEvaluationResult> =>
    evaluateLines({ refiner, pages: of, nFolds: null, signal });
  return {
    nParams,
    nTrainPages: learning.length,
    whole: await measure(held),
    light: await measure(held.map((page) => thinNoise(page, LIGHT_SHARE))),
  };
}

/** Tokenizer, training, export; gives the number of parameters. */
async function makeModel({
  pages,
  modelPath,
  tokenizerPath,
  training = PROGRAM_TRAINING_DEFAULTS,
  signal,
  onStep,
}: DefaultProgramsOptions & {
  readonly modelPath: string;
  readonly tokenizerPath: string;
}): Promise<number> {
  const { chunk: format } = PROGRAM_PROFILE;
  await trainTokenizer({
    texts: renderedTexts(pages, format),
    vocabSize: PROGRAM_VOCABULARY,
    path: tokenizerPath,
    ...(signal && { signal }),
  });
  const tokenizer = await native().openTokenizer(tokenizerPath);
  try {
    const hooks = { signal, onStep };
    const settings = { tokenizer, format, options: training, ...hooks };
    const trainer = await trainProgramWriter(pages, settings);
    try {
      await trainer.exportGguf({
        path: modelPath,
        type: 'q8_0',
        name: 'gristmill default-programs',
        nCtx: CONTEXT,
        tokenizerPath,
      });
      return trainer.info.nParams;
    } finally {
      await trainer.dispose();
    }
  } finally {
    tokenizer.dispose();
  }
}

/** Pages as windows show them, so that markers and programs have their numbers as tokens. */
function* renderedTexts(pages: readonly GoldPage[], { line }: ChunkFormat): Generator<string> {
  for (const { lines } of pages) {
    yield lines
      .map(
        (text, index) =>
          `${line.prefix}${String(index).padStart(line.minDigits, '0')}${line.suffix}${text}`,
      )
      .join('\n');
    yield `remove_lines(start=${lines.length >> 1}, end=${lines.length})\nkeep_chunk()`;
  }
}
