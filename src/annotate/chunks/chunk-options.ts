/**
 * Options of `annotateChunks`: one object, one table of defaults, one check.
 */
import type { OnWork } from '../../work/activity.ts';
import { EXAMPLE_BOUNDS } from '../derive/example-bounds.ts';
import type { ExpertOptions } from '../expert/expert.ts';
import { checkCount, given, refuseOption } from '../options.ts';
import { CHUNK_WAYS, type ChunkWay } from '../types.ts';
import { EXAMPLE_KINDS, type ExampleShares } from './shares.ts';

/** Options of {@link annotateChunks}. */
export interface AnnotateChunksOptions {
  /** `gold`: labelled pages (JSON lines, see readGoldPages); otherwise files, folders and globs of a corpus. */
  readonly inputs: readonly string[];
  /** Folder of everything that comes out. */
  readonly out: string;
  readonly way: ChunkWay;
  /** Asked by the ways `programs` and `rewrite`. */
  readonly expert?: ExpertOptions;
  /**
   * Longest answer of the expert in tokens, thought included. Default: four times the longest program for `programs`,
   * what a copy of the window takes for `rewrite`.
   */
  readonly answerTokens?: number;
  /** Folder of edited prompts; see loadTemplate(). */
  readonly prompts?: string;
  /**
   * How the refiner to be trained is asked: a built-in profile or a JSON file. Default: that of the package's
   * refiner that writes programs.
   */
  readonly profile?: string;
  /** GGUF file whose tokenizer counts; default: the package's refiner that writes programs. */
  readonly tokenizer?: string;
  /** Largest window in the profile's unit, tokens or characters; default the profile's. */
  readonly windowSize?: number;
  /** Default `text`. */
  readonly textColumn?: string;
  /** Default: the column `id`, else the row's number. */
  readonly idColumn?: string;
  /** Documents, at most. */
  readonly limit?: number;
  /** `documents.parquet` of annotateDocuments(): only documents labelled `keep` are annotated. */
  readonly onlyKept?: string;
  /** Ops of a program, at most; ≥ 1. Default 12. */
  readonly maxOps?: number;
  /** UTF-16 units of a source string, at most. Default 150. */
  readonly maxSourceChars?: number;
  /** UTF-16 units of a window, at least. Default 20. */
  readonly minChars?: number;
  /** Share of a window's characters that may go, 0..1. Default 1 for gold, 0.9 for experts. */
  readonly maxRemovedShare?: number;
  /** Replacements and, in UltraX's dialect, added lines too. Default false: deletions only. */
  readonly allowReplacements?: boolean;
  /** Characters that `rewrite` may bring in before a window is no example; ≥ 0, default 20 (RefineX). */
  readonly maxRewordedChars?: number;
  /** Largest share of each kind among the training examples. */
  readonly shares?: ExampleShares;
  /** Estimated Jaccard similarity from which on a window repeats an earlier one, 0..1; 1 or more keeps all. Default 0.8. */
  readonly nearDuplicate?: number;
  /** Share of domains whose examples validate, 0..1. Default 0.1. */
  readonly validation?: number;
  /** Of thinning and of the parts. Default 0. */
  readonly seed?: number;
  /** Ends the run with ABORTED; answers that are paid for stay in the cache, nothing else is written. */
  readonly signal?: AbortSignal;
  /** One line that a person should see: a wait for a lease. */
  readonly onNotice?: (line: string) => void;
  /** Called about twice a second. */
  readonly onProgress?: (progress: AnnotateChunksProgress) => void;
  /** Told what the run does, for those who look at it from outside. */
  readonly onActivity?: OnWork;
}

/** How far a run is. */
export interface AnnotateChunksProgress {
  readonly nDocuments: number;
  /** Of all, those beyond a limit left out; null where only reading tells. */
  readonly nAllDocuments: number | null;
  readonly nWindows: number;
  readonly nExamples: number;
}

/** Defaults of {@link AnnotateChunksOptions}. */
export const ANNOTATE_CHUNKS_DEFAULTS = Object.freeze({
  ...EXAMPLE_BOUNDS,
  maxRemovedShare: { gold: 1, programs: 0.9, rewrite: 0.9 } satisfies Record<ChunkWay, number>,
  allowReplacements: false,
  maxRewordedChars: 20,
  shares: {} as ExampleShares,
  nearDuplicate: 0.8,
  validation: 0.1,
  seed: 0,
});

/** Options with the defaults filled in. */
export type ChunkSettings = AnnotateChunksOptions &
  Required<
    Pick<
      AnnotateChunksOptions,
      | 'maxOps'
      | 'maxSourceChars'
      | 'minChars'
      | 'maxRemovedShare'
      | 'allowReplacements'
      | 'maxRewordedChars'
      | 'shares'
      | 'nearDuplicate'
      | 'validation'
      | 'seed'
    >
  >;

const MINIMA = {
  maxOps: 1,
  maxSourceChars: 1,
  minChars: 0,
  maxRewordedChars: 0,
  seed: 0,
  windowSize: 16,
  limit: 1,
  answerTokens: 1,
} as const;

/** Fills in the defaults. @throws OPTION_INVALID */
export function chunkSettings(options: AnnotateChunksOptions): ChunkSettings {
  const { way } = options;
  if (!CHUNK_WAYS.includes(way)) refuseOption('way', `one of ${CHUNK_WAYS.join(', ')}`, way);
  const settings: ChunkSettings = {
    ...ANNOTATE_CHUNKS_DEFAULTS,
    maxRemovedShare: ANNOTATE_CHUNKS_DEFAULTS.maxRemovedShare[way],
    ...given(options),
  };
  for (const [option, minimum] of Object.entries(MINIMA)) {
    const value = settings[option as keyof typeof MINIMA];
    if (value !== undefined) checkCount(option, value, minimum);
  }
  for (const option of ['maxRemovedShare', 'validation'] as const) {
    if (!(settings[option] >= 0 && settings[option] <= 1)) {
      refuseOption(option, 'a number in 0..1', settings[option]);
    }
  }
  if (!(settings.nearDuplicate > 0)) {
    refuseOption('nearDuplicate', 'a number above 0', settings.nearDuplicate);
  }
  for (const [kind, share] of Object.entries(settings.shares)) {
    const known = (EXAMPLE_KINDS as readonly string[]).includes(kind);
    if (known && share >= 0 && share <= 1) continue;
    refuseOption('shares', `numbers in 0..1 of ${EXAMPLE_KINDS.join(', ')}`, `${kind}: ${share}`);
  }
  if (way !== 'gold' && options.expert === undefined) {
    refuseOption('expert', `an expert, as the way ${way} asks one`, 'none');
  }
  if (way === 'gold' && options.expert !== undefined) {
    refuseOption('expert', 'none, as the way gold asks nobody', 'an expert');
  }
  if (options.inputs.length === 0) refuseOption('inputs', 'at least one', 'none');
  return settings;
}
