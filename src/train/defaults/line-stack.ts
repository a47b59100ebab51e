/**
 * The package's chunk refiner: how `models/default-chunk.gguf` comes to be. A regression and trees over it
 * (lines/stack.ts), no network: the network that stood above them lost long content with confidence on one page in a
 * hundred, and cost three fifths of the time (models/README.md).
 *
 * 1. Sources in groups; every page of a group, whole and thinned, is scored by a model that saw none of its sources and
 *    none of its domains.
 * 2. From those scores: the tables, Platt's calibration, a threshold for each retention. What 0.99 keeps, it keeps on
 *    pages of sources that nobody trained on.
 * Pages are learnt from whole, thinned and cropped, documents alone and between runs of noise (short-pages.ts): else a short
 * page is taken for a clean document.
 *
 * 3. One model on everything, with the same options; it gets the calibration and the thresholds of step 2.
 */
import { setImmediate } from 'node:timers/promises';
import { pageVerdict } from '../../lines/page-verdict.ts';
import { type LineStack, stackHashBits } from '../../lines/stack.ts';
import { BOOSTED_DEFAULTS, type BoostedOptions, trainBoosted } from '../baselines/boosted.ts';
import { type GoldPage, groupOf, sourceGroups } from '../gold.ts';
import { measurePage } from '../line-table.ts';
import { seededRandom } from '../seeded.ts';
import { cropPage, Donors, dressDocument, isScored } from '../short-pages.ts';
import { thinNoise } from '../thin-noise.ts';
import { type ChunkValidation, LIGHT_SHARE, type PageLogits, summarise } from './chunk.ts';

/** What lines weigh by where they are from; a whole real page weighs 1. */
export const PAGE_WEIGHTS = Object.freeze({
  thinned: 0.3,
  crop: 0.3,
  partial: 0.2,
  made: 0.1,
  madeCrop: 0.1,
  document: 0.05,
  dressed: 0.15,
});

const SEED = 11;

/** Pages to learn from. */
export interface StackData {
  /** Real pages with a verdict for each line: learnt from whole and thinned, and scored in validation. */
  readonly pages: readonly GoldPage[];
  readonly partial: readonly GoldPage[];
  readonly made: readonly GoldPage[];
  /** Whole documents as pages, all or nearly all of whose lines stay. */
  readonly documents: readonly GoldPage[];
}

/** Options of {@link validateStack} and {@link trainStack}. */
export interface StackOptions extends StackData {
  readonly boosted?: BoostedOptions;
  /** Groups of sources that are left out in turn. Default 6. */
  readonly nGroups?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onGroup?: (group: number, sources: readonly string[]) => void;
}

/** Steps 1 and 2. @throws TRAIN_DATA_TOO_SMALL, ABORTED */
export async function validateStack(options: StackOptions): Promise<ChunkValidation> {
  const { pages, boosted = BOOSTED_DEFAULTS, nGroups = 6, onGroup } = options;
  const groups = sourceGroups(pages, nGroups);
  const copies = [pages, pages.map((page) => thinNoise(page, LIGHT_SHARE))] as const;
  const logits = copies.map((): PageLogits[] => []);
  for (let group = 0; group < nGroups; group++) {
    const held = pages.filter((_, index) => groups[index] === group);
    if (held.length === 0) continue;
    onGroup?.(group, [...new Set(held.map(({ source }) => source))].sort());
    const [sources, domains] = [
      new Set(held.map(({ source }) => source)),
      new Set(held.map(groupOf)),
    ];
    const isSeen = (page: GoldPage): boolean =>
      !sources.has(page.source) && !domains.has(groupOf(page));
    const stack = await trainStack({
      ...options,
      pages: pages.filter(isSeen),
      partial: options.partial.filter(isSeen),
    });
    copies.forEach((copy, index) => {
      copy.forEach(({ lines }, page) => {
        if (groups[page] === group) logits[index]![page] = logitsOf(stack, lines, boosted);
      });
    });
  }
  return summarise(copies, logits);
}

/** Step 3. @throws TRAIN_DATA_TOO_SMALL, ABORTED */
export async function trainStack({
  pages,
  partial,
  made,
  documents,
  boosted = BOOSTED_DEFAULTS,
  signal,
}: StackOptions): Promise<LineStack> {
  const random = seededRandom(SEED);
  const crops = (all: readonly GoldPage[]): GoldPage[] =>
    all.map((page) => cropPage(page, random)).filter(isScored);
  const donors = new Donors([...pages, ...made]);
  const parts: readonly (readonly [readonly GoldPage[], number])[] = [
    [pages, 1],
    [pages.map((page) => thinNoise(page, LIGHT_SHARE)), PAGE_WEIGHTS.thinned],
    [crops(pages), PAGE_WEIGHTS.crop],
    [partial, PAGE_WEIGHTS.partial],
    [made, PAGE_WEIGHTS.made],
    [crops(made), PAGE_WEIGHTS.madeCrop],
    [documents, PAGE_WEIGHTS.document],
    [
      documents.map((document) => dressDocument(document, donors.of(document.language), random)),
      PAGE_WEIGHTS.dressed,
    ],
  ];
  // Minutes of computing on this thread: let signals and timers in before.
  await setImmediate();
  return trainBoosted(
    parts.flatMap(([all]) => all),
    boosted,
    signal,
    parts.flatMap(([all, weight]) => all.map(() => weight)),
  );
}

function logitsOf(
  stack: LineStack,
  lines: readonly string[],
  { treeShare }: BoostedOptions,
): PageLogits {
  const page = measurePage(lines, stackHashBits(stack));
  const { lineOf, nLines } = page.scan;
  const { logits, doubt } = pageVerdict(stack, page, treeShare);
  return { scan: { lineOf, nLines }, own: logits, doubt };
}
