/**
 * Real sentences for the made training pages, in documents, from the file that models/collect-sentences.mjs writes.
 * A fifth of the documents, by hash of their name, is held out.
 */
import { readRows, requiredString } from '../gold.ts';
import { isHeldOut, type MadePart } from './made-phrases.ts';

/** Sentences that stand together in their source. */
export interface SentenceDocument {
  readonly name: string;
  readonly licence: string;
  readonly sentences: readonly string[];
}

/** Documents of each language in the order of the file. @throws TRAIN_GOLD_INVALID, CORPUS_* */
export async function readSentences(
  file: string,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, readonly SentenceDocument[]>> {
  const byLanguage = new Map<string, (SentenceDocument & { sentences: string[] })[]>();
  for await (const { row, line } of readRows(file, signal)) {
    const place = { file, line };
    const language = requiredString(row, 'language', place);
    const name = requiredString(row, 'document', place);
    const documents = byLanguage.get(language) ?? [];
    byLanguage.set(language, documents);
    let document = documents.at(-1);
    if (document?.name !== name) {
      document = { name, licence: requiredString(row, 'licence', place), sentences: [] };
      documents.push(document);
    }
    document.sentences.push(requiredString(row, 'sentence', place));
  }
  return byLanguage;
}

/** The documents that pages of `part` are made from. */
export function partOfDocuments(
  documents: readonly SentenceDocument[],
  part: MadePart,
): SentenceDocument[] {
  return documents.filter(({ name }) => isHeldOut(name) === (part === 'held-out'));
}
