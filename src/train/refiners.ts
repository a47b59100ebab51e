/** Refiners that `eval` knows by name. */
import { GristmillError } from '../errors.ts';
import { boosted } from './baselines/boosted.ts';
import { documentLogistic, keepAllDocuments, wordCount } from './baselines/documents.ts';
import { logistic } from './baselines/logistic.ts';
import { c4, gopher, keepAll } from './baselines/rules.ts';
import type { DocumentRefiner } from './eval-documents.ts';
import { lineScore } from './line-score/refiner.ts';
import type { LineRefiner } from './line-scorer.ts';

/** Line refiners by name. */
export const LINE_REFINERS: readonly LineRefiner[] = [
  keepAll,
  c4,
  gopher,
  logistic,
  boosted,
  lineScore,
];

/** Document refiners by name. */
export const DOCUMENT_REFINERS: readonly DocumentRefiner[] = [
  keepAllDocuments,
  wordCount,
  documentLogistic,
];

/** @throws OPTION_INVALID naming what is known */
export function lineRefiner(name: string): LineRefiner {
  return find(LINE_REFINERS, name);
}

/** @throws OPTION_INVALID naming what is known */
export function documentRefiner(name: string): DocumentRefiner {
  return find(DOCUMENT_REFINERS, name);
}

function find<T extends { readonly name: string }>(refiners: readonly T[], name: string): T {
  const found = refiners.find((refiner) => refiner.name === name);
  if (found) return found;
  throw new GristmillError('OPTION_INVALID', {
    option: 'refiner',
    expected: `one of ${refiners.map((refiner) => refiner.name).join(', ')}`,
    received: name,
  });
}
