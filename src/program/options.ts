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
  if (!(resolved.minKeptRatio >= 0 && resolved.minKeptRatio <= 1)) {
    refuse('minKeptRatio', 'a number in 0..1', resolved.minKeptRatio);
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
