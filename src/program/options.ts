/**
 * Options of an execution: one object, one frozen table of defaults, one check.
 */
import { GristmillError } from '../errors.ts';
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

const CHOICES = {
  dialect: ['prox', 'ultrax'],
  executor: ['strict', 'compat'],
  onOverRemoval: ['drop', 'keep'],
} as const;

const MINIMA = {
  maxErrors: 0,
  maxRepeats: 1,
  maxSameAdds: 1,
  maxAddPlaces: 1,
  maxSimilarAdds: 1,
  maxSameReplaces: 1,
  maxOps: 1,
  maxProgramChars: 1,
  maxArgumentChars: 1,
  minWords: 0,
};

/**
 * Fills in the defaults and checks every option.
 *
 * @throws OPTION_INVALID for an unknown choice or a number out of range
 */
export function resolveOptions(options: ExecuteOptions = {}): ResolvedOptions {
  const defined = Object.entries(options).filter(([, value]) => value !== undefined);
  const resolved: ResolvedOptions = { ...EXECUTE_DEFAULTS, ...Object.fromEntries(defined) };
  for (const [option, allowed] of Object.entries(CHOICES)) {
    const received = resolved[option as keyof typeof CHOICES];
    if (!(allowed as readonly string[]).includes(received)) {
      refuse(option, `one of ${allowed.join(', ')}`, received);
    }
  }
  for (const [option, minimum] of Object.entries(MINIMA)) {
    const received = resolved[option as keyof typeof MINIMA];
    if (!Number.isSafeInteger(received) || received < minimum) {
      refuse(option, `a whole number of at least ${minimum}`, received);
    }
  }
  for (const option of ['minKeptRatio', 'addSimilarity'] as const) {
    const received = resolved[option];
    if (!(received >= 0 && received <= 1)) refuse(option, 'a number in 0..1', received);
  }
  if (!(resolved.legitReplaceRatio >= 0)) {
    refuse('legitReplaceRatio', 'a number of at least 0', resolved.legitReplaceRatio);
  }
  if (!(resolved.maxGrowthRatio >= 1 && Number.isFinite(resolved.maxGrowthRatio))) {
    refuse('maxGrowthRatio', 'a finite number of at least 1', resolved.maxGrowthRatio);
  }
  if (resolved.executor === 'compat' && resolved.dialect !== 'prox') {
    refuse('executor', 'strict for every dialect but prox', resolved.executor);
  }
  return resolved;
}

function refuse(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
