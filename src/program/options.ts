/**
 * Options of an execution: one object, one frozen table of defaults, one check.
 */
import {
  atLeast,
  checkOptions,
  type OptionTable,
  oneOf,
  refuseOption,
  share,
  whole,
} from '../options.ts';
import type { DialectName, ExecutorName } from './types.ts';

/** Options of `execute` and `ExecutionPool`. */
export interface ExecuteOptions {
  /** Spelling of the programs. Default `prox`. */
  readonly dialect?: DialectName;
  /** `strict` (default), or `compat`: the published ProX executor, `prox` only; it has no further options. */
  readonly executor?: ExecutorName;
  /** Refused ops tolerated per window before its program is ignored; ≥ 0, default 1 (as published: two are too many). */
  readonly maxErrors?: number;
  /** Times one op may occur in a window's program; ≥ 1, default 3. More is a decoding loop. */
  readonly maxRepeats?: number;
  // The loops of UltraX's refiners, as its published post-processing tells them (`ultrax` only).
  /** Times one content may be added at one place; ≥ 1, default 2. */
  readonly maxSameAdds?: number;
  /** Places at which one content may be added; ≥ 1, default 3. */
  readonly maxAddPlaces?: number;
  /** Added contents that may resemble one another; ≥ 1, default 3. */
  readonly maxSimilarAdds?: number;
  /** Share of two contents that must match for them to resemble one another; 0..1, default 0.85. */
  readonly addSimilarity?: number;
  /** Times one replacement may occur, whatever its line; ≥ 1, default 30. */
  readonly maxSameReplaces?: number;
  /** More are no loop where the text holds the string at least this many times per replacement; ≥ 0, default 0.8. */
  readonly legitReplaceRatio?: number;
  /** Most calls of one window's program; ≥ 1, default 256. */
  readonly maxOps?: number;
  /** Most characters of one window's program; ≥ 1, default 65,536. */
  readonly maxProgramChars?: number;
  /** Most characters of a string argument; ≥ 1, default 2,048. */
  readonly maxArgumentChars?: number;
  /** An edited document must keep more than this share of its words; 0..1, default 0.05 (ProX). */
  readonly minKeptRatio?: number;
  /** An edited document must keep at least this many words; ≥ 0, default 0 (the published executor drops at 10). */
  readonly minWords?: number;
  /** What to do with a document that keeps too few of its words: `drop` it (default, ProX) or `keep` it unedited. */
  readonly onOverRemoval?: 'drop' | 'keep';
  /** Most bytes of the output as a multiple of the input's; ≥ 1, default 1: the text never grows. */
  readonly maxGrowthRatio?: number;
}

/** {@link ExecuteOptions} with nothing left out. */
export type ResolvedOptions = Required<ExecuteOptions>;

/** Defaults of {@link ExecuteOptions}. */
export const EXECUTE_DEFAULTS: ResolvedOptions = Object.freeze({
  dialect: 'prox',
  executor: 'strict',
  maxErrors: 1,
  maxRepeats: 3,
  maxSameAdds: 2,
  maxAddPlaces: 3,
  maxSimilarAdds: 3,
  addSimilarity: 0.85,
  maxSameReplaces: 30,
  legitReplaceRatio: 0.8,
  maxOps: 256,
  maxProgramChars: 65_536,
  maxArgumentChars: 2_048,
  minKeptRatio: 0.05,
  minWords: 0,
  onOverRemoval: 'drop',
  maxGrowthRatio: 1,
});

/** What each of {@link ExecuteOptions} must be. */
export const EXECUTE_TABLE: OptionTable<ExecuteOptions> = {
  dialect: oneOf(['prox', 'ultrax']),
  executor: oneOf(['strict', 'compat']),
  maxErrors: whole(0),
  maxRepeats: whole(1),
  maxSameAdds: whole(1),
  maxAddPlaces: whole(1),
  maxSimilarAdds: whole(1),
  addSimilarity: share,
  maxSameReplaces: whole(1),
  legitReplaceRatio: {
    expected: 'a number of at least 0',
    accepts: (value) => typeof value === 'number' && value >= 0,
  },
  maxOps: whole(1),
  maxProgramChars: whole(1),
  maxArgumentChars: whole(1),
  minKeptRatio: share,
  minWords: whole(0),
  onOverRemoval: oneOf(['drop', 'keep']),
  maxGrowthRatio: atLeast(1),
};

/**
 * Fills in the defaults and checks every option.
 *
 * @throws OPTION_INVALID for an unknown option or choice, or a number out of range
 */
export function resolveOptions(options: ExecuteOptions = {}): ResolvedOptions {
  checkOptions('execute', options, EXECUTE_TABLE);
  const defined = Object.entries(options).filter(([, value]) => value !== undefined);
  const resolved: ResolvedOptions = { ...EXECUTE_DEFAULTS, ...Object.fromEntries(defined) };
  if (resolved.executor === 'compat' && resolved.dialect !== 'prox') {
    refuseOption('executor', 'strict for every dialect but prox', resolved.executor);
  }
  return resolved;
}
