/**
 * The texts of a corpus and nothing else, for what learns from them: batches in the order of the plan.
 */
import type { BytesColumn } from '../batch/document-batch.ts';
import type { OnProgress } from '../progress.ts';
import { planCorpus } from './plan.ts';
import { readRowBatches } from './rows.ts';
import { type CorpusPlan, ROW_OK } from './types.ts';

/** Options of {@link readTexts}. */
export interface ReadTextsOptions {
  /** Files, folders and globs. */
  readonly inputs: readonly string[];
  /** Default `text`. */
  readonly textColumn?: string;
  /** Told what lies in the inputs and is not read. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A batch of texts; its memory is valid until the next one is asked for. */
export interface TextBatch {
  readonly text: BytesColumn;
  /** 1 where a row is a text; 0 for null and for what is not UTF-8. */
  readonly usable: Uint8Array;
}

/** Plans a corpus of which every file must be readable. @throws CORPUS_* */
export function planTexts({
  inputs,
  textColumn,
  onNotice,
  signal,
}: ReadTextsOptions): Promise<CorpusPlan> {
  return planCorpus({
    inputs,
    failFast: true,
    onNotice,
    ...(textColumn !== undefined && { textColumn }),
    ...(signal && { signal }),
  });
}

/** Reads the texts of a plan in order. @throws CORPUS_*, ABORTED */
export async function* readTexts(
  plan: CorpusPlan,
  signal?: AbortSignal,
  onProgress?: OnProgress,
): AsyncGenerator<TextBatch> {
  for await (const { batch, rowStatus } of readRowBatches(plan, signal, onProgress)) {
    yield { text: batch.text, usable: rowStatus.map((status) => (status === ROW_OK ? 1 : 0)) };
  }
}

/** The same as strings. */
export async function* readStrings(plan: CorpusPlan, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for await (const { text, usable } of readTexts(plan, signal)) {
    for (const [row, flag] of usable.entries()) {
      if (flag === 0) continue;
      yield decoder.decode(text.data.subarray(text.offsets[row], text.offsets[row + 1]));
    }
  }
}
