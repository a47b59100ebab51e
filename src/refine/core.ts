/**
 * Opening what a refinement needs: models, engines with their profiles, and the stages over them.
 */

import type { BytesColumn } from '../batch/document-batch.ts';
import { SLAB_POOL_DEFAULTS, SlabPool, type SlabPoolOptions } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import type { EngineInfo, EngineStats } from '../native/engine.ts';
import type { ProgramGrammar } from '../native/grammar.ts';
import type { PageSites } from '../native/lines.ts';
import { DIALECTS } from '../program/dialects.ts';
import { ExecutionPool } from '../program/pool.ts';
import type { DialectName } from '../program/types.ts';
import type { Sites } from '../sites/site-file.ts';
import {
  batchRows,
  defaultSizes,
  defaultSlots,
  promptSlots,
  SCORING_BATCH_BYTES,
  SCORING_BATCH_ROWS,
  slotNotices,
} from './devices.ts';
import type { RefinerEngine } from './engine.ts';
import type { RefineCore } from './judged-batch.ts';
import { type ModelFile, resolveModel } from './model-file.ts';
import { withNamedRefiner } from './named-refiners.ts';
import type { Profile } from './profile.ts';
import type { RefineOptions, StageName } from './refine-options.ts';
import {
  openLocalScoring,
  type ScoringEngine,
  type ScoringInfo,
  type ScoringStats,
} from './scoring-engine.ts';
import { checkLineThreshold, DEFAULT_RETENTION, scoringStages } from './scoring-stages.ts';

/** The model of a stage. */
export interface ResolvedStage {
  readonly model: ModelFile;
  /** How it is asked; null for models that score. */
  readonly profile: Profile | null;
}

/** Models and profiles, found and checked, before anything is loaded. */
export interface ResolvedRefiner {
  readonly document: ResolvedStage | null;
  readonly chunk: ResolvedStage | null;
  readonly dialect: DialectName;
  readonly grammar: ProgramGrammar;
  readonly options: Required<
    Pick<RefineOptions, 'executor' | 'execute' | 'documentMode' | 'constrained' | 'seed'>
  > & {
    /** Null: the model's own. */
    readonly documentThreshold: number | null;
    readonly lineThreshold: number | null;
    readonly retention: number | null;
  };
}

/**
 * Finds models and profiles and checks that they fit each other.
 *
 * @throws OPTION_INVALID, ENGINE_MODEL_MISSING, PROFILE_*, REFINER_NOT_PULLED, REFINER_NO_SYSTEM
 */
export async function resolveRefiner(asked: RefineOptions): Promise<ResolvedRefiner> {
  const options = withNamedRefiner(asked);
  const given = { document: options.documentModel, chunk: options.chunkModel };
  const neither = given.document === undefined && given.chunk === undefined;
  const models = neither ? { document: 'default', chunk: 'default' } : given;
  const present = (['document', 'chunk'] as const).filter((stage) => models[stage] !== undefined);
  const stages = options.stages ?? present;
  const seed = options.seed ?? 1;
  if (stages.length === 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'stages',
      expected: 'at least one stage',
      received: 'none',
    });
  }
  checkLineThreshold(options);
  const threshold = options.documentThreshold ?? null;
  if (threshold !== null && !(threshold >= 0 && threshold <= 1)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'documentThreshold',
      expected: 'a number in 0..1',
      received: threshold,
    });
  }
  const resolveStage = async (stage: StageName) => {
    const spec = models[stage];
    if (!stages.includes(stage)) return null;
    if (spec === undefined) {
      throw new GristmillError('OPTION_INVALID', {
        option: `${stage}Model`,
        expected: `a model, as stages names ${stage}`,
        received: 'none',
      });
    }
    const model = await resolveModel(spec, seed, stage);
    if (model.kind !== 'language') {
      checkScoring(stage, model, options);
      return { model, profile: null };
    }
    const { loadProfile } = await import('./find-profile.ts');
    const profile = withSystem(loadProfile(options.profile, model.path), options.system);
    if (profile[stage] === null) {
      throw new GristmillError('OPTION_INVALID', {
        option: 'stages',
        expected: `stages that profile ${profile.name} describes`,
        received: stage,
      });
    }
    return { model, profile };
  };
  const document = await resolveStage('document');
  const chunk = await resolveStage('chunk');
  const profile = chunk?.profile ?? document?.profile ?? null;
  const dialect = profile?.dialect ?? options.dialect ?? 'prox';
  if (profile && options.dialect !== undefined && options.dialect !== dialect) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'dialect',
      expected: `${dialect}, the dialect of profile ${profile.name}`,
      received: options.dialect,
    });
  }
  const scoresLines = chunk?.model.kind === 'line-score';
  for (const option of ['lineThreshold', 'retention'] as const) {
    if (options[option] !== undefined && !scoresLines) {
      throw new GristmillError('OPTION_INVALID', {
        option,
        expected: 'a chunk model that scores lines',
        received: options[option],
      });
    }
  }
  return {
    document,
    chunk,
    dialect,
    grammar: DIALECTS[dialect].makeGrammar(chunk?.profile?.chunk ?? {}),
    options: {
      executor: options.executor ?? 'strict',
      execute: options.execute ?? {},
      documentMode: options.documentMode ?? 'score',
      documentThreshold: threshold ?? (document && !document.profile ? null : 0.5),
      constrained: options.constrained ?? true,
      seed,
      lineThreshold: options.lineThreshold ?? null,
      retention: scoresLines
        ? (options.retention ?? (options.lineThreshold === undefined ? DEFAULT_RETENTION : null))
        : null,
    },
  };
}

function withSystem(profile: Profile, system: string | undefined): Profile {
  if (system === undefined) return profile;
  return { ...profile, chat: { ...profile.chat, system } };
}

/** A model that scores must score what its stage asks for, and decodes nothing. */
function checkScoring(stage: StageName, model: ModelFile, { documentMode }: RefineOptions): void {
  const wanted = stage === 'chunk' ? 'line-score' : 'document-score';
  if (model.kind !== wanted) {
    throw new GristmillError('OPTION_INVALID', {
      option: `${stage}Model`,
      expected: `a language model or one of kind ${wanted}`,
      received: `${model.path} of kind ${model.kind}`,
    });
  }
  if (stage === 'document' && documentMode === 'generate') {
    throw new GristmillError('OPTION_INVALID', {
      option: 'documentMode',
      expected: `score, as ${model.path} only scores`,
      received: documentMode,
    });
  }
}

/** Bytes of text of one batch: three of them fit a slab many times over. */
export const BATCH_BYTES = 8 * 2 ** 20;

/** How large the batches of a run are; a function of the models and options alone, as outputs follow from them. */
export function batchBounds(
  { document, chunk }: ResolvedRefiner,
  { slots }: Pick<RefineOptions, 'slots'>,
  device: string,
): { readonly batchRows: number; readonly batchBytes: number } {
  const onlyScores = !document?.profile && !chunk?.profile;
  if (onlyScores && slots === undefined) {
    return { batchRows: SCORING_BATCH_ROWS, batchBytes: SCORING_BATCH_BYTES };
  }
  return {
    batchRows: batchRows(slots ?? defaultSizes(device).nSlots),
    batchBytes: BATCH_BYTES,
  };
}

/** The stages of one device with the engines under them. */
export interface OpenCore extends RefineCore {
  /** What the models say of themselves, document stage first. */
  readonly infos: readonly (EngineInfo | ScoringInfo)[];
  /** What a person should know of how the models were opened. */
  readonly notices: readonly string[];
  /** Counters by model, in the same order. */
  stats(): Promise<(EngineStats | ScoringStats)[]>;
  dispose(): Promise<void>;
}

/** Room that a prompt takes besides its text and markers: template, system text, a second BOS. */
const PROMPT_OVERHEAD_TOKENS = 128;

/** Longest prompt of the chunk stage, in tokens. */
export function longestChunkPrompt({ chunk }: Profile): number {
  const { windows, maxNewTokens } = chunk!;
  return windows.unit === 'tokens'
    ? windows.max + PROMPT_OVERHEAD_TOKENS
    : windows.maxContextTokens - maxNewTokens;
}

/** What a run asks of its stages besides the refiner's own options. */
export interface OpenCoreOptions {
  /** Score the lines of documents that fall as well. Default false. */
  readonly allLines?: boolean;
  /** Give the scores of lines, beside what is made of them. Default false. */
  readonly keepsLines?: boolean;
  /** The verdicts are there already: no model is loaded. Default false. */
  readonly isReuse?: boolean;
  /** Counts of the sites that documents are from. Default: nothing is known. */
  readonly sites?: Sites | null;
}

/** Loads the models on one device, side by side, and sets the stages up. */
export async function openCore(
  resolved: ResolvedRefiner,
  options: RefineOptions,
  device: string,
  pool: ExecutionPool,
  { allLines = false, keepsLines = false, isReuse = false, sites = null }: OpenCoreOptions = {},
): Promise<OpenCore> {
  const opened: { document?: RefinerEngine; scoring?: ScoringEngine; chunk?: RefinerEngine } = {};
  const notices: string[] = [];
  const open = async (
    stage: StageName,
    modelPath: string,
    nCtxSlot: number,
    onlyPrompts = false,
  ): Promise<RefinerEngine> => {
    const sizes = defaultSizes(device, options.threads);
    const wanted = options.slots ?? defaultSlots(device, nCtxSlot);
    // The cache of slots that nothing is written to would take seven eighths of a GPU's.
    const nSlots = onlyPrompts ? Math.min(wanted, promptSlots(sizes)) : wanted;
    const fitSlots = options.slots === undefined;
    const settings = { ...sizes, nSlots, fitSlots, modelPath, device, nCtxSlot };
    const { openLocalEngine } = await import('./engine.ts');
    const engine = await openLocalEngine(settings);
    opened[stage] = engine;
    notices.push(...slotNotices(stage, settings, engine.info));
    return engine;
  };
  const dispose = async (): Promise<void> => {
    const { document: judging, scoring, chunk: writing } = opened;
    await Promise.all([judging?.dispose(), scoring?.dispose(), writing?.dispose()]);
  };
  const { document, chunk, dialect, grammar } = resolved;
  const openScores = async (): Promise<RefineCore['score']> => {
    const pathOf = (stage: ResolvedStage | null): string | null =>
      stage && !stage.profile ? stage.model.path : null;
    const [documentModel, lineModel] = [pathOf(document), pathOf(chunk)];
    if (documentModel === null && lineModel === null) return null;
    const { nThreads } = defaultSizes(device, options.threads);
    opened.scoring = await openLocalScoring({ documentModel, lineModel, device, nThreads });
    const { documentThreshold, lineThreshold, retention } = resolved.options;
    return scoringStages(opened.scoring, {
      documentThreshold,
      lines: { lineThreshold: lineThreshold ?? undefined, retention: retention ?? undefined },
      all: allLines,
      sitesOf: sites && (await siteLookUp(sites)),
      keepLines: keepsLines,
      // Of documents that fall C++ would cut the lines too.
      pool: allLines ? null : pool,
    });
  };
  const openJudge = async (): Promise<RefineCore['judge']> => {
    const { documentMode: mode, documentThreshold: threshold } = resolved.options;
    if (!document?.profile) return null;
    const { profile } = document;
    const { maxPromptTokens, maxNewTokens } = profile.document!;
    const answer = mode === 'generate' ? Math.min(maxNewTokens, 48) : 16;
    const nCtxSlot = maxPromptTokens + answer;
    const engine = await open('document', document.model.path, nCtxSlot, mode === 'score');
    const { documentStage } = await import('./document-stage.ts');
    return documentStage({ engine, profile, mode, threshold: threshold ?? 0.5 });
  };
  const openWriter = async (): Promise<RefineCore['write']> => {
    if (!chunk?.profile) return null;
    const { profile } = chunk;
    const maxPromptTokens = longestChunkPrompt(profile);
    const { maxNewTokens } = profile.chunk!;
    const engine = await open('chunk', chunk.model.path, maxPromptTokens + maxNewTokens);
    const { chunkStage } = await import('./chunk-stage.ts');
    return chunkStage({
      engine,
      profile,
      grammar: resolved.options.constrained ? grammar : null,
      firstLine: grammar.firstLine,
      maxPromptTokens,
    });
  };
  const openParts = () => {
    const judging = openJudge();
    // On a GPU one after the other: what the second takes is what the first has left.
    const writing = device === 'cpu' ? openWriter() : judging.then(openWriter);
    return [openScores(), judging, writing] as const;
  };
  const parts = isReuse ? ([null, null, null] as const) : openParts();
  const failed = (await Promise.allSettled(parts)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') {
    await dispose();
    throw failed.reason;
  }
  const [score, judge, write] = await Promise.all(parts);
  const dropAnswer = document?.profile?.document?.answers.drop.trim() ?? 'drop_doc()';
  const { document: judging, scoring, chunk: writing } = opened;
  return {
    score,
    judge,
    write,
    dropAnswer,
    dialect,
    pool,
    infos: [judging?.info, ...(scoring?.infos ?? []), writing?.info].filter(
      (info) => info !== undefined,
    ),
    notices,
    stats: async () => {
      const [first, scored, last] = await Promise.all([
        judging?.stats(),
        scoring?.stats(),
        writing?.stats(),
      ]);
      return [first, ...(scored ?? []), last].filter((own) => own !== undefined);
    },
    dispose,
  };
}

/** What is known of the sites of a column; loaded where somebody asks. */
async function siteLookUp(sites: Sites): Promise<(site: BytesColumn) => PageSites> {
  const { SiteNames } = await import('../sites/site-names.ts');
  const names = new SiteNames();
  return (site) => ({ table: sites.table.handle, ...names.of(site) });
}

/** The shared memory of a refinement; options that are left out have the pool's defaults. */
export function openSlabs({
  slabBytes = SLAB_POOL_DEFAULTS.slabBytes,
  nSlabs = SLAB_POOL_DEFAULTS.nSlabs,
  ownBufferAfterMs = SLAB_POOL_DEFAULTS.ownBufferAfterMs,
}: SlabPoolOptions): SlabPool {
  return new SlabPool({ slabBytes, nSlabs, ownBufferAfterMs });
}

/** The pool that executes programs over batches of `slabs`. */
export function openExecution(
  resolved: ResolvedRefiner,
  slabs: SlabPool,
  workers: number | undefined,
): ExecutionPool {
  const { executor, execute } = resolved.options;
  return new ExecutionPool({
    slabs,
    ...(workers !== undefined && { nWorkers: workers }),
    execute: { ...execute, dialect: resolved.dialect, executor },
  });
}
