/**
 * What a finished chain says of itself: for every checkpoint the way back to files and programs that made it.
 *
 *     checkpoint ─► checkpoints on its way ─► corpora seen, tokens of each ─► refined files, counts, refiners ─► raw files
 *
 * Everything is read from what the stages wrote, nothing is measured anew, and there is no time in it: the same chain gives
 * the same report.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Checkpoint } from '../continual/run/lineage.ts';
import type { RunPlanSummary } from '../continual/run/run.ts';
import { readLedgerJson } from '../durable-files.ts';
import type { RefineCounts } from '../refine/statistics.ts';
import { fingerprintsOf, planSources } from '../tokens/sources.ts';
import { version } from '../version.ts';
import { CHAIN_STAGES, type ChainConfig, type ChainStage } from './config.ts';
import { ChainLedger } from './ledger.ts';
import { mixtureWeights, rawSource, refined, trainedInputs } from './stages.ts';

/** A file by what it holds. */
export interface ReportedFile {
  readonly path: string;
  readonly sha256: string;
}

/** A corpus, from raw files to what is trained on. */
export interface ReportedCorpus {
  readonly raw: readonly ReportedFile[];
  /** Null where it is trained on as it is. */
  readonly refined: {
    readonly files: readonly ReportedFile[];
    readonly counts: Readonly<Partial<Record<keyof RefineCounts, unknown>>>;
    /** What judged documents and wrote programs; each row of the files says what was done to it. */
    readonly models: unknown;
    readonly options: unknown;
  } | null;
}

/** A checkpoint and its way. */
export interface ReportedCheckpoint extends Pick<Checkpoint, 'id' | 'sha256' | 'losses' | 'seen'> {
  readonly file: string;
  /** Ids from it back to the first weights. */
  readonly way: readonly string[];
  /** What was trained on: by corpus, files as they were trained on. */
  readonly corpora: Readonly<Record<string, readonly ReportedFile[]>>;
}

/** A report. */
export interface ChainReport {
  readonly name: string;
  readonly gristmill: string;
  readonly stages: readonly {
    readonly stage: ChainStage;
    readonly nInputs: number;
    readonly nOutputs: number;
  }[];
  readonly corpora: Readonly<Record<string, ReportedCorpus>>;
  readonly mixture: Readonly<Record<string, number>> | null;
  readonly checkpoints: readonly ReportedCheckpoint[];
  readonly notes: readonly string[];
}

/** Makes the report of a chain whose stages are done. @throws RUN_LEDGER_INVALID */
export async function chainReport(chain: ChainConfig, out: string): Promise<ChainReport> {
  const ledger = new ChainLedger(out);
  const records = CHAIN_STAGES.flatMap((stage) => (chain[stage] ? [ledger.read(stage)!] : []));
  const hashes = new Map(
    records.flatMap(({ inputs, outputs }) => [
      ...Object.entries(inputs).map(([path, { sha256 }]) => [path, sha256] as const),
      ...Object.entries(outputs ?? {}).map(
        ([path, { sha256 }]) => [join(out, path), sha256] as const,
      ),
    ]),
  );
  const fileOf = (path: string): ReportedFile => ({ path, sha256: hashes.get(path) ?? '' });
  const corpora: Record<string, ReportedCorpus> = {};
  for (const name of Object.keys(chain.corpora)) {
    corpora[name] = await corpusOf(chain, out, name, fileOf);
  }
  const done = chain.continue !== undefined;
  const summary = done
    ? (readLedgerJson(join(out, 'continue', 'summary.json')) as RunPlanSummary)
    : null;
  return {
    name: chain.name,
    gristmill: version,
    stages: records.map(({ stage, inputs, outputs }) => ({
      stage,
      nInputs: Object.keys(inputs).length,
      nOutputs: Object.keys(outputs ?? {}).length,
    })),
    corpora,
    mixture: chain.mix ? mixtureWeights({ chain, out }) : null,
    checkpoints: done ? checkpointsOf(out, corpora) : [],
    notes: summary?.notes ?? [],
  };
}

async function corpusOf(
  chain: ChainConfig,
  out: string,
  name: string,
  fileOf: (path: string) => ReportedFile,
): Promise<ReportedCorpus> {
  if (!refined(chain).includes(name)) {
    const files = fingerprintsOf(await planSources([rawSource(chain, name)]));
    return { raw: Object.keys(files).map(fileOf), refined: null };
  }
  const folder = join(out, 'refine', name);
  const run = readLedgerJson(join(folder, '_gristmill', 'run.json')) as {
    readonly models: unknown;
    readonly options: unknown;
    readonly inputs: readonly { readonly path: string }[];
  };
  return {
    raw: run.inputs.map(({ path }) => fileOf(path)),
    refined: {
      files: trainedInputs({ chain, out }, name).map(fileOf),
      counts: countsOf(join(folder, '_gristmill', 'units')),
      models: run.models,
      options: run.options,
    },
  };
}

/** Sums of the units. */
function countsOf(folder: string): Record<string, unknown> {
  const sums = new Map<string, number>();
  for (const name of existsSync(folder) ? readdirSync(folder).sort() : []) {
    const { counts } = readLedgerJson(join(folder, name)) as {
      readonly counts: Record<string, unknown>;
    };
    for (const [key, value] of Object.entries(counts)) {
      if (typeof value === 'number') sums.set(key, (sums.get(key) ?? 0) + value);
    }
  }
  return Object.fromEntries(sums);
}

function checkpointsOf(out: string, corpora: ChainReport['corpora']): ReportedCheckpoint[] {
  const { checkpoints } = readLedgerJson(join(out, 'continue', 'lineage.json')) as {
    readonly checkpoints: readonly Checkpoint[];
  };
  const byId = new Map(checkpoints.map((one) => [one.id, one]));
  return checkpoints.map(({ id, file, sha256, losses, seen }) => {
    const way: string[] = [];
    // A parent stands in front of its children, so that this ends.
    for (let at: string | null = id; at !== null; at = byId.get(at)?.parent ?? null) way.push(at);
    const files = Object.keys(seen).map((name) => {
      const corpus = corpora[name];
      return [name, corpus?.refined?.files ?? corpus?.raw ?? []] as const;
    });
    return {
      id,
      file: `continue/${file}`,
      sha256,
      losses,
      seen,
      way,
      corpora: Object.fromEntries(files),
    };
  });
}

/** The report as Markdown. */
export function chainReportText(report: ChainReport): string {
  const { name, stages, corpora, mixture, checkpoints, notes } = report;
  const lines = [
    `# ${cell(name)}`,
    '',
    `Stages: ${stages.map(({ stage }) => stage).join(', ')}.`,
    '',
  ];
  lines.push(
    '| corpus | raw files | rows in | kept | edited | dropped | failed | files trained on |',
  );
  lines.push('| --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const [corpus, { raw, refined: own }] of Object.entries(corpora)) {
    const counts = ['rowsIn', 'kept', 'edited', 'dropped', 'failed'].map((key) =>
      own ? String((own.counts as Record<string, unknown>)[key] ?? 0) : '–',
    );
    const trained = own ? own.files : raw;
    lines.push(
      `| ${[cell(corpus), raw.map(named).join('<br>'), ...counts, trained.map(named).join('<br>')].join(' | ')} |`,
    );
  }
  if (mixture) {
    lines.push('', '| domain | weight |', '| --- | --- |');
    for (const [domain, weight] of Object.entries(mixture))
      lines.push(`| ${cell(domain)} | ${weight.toFixed(4)} |`);
  }
  if (checkpoints.length > 0) {
    const sets = [...new Set(checkpoints.flatMap(({ losses }) => Object.keys(losses ?? {})))];
    lines.push('', `| checkpoint | sha256 | way | tokens seen | ${sets.map(cell).join(' | ')} |`);
    lines.push(`| ${Array.from({ length: 4 + sets.length }, () => '---').join(' | ')} |`);
    for (const { id, sha256, way, seen, losses } of checkpoints) {
      const tokens = Object.entries(seen).map(
        ([corpus, { newTokens, replayedTokens }]) =>
          `${cell(corpus)} ${newTokens}${replayedTokens > 0 ? ` + ${replayedTokens} replayed` : ''}`,
      );
      const figures = sets.map((set) => losses?.[set]?.toFixed(4) ?? '–');
      lines.push(
        `| ${[cell(id), sha256.slice(0, 16), way.map(cell).join(' ← '), tokens.join('<br>'), ...figures].join(' | ')} |`,
      );
    }
  }
  if (notes.length > 0) lines.push('', ...notes.map((note) => `- ${cell(note)}`));
  return `${lines.join('\n')}\n`;
}

function named({ path, sha256 }: ReportedFile): string {
  return `${cell(path)} (${sha256.slice(0, 12)})`;
}

/** Text from outside in a cell: on one line, none of it markup. */
function cell(text: string): string {
  return text.replace(/[\r\n]+/g, ' ').replace(/[\\`*_{}[\]<>|#]/g, (sign) => `\\${sign}`);
}
