/**
 * From a folder of labelled data to the package's refiners: validate, train, export, and a record of all of it.
 *
 * Beside every model lies `<model>.json`: options, folds, measures, thresholds, the loss curve, seconds. The table in
 * models/README.md is read off it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { packEncoder } from '../../lines/encoder-file.ts';
import { DOCUMENT_TRAINING_DEFAULTS, trainDocumentScorer } from '../document-score/training.ts';
import type { LineReport } from '../eval-lines.ts';
import { type GoldPage, readGoldDocuments, readGoldPages } from '../gold.ts';
import { LINE_TRAINING_DEFAULTS } from '../line-score/training.ts';
import { trainDefaultChunk, validateChunk } from './chunk.ts';
import { validateDocument } from './document.ts';
import { PROGRAM_TRAINING_DEFAULTS, PROGRAM_VOCABULARY, trainDefaultPrograms } from './programs.ts';

/** Options of {@link buildDefaultChunk} and {@link buildDefaultDocument}. */
export interface BuildOptions {
  /** Folder with dev.jsonl.gz, dev-math.jsonl.gz, dev-snippets.jsonl.gz and dev-docquality.jsonl.gz. */
  readonly data: string;
  /** Folder of the model and its record. */
  readonly out: string;
  /** Default 5. */
  readonly nFolds?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told how far it is, a line at a time. */
  readonly log?: (line: string) => void;
}

/** A point of a loss curve is the mean over so many steps. */
const CURVE_STEPS = 50;

/** Builds `default-chunk.gguf`; see chunk.ts. @throws TRAIN_*, CORPUS_* */
export async function buildDefaultChunk(options: BuildOptions): Promise<void> {
  const { data, out, nFolds = 5, signal, log = () => undefined } = options;
  const started = performance.now();
  const pages = await pagesOf(join(data, 'dev.jsonl.gz'));
  const extraPages = [
    ...(await pagesOf(join(data, 'dev-math.jsonl.gz'))),
    ...(await pagesOf(join(data, 'dev-snippets.jsonl.gz'))),
  ];
  const training = LINE_TRAINING_DEFAULTS;
  const shared = { pages, extraPages, training, signal };
  const { scores: _, ...validation } = await validateChunk({
    ...shared,
    nFolds,
    onFold: (fold) => log(`default-chunk: fold ${fold + 1} of ${nFolds}`),
  });
  log(`default-chunk: whole pages ${figures(validation.whole)}`);
  log(`default-chunk: lightly noisy ${figures(validation.light)}`);
  const curve = new Curve();
  const { trainer, encoder } = await trainDefaultChunk({
    ...shared,
    onStep: ({ step, totalSteps, loss }) => {
      curve.add(loss);
      if (step % 100 === 0) log(`default-chunk: step ${step} of ${totalSteps}, loss ${loss}`);
    },
  });
  try {
    const { calibration, thresholds } = validation;
    const kind = 'line-score';
    await trainer.exportGguf({
      path: join(out, 'default-chunk.gguf'),
      type: 'q8_0',
      name: 'gristmill default-chunk',
      nCtx: training.nCtx,
      kind,
      encoder: packEncoder({ kind, encoder, calibration, thresholds }),
    });
    writeRecord(join(out, 'default-chunk.json'), {
      training,
      nFolds,
      nPages: pages.length,
      nExtraPages: extraPages.length,
      nParams: trainer.info.nParams,
      validation,
      curve: curve.points(),
      seconds: Math.round((performance.now() - started) / 1000),
    });
  } finally {
    await trainer.dispose();
  }
}

/** Builds `default-document.gguf`; see document.ts. @throws TRAIN_*, CORPUS_* */
export async function buildDefaultDocument(options: BuildOptions): Promise<void> {
  const { data, out, nFolds = 5, signal, log = () => undefined } = options;
  const started = performance.now();
  const documents = await collect(readGoldDocuments(join(data, 'dev-docquality.jsonl.gz')));
  const pages = await pagesOf(join(data, 'dev.jsonl.gz'));
  const validation = await validateDocument({ documents, pages, nFolds, signal });
  const { balancedAccuracy, auc, calibration, thresholds } = validation;
  log(`default-document: balanced accuracy ${balancedAccuracy.toFixed(3)}, auc ${auc.toFixed(3)}`);
  const { trainer, encoder } = await trainDocumentScorer(
    { documents, pages },
    DOCUMENT_TRAINING_DEFAULTS,
    signal,
  );
  try {
    const kind = 'document-score';
    await trainer.exportGguf({
      path: join(out, 'default-document.gguf'),
      type: 'q8_0',
      name: 'gristmill default-document',
      nCtx: 1,
      kind,
      encoder: packEncoder({ kind, encoder, calibration, thresholds }),
    });
    writeRecord(join(out, 'default-document.json'), {
      training: DOCUMENT_TRAINING_DEFAULTS,
      nFolds,
      nDocuments: documents.length,
      nPages: pages.length,
      nParams: trainer.info.nParams,
      validation,
      seconds: Math.round((performance.now() - started) / 1000),
    });
  } finally {
    await trainer.dispose();
  }
}

/** Builds `default-programs.gguf` and its profile; see programs.ts. @throws TRAIN_*, CORPUS_*, ENGINE_* */
export async function buildDefaultPrograms(options: BuildOptions): Promise<void> {
  const { data, out, nFolds = 5, signal, log = () => undefined } = options;
  const started = performance.now();
  const pages = await pagesOf(join(data, 'dev.jsonl.gz'));
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
