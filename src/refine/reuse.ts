/**
 * Cutting a corpus anew from the scores that an earlier run has kept: the inputs are read, executed and written again, no
 * model is loaded or asked. With the same thresholds as a run with models the data files are the same bytes.
 *
 * What decides the scores comes from the earlier run (its models, stages, profiles, unit sizes, limit) and may not be
 * given; what is done with them may: thresholds, the executor and its limits, the form of the output. The inputs must be
 * what that run has read; its files of scores must be those of its ledger. It may lie in a bucket.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { below } from '../corpus/storage/addresses.ts';
import { readSmall, readSmallFiles } from '../corpus/storage/folders.ts';
import { readAhead } from '../corpus/storage/read-ahead.ts';
import { knownFile, openFile } from '../corpus/storage/storages.ts';
import type { CorpusPlan, CorpusUnit } from '../corpus/types.ts';
import { parseLedgerJson } from '../durable-files.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import { refuseOption } from '../options.ts';
import { DIALECTS } from '../program/dialects.ts';
import { edgeAt } from '../scores/edges.ts';
import type { CutThresholds } from '../scores/verdict.ts';
import { unitName } from '../work/output-folder.ts';
import { checkRecord } from './check-record.ts';
import type { ResolvedRefiner, ResolvedStage } from './core.ts';
import { type KeptScores, openScores } from './kept-scores.ts';
import { profileSchema } from './profile.ts';
import { ReusedUnits } from './reused-units.ts';
import { compareIdentity, type RunIdentity } from './run-identity.ts';
import type { ListedInputs, RefineCorpusOptions } from './run-options.ts';
import { checkLineThreshold } from './scoring-stages.ts';
import type { UsedThresholds } from './statistics.ts';
import type { UnitRecord } from './unit-record.ts';
import { thresholdsBy } from './used-thresholds.ts';

/** Options that are decided by the run whose scores are reused. */
const DECIDED = [
  'refiner',
  'documentModel',
  'chunkModel',
  'stages',
  'profile',
  'system',
  'dialect',
  'documentMode',
  'constrained',
  'seed',
  'slots',
  'textColumn',
  'unitRows',
  'limit',
] as const satisfies readonly (keyof RefineCorpusOptions)[];

const model = z.object({ path: z.string(), bytes: z.number(), sha256: z.string() }).nullable();

/** What is read of the earlier run.json. */
const reusable = z.object({
  options: z.object({
    executor: z.enum(['strict', 'compat']),
    execute: z.record(z.string(), z.unknown()),
    documentMode: z.enum(['score', 'generate']),
    constrained: z.boolean(),
    seed: z.int(),
    documentThreshold: z.number().nullable(),
    lineThreshold: z.number().nullable(),
    retention: z.number().nullable(),
    dialect: z.enum(['prox', 'ultrax']),
    textColumn: z.string(),
    idColumn: z.string().nullable(),
    documentProfile: z.unknown(),
    unitRows: z.int(),
    limit: z.int().nullable(),
    inferLines: z.union([z.int(), z.literal('all'), z.literal('default')]).optional(),
    maxLineBytes: z.number().optional(),
    textPer: z.enum(['file', 'line']).optional(),
    deviceKind: z.string(),
    slots: z.int(),
  }),
  models: z.object({ document: model, chunk: model }),
  inputs: z.array(z.object({ path: z.string(), bytes: z.number(), fingerprint: z.string() })),
  units: z.int(),
});

/** An earlier run, opened for its scores. */
export interface Reuse {
  readonly out: string;
  /** Options of the new run: those that were given, and the earlier run's. */
  readonly options: ListedInputs;
  readonly resolved: ResolvedRefiner;
  readonly thresholds: UsedThresholds;
  readonly scores: KeptScores;
  /** What the new run's identity says of it, beside its own. */
  identity(own: RunIdentity): RunIdentity;
  /** Holds a plan against what the earlier run has read. @throws RUN_REUSE_CHANGED, RUN_SCORES_ABSENT */
  checkPlan(plan: CorpusPlan, inputName: (unit: CorpusUnit) => string): Promise<ReusedUnits>;
}

/**
 * Opens a run for its scores.
 *
 * @throws OPTION_INVALID for options that it decides; RUN_SCORES_ABSENT, RUN_SCORES_COARSE for thresholds that its scores do
 *   not tell; RUN_LEDGER_INVALID
 */
export async function openReuse(asked: ListedInputs, dir: string): Promise<Reuse> {
  for (const option of DECIDED) {
    if (asked[option] === undefined) continue;
    refuseOption(option, `nothing beside reuse: the run in ${dir} decides it`, asked[option]);
  }
  checkLineThreshold(asked);
  const scores = await openScores(dir);
  const { out, layout } = scores;
  const runFile = below(out, '_gristmill/run.json');
  const runText = (await readSmall(runFile)) ?? '';
  const parsed = reusable.safeParse(parseLedgerJson(runFile, runText));
  if (!parsed.success) {
    const reason = z.prettifyError(parsed.error);
    throw new GristmillError('RUN_LEDGER_INVALID', { file: runFile, reason });
  }
  const before = parsed.data;
  const own = before.options;
  const resolved = resolvedOf(before, asked, runFile);
  for (const [stage, option] of [
    ['document', 'documentThreshold'],
    ['chunk', 'lineThreshold'],
    ['chunk', 'retention'],
  ] as const) {
    if (asked[option] === undefined || resolved[stage]) continue;
    refuseOption(option, `nothing, as the run in ${dir} has no ${stage} stage`, asked[option]);
  }
  const thresholds = thresholdsBy(resolved, {
    document: layout.documents?.thresholds ?? [],
    chunk: layout.lines?.thresholds ?? [],
  });
  const cut = cutBy(scores, resolved, thresholds);
  const jsonOptions = {
    ...(asked.inferLines === undefined &&
      typeof own.inferLines !== 'undefined' &&
      own.inferLines !== 'default' && { inferLines: own.inferLines }),
    ...(asked.maxLineBytes === undefined &&
      own.maxLineBytes !== undefined && { maxLineBytes: own.maxLineBytes }),
    ...(asked.textPer === undefined && own.textPer !== undefined && { textPer: own.textPer }),
  };
  const idColumn = asked.idColumn ?? own.idColumn;
  return {
    out,
    options: {
      ...asked,
      ...jsonOptions,
      textColumn: own.textColumn,
      ...(idColumn !== null && { idColumn }),
      unitRows: own.unitRows,
      ...(own.limit !== null && { limit: own.limit }),
      slots: own.slots,
      device: 'cpu',
    },
    resolved,
    thresholds,
    scores,
    identity: (identity) => ({
      ...identity,
      options: { ...identity.options, deviceKind: own.deviceKind },
      reused: createHash('sha256').update(runText).digest('hex'),
    }),
    checkPlan: async (plan, inputName) => {
      const inputs = plan.files.map(({ path, bytes, fingerprint }) => {
        return { path, bytes, fingerprint };
      });
      const changes = compareIdentity(
        { inputs: before.inputs, units: before.units },
        { inputs, units: plan.units.length },
      );
      if (changes.length > 0) {
        throw new GristmillError('RUN_REUSE_CHANGED', { out, changes: changes.join('; ') });
      }
      const texts = await recordTexts(out);
      const records = plan.units.flatMap((unit) => {
        const text = texts.get(`${unitName(unit.index)}.json`);
        const place = { out, unit: unit.index, nUnits: plan.units.length };
        const record = text === undefined ? null : recordOf(text, place, inputName(unit));
        if (record) return [record];
        if (own.limit !== null) return [];
        const reason = `unit ${unit.index} of ${plan.units.length} is not committed: finish that run first`;
        throw new GristmillError('RUN_SCORES_ABSENT', { out, reason });
      });
      for (const record of records) await checkScores(out, record);
      return new ReusedUnits(scores, cut);
    },
  };
}

/** Models, profiles and options as the earlier run had them, thresholds and execution as they are asked for now. */
function resolvedOf(
  { options: own, models }: z.infer<typeof reusable>,
  asked: ListedInputs,
  file: string,
): ResolvedRefiner {
  const stageOf = (stage: 'document' | 'chunk', profile: unknown): ResolvedStage | null => {
    const identity = models[stage];
    if (!identity) return null;
    if (profile === null || profile === undefined) {
      const kind = stage === 'chunk' ? 'line-score' : 'document-score';
      return { model: { ...identity, kind, random: null, encoder: null }, profile: null };
    }
    const parsed = profileSchema.safeParse(profile);
    if (!parsed.success) {
      const reason = `its profile: ${z.prettifyError(parsed.error)}`;
      throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
    }
    const model = { ...identity, kind: 'language', random: null, encoder: null };
    return { model, profile: parsed.data };
  };
  const asksLines = asked.lineThreshold !== undefined || asked.retention !== undefined;
  const isExecuteGiven = Object.keys(asked.execute ?? {}).length > 0;
  return {
    document: stageOf('document', own.documentProfile),
    // Runs whose chunk stage writes programs keep no scores.
    chunk: stageOf('chunk', null),
    dialect: own.dialect,
    grammar: DIALECTS[own.dialect].makeGrammar({}),
    options: {
      executor: asked.executor ?? own.executor,
      execute: isExecuteGiven ? asked.execute! : own.execute,
      documentMode: own.documentMode,
      constrained: own.constrained,
      seed: own.seed,
      documentThreshold: asked.documentThreshold ?? own.documentThreshold,
      lineThreshold: asksLines ? (asked.lineThreshold ?? null) : own.lineThreshold,
      retention: asksLines ? (asked.retention ?? null) : own.retention,
    },
  };
}

/** @throws RUN_SCORES_ABSENT, RUN_SCORES_COARSE */
function cutBy(
  { out, layout }: KeptScores,
  { options }: ResolvedRefiner,
  { document, line }: UsedThresholds,
): CutThresholds {
  if (layout.lines === null || line === null) {
    return { document, edge: null, isFromRetention: false };
  }
  const { from, edges } = layout.lines;
  if (from !== null && !(document !== null && document >= from)) {
    const reason = `documents that score below ${from} have none of their lines, which a document threshold of ${document} asks for; --keep-all-scores keeps those too`;
    throw new GristmillError('RUN_SCORES_ABSENT', { out, reason });
  }
  const found = edgeAt(edges, line);
  if ('edge' in found) {
    return { document, edge: found.edge, isFromRetention: options.lineThreshold === null };
  }
  const { below, above } = found;
  const nearest = [below, above].filter((edge) => edge !== null).join(' and ');
  throw new GristmillError('RUN_SCORES_COARSE', { out, threshold: line, nearest });
}

/** Records of units by the names of their files. */
async function recordTexts(out: string): Promise<ReadonlyMap<string, string>> {
  const folder = below(out, '_gristmill/units');
  const found = (await readSmallFiles(folder, (name) => /^\d+\.json$/.test(name))) ?? [];
  return new Map(found.map(({ name, text }) => [name, text]));
}

function recordOf(
  text: string,
  { out, unit, nUnits }: { readonly out: string; readonly unit: number; readonly nUnits: number },
  input: string,
): UnitRecord {
  const name = `${unitName(unit)}.json`;
  const file = below(out, `_gristmill/units/${name}`);
  const record = checkRecord(parseLedgerJson(file, text), { file, name, nUnits });
  if (record.input !== input) {
    const changes = `unit ${unit}: ${record.input} -> ${input}`;
    throw new GristmillError('RUN_REUSE_CHANGED', { out, changes });
  }
  return record;
}

/** A file of scores is that which its unit's record names. */
async function checkScores(out: string, { unit, scores }: UnitRecord): Promise<void> {
  const refuse = (what: string): never => {
    const reason = `unit ${unit}: ${what}`;
    throw new GristmillError('RUN_SCORES_ABSENT', { out, reason });
  };
  if (!scores) return refuse('its record names no scores');
  const path = below(out, scores.path);
  const found = await knownFile(path).catch((error: unknown) => {
    if (isGristmillError(error) && error.code === 'CORPUS_READ_FAILED') return null;
    throw error;
  });
  if (!found) return refuse(`${scores.path} is gone`);
  const file = await openFile(path);
  const hash = createHash('sha256');
  try {
    for await (const chunk of readAhead(file)) hash.update(chunk);
  } finally {
    await file.close();
  }
  if (hash.digest('hex') !== scores.sha256) refuse(`${scores.path} is not as it was written`);
}
