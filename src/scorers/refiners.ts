/** Refiners that `eval` knows by name. */
import { GristmillError } from '../errors.ts';
import { openPageScorer, type PageScorer } from '../lines/page-scorer.ts';
import { inspectModel } from '../model/inspect.ts';
import { defaultModelFile } from '../paths.ts';
import { boosted } from './baselines/boosted.ts';
import { c4Documents, gopherDocuments } from './baselines/document-rules.ts';
import { documentLogistic, keepAllDocuments, wordCount } from './baselines/documents.ts';
import { fasttextDocuments, fasttextLines } from './baselines/fasttext-style.ts';
import { logistic } from './baselines/logistic.ts';
import { c4, gopher, keepAll } from './baselines/rules.ts';
import { defaultDocuments, defaultLines } from './defaults/trained-refiners.ts';
import { documentScore } from './document-score/refiner.ts';
import type { DocumentRefiner } from './eval-documents.ts';
import { lineScore } from './line-score/refiner.ts';
import type { LineRefiner } from './line-scorer.ts';
import { programRefiner } from './program-writer/refiner.ts';

/** Line refiners by name. */
export const LINE_REFINERS: readonly LineRefiner[] = [
  keepAll,
  c4,
  gopher,
  fasttextLines,
  logistic,
  boosted,
  lineScore,
];

/** Document refiners by name. */
export const DOCUMENT_REFINERS: readonly DocumentRefiner[] = [
  keepAllDocuments,
  wordCount,
  c4Documents,
  gopherDocuments,
  fasttextDocuments,
  documentLogistic,
  documentScore,
];

/**
 * A line refiner by name, or by the GGUF file of a model that scores lines or writes programs.
 *
 * `default` is the package's model; with folds its recipe is trained anew for each of them (defaults/trained-refiners.ts).
 * `programs` is the package's model that writes programs.
 *
 * @throws OPTION_INVALID naming what is known
 */
export function lineRefiner(name: string, { folds = false } = {}): LineRefiner {
  if (name === 'default') {
    return folds ? defaultLines : lineModel(name, defaultModelFile('chunk'));
  }
  if (name === 'programs') return lineModel(name, defaultModelFile('programs'));
  if (name.endsWith('.gguf')) return lineModel(name, name);
  return find(LINE_REFINERS, name);
}

/**
 * A document refiner by name, or by the GGUF file of a model that scores documents; `default` as of lines.
 *
 * @throws OPTION_INVALID naming what is known
 */
export function documentRefiner(name: string, { folds = false } = {}): DocumentRefiner {
  if (name === 'default') {
    return folds ? defaultDocuments : documentModel(name, defaultModelFile('document'));
  }
  if (name.endsWith('.gguf')) return documentModel(name, name);
  return find(DOCUMENT_REFINERS, name);
}

function lineModel(name: string, modelPath: string): LineRefiner {
  return {
    name,
    trainable: false,
    fit: async () => {
      const { kind } = await inspectModel(modelPath);
      if (kind === 'language') return programRefiner(name, modelPath).fit([]);
      const scorer = await openModel(modelPath, 'line-score');
      return {
        name,
        threshold: 0.5,
        scoreLines: (lines) => scorer.scoreLines(lines),
        dispose: () => scorer.dispose(),
      };
    },
  };
}

function documentModel(name: string, modelPath: string): DocumentRefiner {
  return {
    name,
    trainable: false,
    fit: async () => {
      const scorer = await openModel(modelPath, 'document-score');
      return {
        name,
        threshold: 0.5,
        scoreDocument: async (text) => (await scorer.scoreDocuments([text]))[0]!,
        dispose: () => scorer.dispose(),
      };
    },
  };
}

async function openModel(modelPath: string, kind: PageScorer['kind']): Promise<PageScorer> {
  const scorer = await openPageScorer({ modelPath });
  if (scorer.kind === kind) return scorer;
  const received = `${modelPath} of kind ${scorer.kind}`;
  scorer.dispose();
  throw new GristmillError('OPTION_INVALID', {
    option: 'refiner',
    expected: `a model of kind ${kind}`,
    received,
  });
}

function find<T extends { readonly name: string }>(refiners: readonly T[], name: string): T {
  const found = refiners.find((refiner) => refiner.name === name);
  if (found) return found;
  throw new GristmillError('OPTION_INVALID', {
    option: 'refiner',
    expected: `default, programs, a GGUF file, or one of ${refiners.map((refiner) => refiner.name).join(', ')}`,
    received: name,
  });
}
