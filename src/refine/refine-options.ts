/**
 * What decides what a refinement does.
 */
import type { ExecuteOptions } from '../program/options.ts';
import type { DialectName, ExecutorName } from '../program/types.ts';
import type { DocumentMode } from './document-stage.ts';
import type { RefinerName } from './refiner-names.ts';

/** A stage of refining. */
export type StageName = 'document' | 'chunk';

/** Options that decide what a refinement does; shared by `openRefiner` and `refineCorpus`. */
export interface RefineOptions {
  /**
   * A refiner by name: `prox-web`, `prox-math`, `ultrax` (published ones, pulled before), `default`, `programs`. Names
   * the models, the stages and the profile; a model, stages or a profile given beside it take its place.
   */
  readonly refiner?: RefinerName;
  /** GGUF of the document stage, `default`, or `random[:preset]`. */
  readonly documentModel?: string;
  /** GGUF of the chunk stage, `default`, `programs` (the package's that writes programs), or `random[:preset]`. */
  readonly chunkModel?: string;
  /** Stages to run; default: those that have a model. Where neither has one, both run the package's refiners. */
  readonly stages?: readonly StageName[];
  /** Built-in profile or JSON file for both models; default: the file beside each model, else `prox`. */
  readonly profile?: string;
  /** System text of the chat in place of the profile's; `ultrax` has none of its own. */
  readonly system?: string;
  /** Must be the profile's dialect when given. */
  readonly dialect?: DialectName;
  /** Default `strict`. */
  readonly executor?: ExecutorName;
  /** Further options of the executor. */
  readonly execute?: Omit<ExecuteOptions, 'dialect' | 'executor'>;
  /** Default `score`. */
  readonly documentMode?: DocumentMode;
  /**
   * Documents that score below it are dropped; 0..1. Default 0.5; for models that score documents the threshold that
   * kept 97 % of the documents to keep in validation.
   */
  readonly documentThreshold?: number;
  /** For models that score lines: lines below this probability are removed, 0..1. */
  readonly lineThreshold?: number;
  /** Share of content characters that models that score lines are to keep, 0..1; default 0.99. Not beside `lineThreshold`. */
  readonly retention?: number;
  /** Decode programs under the dialect's grammar; default true. */
  readonly constrained?: boolean;
  /** `cpu` (default), `cuda`, `cuda:0` or `cuda:0,1`. */
  readonly device?: string;
  /** CPU threads of one engine; default: all cores, at most 32. */
  readonly threads?: number;
  /**
   * Sequences decoded side by side, 1..256; default 16 on a CPU, 256 on a GPU, fewer for contexts beyond 4,096 tokens.
   * Part of a run's identity.
   */
  readonly slots?: number;
  /** Threads that execute programs; default 2, at most the cores. */
  readonly workers?: number;
  /** Seed of random models; default 1. */
  readonly seed?: number;
}
