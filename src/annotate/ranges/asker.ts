/**
 * Asking an expert about ranges of documents, as annotating them will: the same documents, windows, prompts and bounds, in
 * whatever order. What comes of it are answers on disk; no set is made.
 */
import { createHash } from 'node:crypto';
import { onlyColumns } from '../../corpus/columns.ts';
import { planCorpus } from '../../corpus/plan.ts';
import { readRowBatches } from '../../corpus/rows.ts';
import { type CorpusPlan, type CorpusUnit, ROW_OK } from '../../corpus/types.ts';
import { GristmillError } from '../../errors.ts';
import { mapOrdered } from '../../refine/pipeline.ts';
import { askAboutWindows, openCutter, prepareChunks } from '../chunks/annotate-chunks.ts';
import type { AnnotateChunksOptions } from '../chunks/chunk-options.ts';
import { WindowSource } from '../chunks/window-source.ts';
import { planDocuments } from '../documents.ts';
import type { Expert } from '../expert/expert.ts';
import { readKeptIds } from '../kept-ids.ts';
import { judgeText, prepareLabels } from '../label/label-documents.ts';
import { textAt } from '../label/label-files.ts';
import type { AnnotateDocumentsOptions } from '../label/label-types.ts';
import { refuseOption } from '../options.ts';
import { loadTemplate, type TemplateName } from '../templates.ts';

/** An annotation as it was asked for. */
export type AnnotateJob =
  | { readonly kind: 'documents'; readonly options: AnnotateDocumentsOptions }
  | { readonly kind: 'chunks'; readonly options: AnnotateChunksOptions };

/** Rows of a range, about: a thousand requests take an expert minutes, and a killed worker's answers stay. */
const RANGE_ROWS = 500;

/** Asks about ranges of one annotation. */
export interface Asker {
  readonly plan: CorpusPlan;
  /** SHA-256 of the prompts. */
  readonly prompts: string;
  /** @returns documents read; @throws what ends the asking, in good order or not */
  ask(unit: CorpusUnit, expert: Expert, signal: AbortSignal | undefined): Promise<number>;
  dispose(): void;
}

/**
 * Plans the ranges of an annotation.
 *
 * @throws OPTION_INVALID, CORPUS_*, PROFILE_*, ANNOTATE_TEMPLATE_INVALID, ABORTED
 */
export function openAsker(job: AnnotateJob): Promise<Asker> {
  const { limit } = job.options;
  if (limit !== undefined) {
    refuseOption(
      'limit',
      'none for several workers, whose ranges do not know of others’ rows',
      limit,
    );
  }
  return job.kind === 'documents' ? documentAsker(job.options) : windowAsker(job.options);
}

async function documentAsker(options: AnnotateDocumentsOptions): Promise<Asker> {
  const { settings, rule, templates } = prepareLabels(options);
  const { signal } = options;
  const whole = await planCorpus({
    inputs: options.inputs,
    textColumn: settings.textColumn,
    failFast: true,
    unitRows: RANGE_ROWS,
    onNotice: options.onNotice,
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    ...(signal && { signal }),
  });
  const plan = onlyColumns(whole, new Set([whole.textColumn, whole.idColumn]));
  const { maxChars, answerTokens } = settings;
  return {
    plan,
    prompts: hashOf(templates.map(({ text }) => text)),
    async ask(unit, expert, signal) {
      const judge = { expert, templates, rule, maxChars, answerTokens, signal };
      let nRows = 0;
      async function* texts(): AsyncGenerator<string> {
        for await (const rows of readRowBatches({ ...plan, units: [unit] }, signal)) {
          for (const [row, status] of rows.rowStatus.entries()) {
            nRows++;
            if (status === ROW_OK) yield textAt(rows, row);
          }
        }
      }
      const judged = mapOrdered(texts(), expert.concurrency, (text) => judgeText(text, judge));
      for await (const verdict of judged) if (verdict instanceof GristmillError) throw verdict;
      return nRows;
    },
    dispose: () => undefined,
  };
}

/** Prompts that the ways of chunks may use. */
const CHUNK_TEMPLATES: readonly TemplateName[] = ['navigation', 'urls', 'footers', 'rewrite'];

async function windowAsker(options: AnnotateChunksOptions): Promise<Asker> {
  const prepared = prepareChunks(options);
  const { settings } = prepared;
  const { way, inputs, textColumn, idColumn, onlyKept, prompts, onNotice, signal } = settings;
  if (way === 'gold') {
    refuseOption(
      'worker',
      'none with the way gold, which asks nobody: one machine makes the set',
      way,
    );
  }
  const plan = await planDocuments({
    ...{ inputs, unitRows: RANGE_ROWS, onNotice, signal },
    ...(textColumn !== undefined && { textColumn }),
    ...(idColumn !== undefined && { idColumn }),
  });
  if (onlyKept !== undefined && plan.idColumn === null) {
    refuseOption(
      'onlyKept',
      'inputs with a column of ids: a range does not know its rows’ numbers',
      onlyKept,
    );
  }
  const kept = onlyKept === undefined ? null : await readKeptIds(onlyKept, signal);
  const { tokenizer, cutter } = await openCutter(prepared);
  return {
    plan,
    prompts: hashOf(CHUNK_TEMPLATES.map((name) => loadTemplate(name, prompts).text)),
    async ask(unit, expert, signal) {
      const some = { plan: { ...plan, units: [unit] }, kept };
      const source = new WindowSource({ ...settings, ...(signal && { signal }) }, cutter, some);
      const ask = askAboutWindows(prepared, expert, signal);
      for await (const end of mapOrdered(source.windows(), expert.concurrency + 1, ask)) {
        if (end !== null) throw end;
      }
      return source.nDocuments;
    },
    dispose: () => tokenizer.dispose(),
  };
}

function hashOf(texts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}
