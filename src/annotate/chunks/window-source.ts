/**
 * The windows of a run, document by document, with what is counted on the way.
 */

import { countJsonLines, countRows } from '../../corpus/count-rows.ts';
import type { CorpusPlan } from '../../corpus/types.ts';
import { throwIfAborted } from '../../errors.ts';
import { readGoldPages } from '../../scorers/gold.ts';
import { removedLines } from '../../scorers/program-pairs.ts';
import { documentsOf, planDocuments } from '../documents.ts';
import { readKeptIds } from '../kept-ids.ts';
import type { ChunkSettings } from './chunk-options.ts';
import {
  type DocumentWindow,
  type SourceDocument,
  sourceDocument,
  type WindowCutter,
} from './windows.ts';

/** A document and, for gold, which of its lines go. */
interface LabelledDocument {
  readonly document: SourceDocument;
  readonly removed?: Uint8Array;
}

/** Documents of a plan, in the place of all inputs, and which of them were kept. */
export interface SomeDocuments {
  readonly plan: CorpusPlan;
  readonly kept: ReadonlySet<string> | null;
}

/** Reads documents and cuts them. */
export class WindowSource {
  nDocuments = 0;
  /** Of all, where it is known: counted for those who are told how far it is. */
  nAll: number | null = null;
  /** Rows without a usable text, and documents that `onlyKept` leaves out. */
  nSkipped = 0;
  /** Lines longer than a window: they are in none. */
  nLinesTooLong = 0;
  readonly #settings: ChunkSettings;
  readonly #cutter: WindowCutter;
  readonly #some: SomeDocuments | null;

  constructor(settings: ChunkSettings, cutter: WindowCutter, some: SomeDocuments | null = null) {
    this.#settings = settings;
    this.#cutter = cutter;
    this.#some = some;
  }

  /** Windows in order. @throws TRAIN_GOLD_INVALID, CORPUS_*, ABORTED */
  async *windows(): AsyncGenerator<DocumentWindow> {
    const { way, limit = Number.POSITIVE_INFINITY, maxOps, onlyKept, signal } = this.#settings;
    const read = (): Promise<ReadonlySet<string>> | null =>
      onlyKept === undefined ? null : readKeptIds(onlyKept, signal);
    const kept = this.#some ? this.#some.kept : await read();
    for await (const row of way === 'gold' ? this.#pages() : this.#rows()) {
      if (this.nDocuments === limit) return;
      throwIfAborted(signal, 'annotating');
      this.nDocuments++;
      if (row === null || (kept && !kept.has(row.document.id))) {
        this.nSkipped++;
        continue;
      }
      const { document, removed } = row;
      const options = removed === undefined ? { maxOps } : { maxOps, removed };
      const { windows, nTooLong } = await this.#cutter.cut(document, options);
      this.nLinesTooLong += nTooLong;
      yield* windows;
    }
  }

  async *#pages(): AsyncGenerator<LabelledDocument> {
    const { inputs, limit, signal, onProgress } = this.#settings;
    if (onProgress) this.nAll = await countJsonLines(inputs, { limit, signal });
    for (const file of this.#settings.inputs) {
      for await (const page of readGoldPages(file, this.#settings.signal)) {
        const { id, domain, language, source, text, labels } = page;
        yield {
          document: sourceDocument({ id, domain, language, source, text }),
          removed: removedLines(labels),
        };
      }
    }
  }

  async *#rows(): AsyncGenerator<LabelledDocument | null> {
    const { inputs, textColumn, idColumn, limit, onNotice, onProgress, signal } = this.#settings;
    const all = {
      ...{ inputs, onNotice, signal },
      ...(textColumn !== undefined && { textColumn }),
      ...(idColumn !== undefined && { idColumn }),
    };
    const plan = this.#some?.plan ?? (await planDocuments(all));
    if (onProgress) this.nAll = await countRows(plan, { limit, signal });
    for await (const document of documentsOf(plan, signal))
      yield document === null ? null : { document };
  }
}
