/**
 * A run: a corpus in, a refined corpus and a ledger out (see lanes.ts for the streams and ledger.ts for the commits).
 */
import { planCorpus } from '../corpus/plan.ts';
import type { CorpusPlan, SinkFormat } from '../corpus/types.ts';
import { GristmillError } from '../errors.ts';
import { llamaCppVersion, version } from '../version.ts';
import { type ResolvedRefiner, resolveRefiner } from './core.ts';
import { defaultSizes, parseDevices } from './devices.ts';
import { Run } from './lanes.ts';
import { openLedger } from './ledger.ts';
import type { RunIdentity } from './run-identity.ts';
import { REFINE_DEFAULTS, type RefineCorpusOptions } from './run-options.ts';
import type { RunSummary } from './statistics.ts';
import { streamRun } from './stream-run.ts';
import { emptyTally, summarise, totalRows } from './tally.ts';
import type { OutputSettings } from './unit-writer.ts';

/**
 * Refines a corpus. Running it again on the same output folder resumes.
 *
 * @throws OPTION_INVALID, CORPUS_*, ENGINE_*, PROFILE_*, RUN_*
 * @see ProX, arXiv 2409.17115 §2
 */
export async function refineCorpus(options: RefineCorpusOptions): Promise<RunSummary> {
  const notice = options.onNotice ?? (() => undefined);
  const started = performance.now();
  const resolved = await resolveRefiner(options);
  for (const stage of ['document', 'chunk'] as const) {
    const random = resolved[stage]?.model.random;
    if (random) {
      notice(`${stage} model "${random}": random weights, its verdicts mean nothing`);
    }
  }
  if (options.out === '-') return streamRun(options, resolved, started);
  const plan = await planCorpus({
    inputs: options.inputs,
    textColumn: options.textColumn ?? REFINE_DEFAULTS.textColumn,
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    unitRows: options.unitRows ?? REFINE_DEFAULTS.unitRows,
    failFast: options.failFast ?? false,
  });
  notice(describePlan(plan));
  const output = outputSettings(options, plan);
  if (options.planOnly) return summarise([], plan, options.out, started, emptyTally());
  const ledger = openLedger(options.out, identityOf(options, resolved, plan, output));
  try {
    return await new Run(options, resolved, plan, output, ledger, started).execute();
  } finally {
    ledger.close();
  }
}

/** One line about a plan. */
export function describePlan(plan: CorpusPlan): string {
  const bytes = plan.units.reduce((sum, unit) => sum + unit.bytes, 0);
  const rows = totalRows(plan.units);
  const parts = [
    `${plan.files.length} files`,
    `${plan.units.length} units`,
    rows === null ? null : `${rows.toLocaleString('en')} rows`,
    `${(bytes / 1e6).toFixed(1)} MB`,
    plan.failedFiles.length > 0 ? `${plan.failedFiles.length} files cannot be read` : null,
  ];
  return `plan: ${parts.filter((part) => part !== null).join(', ')}`;
}

function outputSettings(options: RefineCorpusOptions, plan: CorpusPlan): OutputSettings {
  const jsonl = plan.files.length > 0 && plan.files.every((f) => f.format.startsWith('jsonl'));
  const format: SinkFormat = options.format ?? (jsonl ? 'jsonl.zst' : 'parquet');
  const chosen = { ...REFINE_DEFAULTS, ...options };
  const { keepOriginal, droppedText, zstdLevel, rowGroupRows, rowGroupBytes } = chosen;
  for (const [option, value, least, most] of [
    ['zstdLevel', zstdLevel, 1, 19],
    ['rowGroupRows', rowGroupRows, 1, 2 ** 31],
    ['rowGroupBytes', rowGroupBytes, 1, 2 ** 31],
    ['unitRows', chosen.unitRows, 1, 2 ** 31],
    ['limit', options.limit ?? 0, 0, Number.MAX_SAFE_INTEGER],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      const expected = `a whole number in ${least}..${most}`;
      throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
    }
  }
  return { format, keepOriginal, droppedText, zstdLevel, rowGroupRows, rowGroupBytes };
}

function identityOf(
  options: RefineCorpusOptions,
  resolved: ResolvedRefiner,
  plan: CorpusPlan,
  output: OutputSettings,
): RunIdentity {
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const model = (stage: 'document' | 'chunk') => {
    const found = resolved[stage]?.model;
    return found ? { path: found.path, bytes: found.bytes, sha256: found.sha256 } : null;
  };
  return {
    format: 1,
    versions: { gristmill: version, llamaCpp: llamaCppVersion },
    options: {
      ...resolved.options,
      ...output,
      dialect: resolved.dialect,
      textColumn: plan.textColumn,
      idColumn: plan.idColumn,
      documentProfile: resolved.document?.profile ?? null,
      chunkProfile: resolved.chunk?.profile ?? null,
      unitRows: options.unitRows ?? REFINE_DEFAULTS.unitRows,
      limit: options.limit ?? null,
      deviceKind: device === 'cpu' ? 'cpu' : 'cuda',
      slots: options.slots ?? defaultSizes(device).nSlots,
    },
    models: { document: model('document'), chunk: model('chunk') },
    inputs: plan.files.map(({ path, bytes, fingerprint }) => ({ path, bytes, fingerprint })),
    units: plan.units.length,
  };
}
