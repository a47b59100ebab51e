/**
 * The arms of the case `refining-pays`: the same pages, cleaned in different ways.
 *
 * The package's refiners learnt from the labels of these very pages, so what they leave flatters them. The
 * cross-fitted arms are the honest ones: sources of pages in groups, and every page is refined by models of the
 * package's recipe that saw no page of its source or domain; no model sees a held-out page.
 *
 * Thresholds need scores of unseen pages. That of a group comes from the pages of the other groups, whole and lightly
 * noisy, each scored by the model that did not see it: the labels of the pages that are refined decide nothing. It is the
 * package's retention, 0.99 of the content characters. A second arm keeps 0.95 of them. That of documents is one
 * number, from scores of documents of unseen kinds.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packEncoder, unpackEncoder } from '../../src/lines/encoder-file.ts';
import type { LineStack } from '../../src/lines/stack.ts';
import { type OpenRefinerOptions, openRefiner } from '../../src/refine/refiner.ts';
import { DEFAULT_DOCUMENT_RETENTION, DEFAULT_RETENTION } from '../../src/refine/scoring-stages.ts';
import { BOOSTED_DEFAULTS } from '../../src/scorers/baselines/boosted.ts';
import { passesC4 } from '../../src/scorers/baselines/rules.ts';
import { LIGHT_SHARE, summarise } from '../../src/scorers/defaults/chunk.ts';
import {
  DOCUMENT_STACK_DEFAULTS,
  type DocumentStackValidation,
  trainDocumentStack,
  validateDocumentStack,
} from '../../src/scorers/defaults/document-stack.ts';
import { logitsOf, PAGE_WEIGHTS, trainStack } from '../../src/scorers/defaults/line-stack.ts';
import { type StackScorer, writeStackScorer } from '../../src/scorers/defaults/scorer-file.ts';
import { type GoldPage, groupOf, sourceGroups } from '../../src/scorers/gold.ts';
import { lineRefiner } from '../../src/scorers/refiners.ts';
import { thinNoise } from '../../src/scorers/thin-noise.ts';
import type { BenchContext } from '../types.ts';
import { type Corpus, foldText, type PaysData } from './refining-pays-data.ts';
import { keyOf } from './refining-pays-kept.ts';

/** A way to clean pages. */
export interface Arm {
  readonly name: string;
  /** By page; empty where nothing is left of it. */
  readonly texts: readonly string[];
  /** True: people wrote the texts down; they are not lines of the pages. */
  readonly isWritten?: true;
}

/** A corpus, cleaned in every way. */
export interface CleanedCorpus extends Corpus {
  /** `raw` first. */
  readonly arms: readonly Arm[];
}

/** Groups of sources; the package's validation has six. */
const N_GROUPS = 4;
/** A model that learns from what is left may mind noise more than lost content. */
const LOWER_RETENTION = 0.95;

type Models = Required<Pick<OpenRefinerOptions, 'documentModel' | 'chunkModel'>>;

/** Models that are fitted on the way, by group of sources. */
export interface CrossFitted {
  readonly models: readonly Models[];
  /** By source: the group that saw none of it. */
  readonly groupOfSource: ReadonlyMap<string, number>;
}

/** All arms of all corpora. */
export async function cleanCorpora(
  { corpora }: PaysData,
  fitted: CrossFitted,
): Promise<CleanedCorpus[]> {
  const cleaned: CleanedCorpus[] = [];
  for (const corpus of corpora) {
    const { pages } = corpus;
    const texts = pages.map(({ text }) => text);
    cleaned.push({
      ...corpus,
      arms: [
        { name: 'raw', texts },
        {
          name: 'rules: C4',
          texts: pages.map(({ lines }) => lines.filter(passesC4).join('\n')),
        },
        { name: 'rules: Gopher, FineWeb', texts: await byRule('gopher', pages) },
        { name: 'refined, package (saw the labels)', texts: await refined(texts, {}) },
        ...(await crossRefined(pages, fitted)),
        {
          name: 'main content by people',
          texts: pages.map((page) => foldText(page.goldText!)),
          isWritten: true,
        },
      ],
    });
  }
  return cleaned;
}

async function byRule(name: string, pages: readonly GoldPage[]): Promise<string[]> {
  const scorer = await lineRefiner(name).fit([]);
  const texts: string[] = [];
  for (const { lines } of pages) {
    const scores = await scorer.scoreLines(lines);
    texts.push(lines.filter((_, line) => scores[line]! >= scorer.threshold).join('\n'));
  }
  return texts;
}

async function refined(texts: readonly string[], options: OpenRefinerOptions): Promise<string[]> {
  await using refiner = await openRefiner(options);
  const outcomes = await refiner.refine(texts);
  return outcomes.map(({ text }) => text);
}

/** Every page refined by the models that saw nothing of its source. */
async function crossRefined(
  pages: readonly GoldPage[],
  { models, groupOfSource }: CrossFitted,
): Promise<Arm[]> {
  const arms: Arm[] = [];
  for (const retention of [DEFAULT_RETENTION, LOWER_RETENTION]) {
    const texts = pages.map(() => '');
    for (const [group, own] of models.entries()) {
      const at = [...pages.keys()].filter(
        (page) => groupOfSource.get(pages[page]!.source) === group,
      );
      const left = await refined(
        at.map((page) => pages[page]!.text),
        { ...own, retention },
      );
      at.forEach((page, index) => {
        texts[page] = left[index]!;
      });
    }
    arms.push({ name: `refined, cross-fitted, retention ${retention}`, texts });
  }
  return arms;
}

/**
 * Trains the models, group by group.
 *
 * @param keep folder of what was trained before, by its key
 */
export async function crossFit(
  { lines, examples }: PaysData,
  keep: string,
  context: BenchContext,
): Promise<CrossFitted> {
  mkdirSync(keep, { recursive: true });
  const { pages } = lines;
  const groups = sourceGroups(pages, N_GROUPS);
  const groupOfSource = new Map(pages.map(({ source }, page) => [source, groups[page]!]));
  const unseen = [...Array(N_GROUPS).keys()].map((group) => unseenBy(pages, groups, group));
  const stacks: LineStack[] = [];
  for (const [group, isSeen] of unseen.entries()) {
    const learning = {
      ...lines,
      pages: pages.filter(isSeen),
      partial: lines.partial.filter(isSeen),
    };
    const named = Object.entries(learning).map(([name, own]) => [name, own.map(printOf)]);
    const key = keyOf(named, BOOSTED_DEFAULTS, PAGE_WEIGHTS);
    const file = join(keep, `lines-${key}.bin`);
    stacks.push(
      await kept(file, 'line-score', async () => {
        const without = [...groupOfSource].filter(([, own]) => own === group).map(([name]) => name);
        context.log(
          `cross-fitting: lines of ${learning.pages.length} pages, without ${without.sort().join(', ')}`,
        );
        return trainStack(learning);
      }),
    );
  }
  const documents = await documentModels(examples, { unseen, pages, keep, context });
  const copies = [pages, pages.map((page) => thinNoise(page, LIGHT_SHARE))];
  const logits = copies.map((copy) =>
    copy.map(({ lines: own }, index) => logitsOf(stacks[groups[index]!]!, own)),
  );
  const models = stacks.map((stack, group) => {
    const others = <T>(rows: readonly T[]): T[] => rows.filter((_, page) => groups[page] !== group);
    const { calibration, thresholds } = summarise(copies.map(others), logits.map(others));
    const at = thresholds.find(({ retention }) => retention === DEFAULT_RETENTION)!;
    context.log(
      `cross-fitted group ${group + 1}: threshold ${at.threshold.toFixed(3)} at retention ${DEFAULT_RETENTION}`,
    );
    const chunkModel = join(keep, `chunk-${group}.gguf`);
    const scorer = { stack, calibration, thresholds, name: 'cross-fitted' };
    const { treeShare } = BOOSTED_DEFAULTS;
    writeStackScorer(chunkModel, { kind: 'line-score', treeShare, ...scorer });
    return { chunkModel, documentModel: documents[group]! };
  });
  return { models, groupOfSource };
}

type IsSeen = (page: GoldPage) => boolean;

/** Says of a page whether the models of a group may learn from it. */
function unseenBy(pages: readonly GoldPage[], groups: Int32Array, group: number): IsSeen {
  const held = pages.filter((_, page) => groups[page] === group);
  const sources = new Set(held.map(({ source }) => source));
  const domains = new Set(held.map(groupOf));
  return (page) => !sources.has(page.source) && !domains.has(groupOf(page));
}

interface DocumentOptions {
  readonly unseen: readonly IsSeen[];
  readonly pages: readonly GoldPage[];
  readonly keep: string;
  readonly context: BenchContext;
}

/** By group: a model of documents. */
async function documentModels(
  examples: PaysData['examples'],
  { unseen, pages, keep, context }: DocumentOptions,
): Promise<string[]> {
  const prints = (own: typeof examples) => own.map(({ id, text, label }) => [id, text, label]);
  const key = keyOf(prints(examples), DOCUMENT_STACK_DEFAULTS);
  const report = join(keep, `documents-${key}.json`);
  if (!existsSync(report)) {
    context.log(`cross-fitting: threshold of documents, ${examples.length} of them`);
    const found = await validateDocumentStack(examples, DEFAULT_DOCUMENT_RETENTION);
    writeWhole(report, JSON.stringify(found));
  }
  const validation = JSON.parse(readFileSync(report, 'utf8')) as DocumentStackValidation;
  const { calibration, thresholds } = validation;
  const paths: string[] = [];
  for (const [group, isSeen] of unseen.entries()) {
    const out = new Set(pages.filter((page) => !isSeen(page)).map(({ id }) => id));
    const learning = examples.filter(({ id }) => !out.has(id));
    const ownKey = keyOf(prints(learning), DOCUMENT_STACK_DEFAULTS);
    const file = join(keep, `documents-${ownKey}.bin`);
    const stack = await kept(file, 'document-score', async () => {
      context.log(`cross-fitting: ${learning.length} documents, group ${group + 1}`);
      return trainDocumentStack(learning);
    });
    const path = join(keep, `document-${group}.gguf`);
    const scorer = { stack, calibration, thresholds, name: 'cross-fitted' };
    const { treeShare } = DOCUMENT_STACK_DEFAULTS;
    writeStackScorer(path, { kind: 'document-score', treeShare, ...scorer });
    paths.push(path);
  }
  return paths;
}

/** A stack that was trained before, or one that is trained now and kept. */
async function kept(
  file: string,
  kind: StackScorer['kind'],
  train: () => LineStack | Promise<LineStack>,
): Promise<LineStack> {
  if (!existsSync(file)) {
    const bins = { nFeatures: 0, maxBins: 2, cuts: [] };
    const encoder = { bins, hashBits: 1, stack: await train() };
    const calibration = { slope: 1, intercept: 0 };
    writeWhole(
      file,
      packEncoder({ kind, head: 'stack', treeShare: 1, encoder, calibration, thresholds: [] }),
    );
  }
  return unpackEncoder(readFileSync(file), file).encoder.stack!;
}

function writeWhole(file: string, content: string | Uint8Array): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}

/** What a model that learns from it depends on. */
function printOf({ id, source, domain, text, labels }: GoldPage): readonly string[] {
  return [id, source, domain, text, labels.join('')];
}
