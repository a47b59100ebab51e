/**
 * The tables of models/README.md: the default refiners beside rules, fastText-style classifiers, a regression and trees,
 * all on the same pages and documents, and all of them where it counts: on what nobody trained on.
 *
 *     sources left out    six groups of sources, each scored by a refiner that saw none of them (line-stack.ts)
 *     new domains         five folds by domain: pages of sites nobody saw, of sources that are known
 *     kinds left out      documents, each scored by a refiner that saw none of its kind (document-stack.ts)
 *
 * The default refiners' rows under "left out" are their own validation, read off the records beside the models
 * (`default-chunk.json`, `default-document.json`): they learnt from made pages and whole documents too. Rules learn nothing.
 */
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../../errors.ts';
import { DEFAULT_DOCUMENT_RETENTION } from '../../refine/scoring-stages.ts';
import { boosted } from '../baselines/boosted.ts';
import { c4Documents, gopherDocuments } from '../baselines/document-rules.ts';
import { fasttextDocuments, fasttextLines } from '../baselines/fasttext-style.ts';
import { logistic } from '../baselines/logistic.ts';
import { c4, gopher } from '../baselines/rules.ts';
import { evaluateLines } from '../cross-validate.ts';
import { areaUnderCurve, type DocumentRefiner } from '../eval-documents.ts';
import { LineEvaluation, type LineReport } from '../eval-lines.ts';
import { type GoldPage, groupOf, sourceGroups } from '../gold.ts';
import type { LineRefiner } from '../line-scorer.ts';
import { thinNoise } from '../thin-noise.ts';
import { LIGHT_SHARE } from './chunk.ts';
import {
  DOCUMENT_STACK_DEFAULTS,
  type DocumentStackValidation,
  foldOfKind,
  goodByKind,
  type KindExample,
  type KindReport,
  kindReports,
  kindThreshold,
} from './document-stack.ts';
import { N_GROUPS } from './line-stack.ts';

/** What lines are judged by beside the default refiner, by the name in the tables. */
export const LINE_CONTENDERS: readonly (readonly [name: string, refiner: LineRefiner])[] = [
  ['C4 rules', c4],
  ['Gopher and FineWeb rules', gopher],
  ['fastText-style', fasttextLines],
  ['regression over lines', logistic],
  ['trees over the regression', boosted],
];

const DOCUMENT_CONTENDERS: readonly (readonly [name: string, refiner: DocumentRefiner])[] = [
  ['C4 rules', c4Documents],
  ['Gopher and FineWeb rules', gopherDocuments],
  ['fastText-style', fasttextDocuments],
];

/** One way to judge lines, on whole pages and on lightly noisy ones. */
export interface LineContender {
  readonly name: string;
  /** False: a rule, whose scores are verdicts and leave nothing to set. */
  readonly hasScores: boolean;
  readonly whole: LineReport;
  readonly light: LineReport;
}

/** Options of the evaluations. */
export interface TableOptions {
  readonly signal?: AbortSignal | undefined;
  readonly log?: (line: string) => void;
}

/**
 * Sources left out: every page is scored by a refiner that saw no page of its group of sources, nor of its domain.
 *
 * @param contenders default {@link LINE_CONTENDERS}
 * @throws TRAIN_DATA_TOO_SMALL, ABORTED
 */
export async function sourcesLeftOut(
  pages: readonly GoldPage[],
  contenders = LINE_CONTENDERS,
  { signal, log = () => undefined }: TableOptions = {},
): Promise<LineContender[]> {
  const groups = sourceGroups(pages, N_GROUPS);
  const copies = [pages, pages.map((page) => thinNoise(page, LIGHT_SHARE))] as const;
  const found: LineContender[] = [];
  for (const [name, refiner] of contenders) {
    const evaluations = copies.map(() => new LineEvaluation());
    for (const group of new Set(groups)) {
      const held = [...pages.keys()].filter((page) => groups[page] === group);
      const domains = new Set(held.map((page) => groupOf(pages[page]!)));
      const learning = pages.filter(
        (page, index) => groups[index] !== group && !domains.has(groupOf(page)),
      );
      log(`sources left out, ${name}: group ${group + 1}, ${learning.length} pages train`);
      await setImmediate();
      throwIfAborted(signal, 'evaluation');
      const scorer = await refiner.fit(refiner.trainable ? learning : [], { signal });
      for (const [copy, list] of copies.entries()) {
        for (const page of held) {
          const scores = await scorer.scoreLines(list[page]!.lines);
          evaluations[copy]!.add(list[page]!, scores, scorer.threshold);
        }
      }
      await scorer.dispose?.();
    }
    const [whole, light] = evaluations.map((evaluation) => evaluation.report());
    found.push({ name, hasScores: refiner.trainable, whole: whole!, light: light! });
  }
  return found;
}

const N_DOMAIN_FOLDS = 5;

/** New domains of known sources. @throws as {@link sourcesLeftOut} */
export async function newDomains(
  pages: readonly GoldPage[],
  contenders = LINE_CONTENDERS,
  { signal, log = () => undefined }: TableOptions = {},
): Promise<{ readonly name: string; readonly hasScores: boolean; readonly whole: LineReport }[]> {
  const found = [];
  for (const [name, refiner] of contenders) {
    log(`new domains, ${name}`);
    const whole = await evaluateLines({ refiner, pages, nFolds: N_DOMAIN_FOLDS, signal });
    found.push({ name, hasScores: refiner.trainable, whole });
  }
  return found;
}

/** One way to judge documents. */
export interface DocumentContender {
  readonly name: string;
  /** Null for a rule. */
  readonly auc: number | null;
  /** What a rule does, or what a score does at a threshold for each of {@link DOCUMENT_BOUNDS}. */
  readonly points: readonly {
    /** Share of the good documents that stay, as a mean over kinds. */
    readonly goodKept: number;
    readonly badDropped: number;
  }[];
  /** At the rule, or at the threshold of the package's default retention. */
  readonly kinds: readonly KindReport[];
}

/** Shares of the good documents, as a mean over kinds, that thresholds are set for. */
export const DOCUMENT_BOUNDS = [0.995, 0.99, 0.95] as const;

/** Kinds left out: every document is scored by a refiner that saw none of its kind. @throws ABORTED */
export async function kindsLeftOut(
  examples: readonly KindExample[],
  { signal, log = () => undefined }: TableOptions = {},
): Promise<DocumentContender[]> {
  const { nFolds } = DOCUMENT_STACK_DEFAULTS;
  const folds = examples.map(({ kind }) => foldOfKind(kind, nFolds));
  const labels = examples.map(({ label }) => label);
  const documents = examples.map(({ id, text, label }) => ({ id, text, label, domain: '' }));
  const found: DocumentContender[] = [];
  for (const [name, refiner] of DOCUMENT_CONTENDERS) {
    const { trainable } = refiner;
    const scores = new Float64Array(examples.length);
    for (let fold = 0; fold < nFolds; fold++) {
      log(`kinds left out, ${name}: fold ${fold + 1}`);
      await setImmediate();
      throwIfAborted(signal, 'evaluation');
      const learning = trainable ? documents.filter((_, at) => folds[at] !== fold) : [];
      const scorer = await refiner.fit(learning);
      for (const [at, { text }] of documents.entries()) {
        if (folds[at] === fold) scores[at] = await scorer.scoreDocument(text);
      }
      await scorer.dispose?.();
    }
    found.push(
      trainable
        ? { name, auc: areaUnderCurve(scores, labels), ...scoredContender(examples, scores) }
        : { name, auc: null, ...ruleContender(examples, scores) },
    );
  }
  return found;
}

type Verdicts = Pick<DocumentContender, 'points' | 'kinds'>;

function scoredContender(examples: readonly KindExample[], scores: Float64Array): Verdicts {
  const { threshold } = kindThreshold(examples, scores, DEFAULT_DOCUMENT_RETENTION);
  return {
    points: DOCUMENT_BOUNDS.map((goodKept) => ({
      goodKept,
      badDropped: kindThreshold(examples, scores, goodKept).noiseRemoved,
    })),
    kinds: kindReports(examples, scores, threshold),
  };
}

function ruleContender(examples: readonly KindExample[], scores: Float64Array): Verdicts {
  const threshold = 0.5;
  const keptOf = (own: readonly number[]): number =>
    own.filter((score) => score >= threshold).length / Math.max(1, own.length);
  const byKind = [...goodByKind(examples, scores).values()].map(keptOf);
  const bad = examples.flatMap(({ label }, at) => (label === 0 ? [scores[at]!] : []));
  const goodKept = byKind.reduce((sum, kept) => sum + kept, 0) / Math.max(1, byKind.length);
  return {
    points: [{ goodKept, badDropped: 1 - keptOf(bad) }],
    kinds: kindReports(examples, scores, threshold),
  };
}

/** The default refiner's row, from its record. */
export function defaultDocumentContender({
  auc,
  thresholds,
  kinds,
}: Pick<DocumentStackValidation, 'auc' | 'thresholds' | 'kinds'>): DocumentContender {
  const points = DOCUMENT_BOUNDS.map((goodKept) => ({
    goodKept,
    badDropped: thresholds.find(({ retention }) => retention === goodKept)!.noiseRemoved,
  }));
  return { name: '**default-document**', auc, points, kinds };
}
