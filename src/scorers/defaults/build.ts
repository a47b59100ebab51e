/**
 * From a folder of labelled data to the package's refiners: validate, train, export, and a record of all of it.
 *
 * Beside every model lies `<model>.json`: options, folds, measures, thresholds, the loss curve, seconds. The table in
 * models/README.md is read off it.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { Piscina } from 'piscina';
import type { LineStack } from '../../lines/stack.ts';
import { defaultModelFile, distFile } from '../../paths.ts';
import { DEFAULT_DOCUMENT_RETENTION } from '../../refine/scoring-stages.ts';
import { BOOSTED_DEFAULTS } from '../baselines/boosted.ts';
import type { LineReport } from '../eval-lines.ts';
import { type GoldPage, readGoldPages } from '../gold.ts';
import { type DataFolders, dataFile, readExamples, readStackData } from './data.ts';
import {
  DOCUMENT_STACK_DEFAULTS,
  trainDocumentStack,
  validateDocumentStack,
} from './document-stack.ts';
import type { GroupTask } from './group-worker.ts';
import { type GroupLogits, N_GROUPS, PAGE_WEIGHTS, validateStack } from './line-stack.ts';
import { PROGRAM_TRAINING_DEFAULTS, PROGRAM_VOCABULARY, trainDefaultPrograms } from './programs.ts';
import { writeStackScorer } from './scorer-file.ts';

/** Options of {@link buildDefaultChunk} and {@link buildDefaultDocument}. */
export interface BuildOptions {
  /** Folder of labelled data; its files: data.ts. */
  readonly data: string;
  /** Folder with documents/ and pages/templates/; the repository's by default. */
  readonly models?: string;
  /** Folder of the model and its record. */
  readonly out: string;
  /** Of the writer of programs, by domain. Default 5. */
  readonly nFolds?: number;
  /** Groups of sources of the chunk refiner that are left out in turn. Default 6. */
  readonly nGroups?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told how far it is, a line at a time. */
  readonly log?: (line: string) => void;
}

/** A point of a loss curve is the mean over so many steps. */
const CURVE_STEPS = 50;

/** Builds `default-chunk.gguf`; see line-stack.ts. @throws TRAIN_*, CORPUS_* */
export async function buildDefaultChunk(options: BuildOptions): Promise<void> {
  const { out, nGroups = N_GROUPS, signal, log = () => undefined } = options;
  const started = performance.now();
  const folders = foldersOf(options);
  const data = await readStackData(folders, log);
  const { pages, partial, made, documents } = data;
  log(
    `default-chunk: ${pages.length} pages, ${partial.length} judged in part, ${made.length} made, ${documents.length} documents`,
  );
  const threads = groupThreads();
  const run = <T>(group: number | null): Promise<T> =>
    threads.run({ folders, nGroups, group } satisfies GroupTask, { signal: signal ?? null });
  try {
    // The model on everything takes longest, so it begins first.
    const whole = run<LineStack>(null);
    whole.catch(() => undefined);
    const { scores: _, ...validation } = await validateStack({
      ...data,
      nGroups,
      runGroup: run<GroupLogits>,
      onGroup: (group, sources) =>
        log(`default-chunk: group ${group + 1} of ${nGroups}, without ${sources.join(', ')}`),
    });
    log(`default-chunk: whole pages ${figures(validation.whole)}`);
    log(`default-chunk: lightly noisy ${figures(validation.light)}`);
    const stack = await whole;
    const { calibration, thresholds } = validation;
    writeStackScorer(join(out, 'default-chunk.gguf'), {
      kind: 'line-score',
      name: 'gristmill default-chunk',
      treeShare: BOOSTED_DEFAULTS.treeShare,
      ...{ stack, calibration, thresholds },
    });
    writeRecord(join(out, 'default-chunk.json'), {
      training: BOOSTED_DEFAULTS,
      weights: PAGE_WEIGHTS,
      nGroups,
      nPages: pages.length,
      nPartial: partial.length,
      nMade: made.length,
      nDocuments: documents.length,
      validation,
      seconds: Math.round((performance.now() - started) / 1000),
    });
  } finally {
    await threads.destroy();
  }
}

/** Memory that a thread's measures may take. */
const THREAD_MB = 8192;

/** A thread a core, as far as memory goes. */
function groupThreads(): Piscina {
  const byMemory = Math.floor(process.availableMemory() / 2 ** 20 / THREAD_MB);
  const nThreads = Math.max(1, Math.min(availableParallelism(), byMemory));
  return new Piscina({
    filename: pathToFileURL(distFile('scorers/defaults/group-worker.js')).href,
    minThreads: nThreads,
    maxThreads: nThreads,
    resourceLimits: { maxOldGenerationSizeMb: THREAD_MB },
  });
}

/** Builds `default-document.gguf`; see document-stack.ts. @throws TRAIN_*, CORPUS_* */
export async function buildDefaultDocument(options: BuildOptions): Promise<void> {
  const { out, log = () => undefined } = options;
  const started = performance.now();
  const examples = await readExamples(foldersOf(options), log);
  log(`default-document: ${examples.length} documents`);
  const validation = await validateDocumentStack(examples, DEFAULT_DOCUMENT_RETENTION);
  log(`default-document: auc ${validation.auc.toFixed(3)}`);
  for (const { retention, threshold, noiseRemoved } of validation.thresholds) {
    log(
      `default-document: threshold ${threshold.toFixed(4)} keeps ${retention}, drops ${noiseRemoved.toFixed(3)} of the bad`,
    );
  }
  const { calibration, thresholds } = validation;
  writeStackScorer(join(out, 'default-document.gguf'), {
    kind: 'document-score',
    name: 'gristmill default-document',
    treeShare: DOCUMENT_STACK_DEFAULTS.treeShare,
    stack: trainDocumentStack(examples),
    ...{ calibration, thresholds },
  });
  writeRecord(join(out, 'default-document.json'), {
    training: DOCUMENT_STACK_DEFAULTS,
    nDocuments: examples.length,
    validation,
    seconds: Math.round((performance.now() - started) / 1000),
  });
}

function foldersOf({ data, models }: BuildOptions): DataFolders {
  return { data, models: models ?? dirname(defaultModelFile('chunk')) };
}

/** Builds `default-programs.gguf` and its profile; see programs.ts. @throws TRAIN_*, CORPUS_*, ENGINE_* */
export async function buildDefaultPrograms(options: BuildOptions): Promise<void> {
  const { data, out, nFolds = 5, signal, log = () => undefined } = options;
  const started = performance.now();
  const pages = await pagesOf(dataFile(data, 'dev'));
  const curve = new Curve();
  const validation = await trainDefaultPrograms({
    pages,
    out,
    nFolds,
    signal,
    onStep: ({ step, totalSteps, loss, tokensPerSecond }) => {
      curve.add(loss);
      if (step % 20 === 0) {
        const speed = Math.round(tokensPerSecond);
        log(`default-programs: step ${step} of ${totalSteps}, loss ${loss}, ${speed} tokens/s`);
      }
    },
  });
  log(`default-programs: whole pages ${figures(validation.whole)}`);
  log(`default-programs: lightly noisy ${figures(validation.light)}`);
  writeRecord(join(out, 'default-programs.json'), {
    training: PROGRAM_TRAINING_DEFAULTS,
    vocabulary: PROGRAM_VOCABULARY,
    nFolds,
    validation,
    curve: curve.points(),
    seconds: Math.round((performance.now() - started) / 1000),
  });
}

class Curve {
  readonly #points: number[] = [];
  #sum = 0;
  #count = 0;

  add(loss: number): void {
    this.#sum += loss;
    if (++this.#count < CURVE_STEPS) return;
    this.#points.push(Number((this.#sum / CURVE_STEPS).toFixed(4)));
    this.#sum = 0;
    this.#count = 0;
  }

  points(): { readonly everySteps: number; readonly losses: readonly number[] } {
    return { everySteps: CURVE_STEPS, losses: this.#points };
  }
}

function figures({ macroF1, noiseCharsRemovedAt, docWordF1 }: LineReport): string {
  const at = Object.entries(noiseCharsRemovedAt).map(([bound, share]) => {
    return `${share.toFixed(3)} at ${bound}`;
  });
  return `macroF1 ${macroF1.toFixed(3)}, noise removed ${at.join(', ')}, docWordF1 ${docWordF1?.toFixed(3)}`;
}

function pagesOf(file: string): Promise<GoldPage[]> {
  return collect(readGoldPages(file));
}

async function collect<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

function writeRecord(path: string, record: object): void {
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(6)) : value;
  writeFileSync(path, `${JSON.stringify(record, rounded, 2)}\n`);
}
