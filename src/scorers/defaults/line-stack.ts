/**
 * The package's chunk refiner: how `models/default-chunk.gguf` comes to be. A regression and trees over it
 * (lines/stack.ts), no network: the network that stood above them lost long content with confidence on one page in a
 * hundred, and cost three fifths of the time (models/README.md).
 *
 * 1. Sources in groups; every page of a group, whole and thinned, is scored by a model that saw none of its sources and
 *    none of its domains.
 * 2. From those scores: the tables, Platt's calibration, a threshold for each retention. What 0.99 keeps, it keeps on
 *    pages of sources that nobody trained on.
 * 3. One model on everything, with the same options; it gets the calibration and the thresholds of step 2.
 *
 * Pages are learnt from whole, thinned and cropped, documents alone and between runs of noise (short-pages.ts): else a short
 * page is taken for a clean document.
 */
import { setImmediate } from 'node:timers/promises';
import { measurePage } from '../../lines/measure.ts';
import { pageVerdict } from '../../lines/page-verdict.ts';
import { type LineStack, stackHashBits } from '../../lines/stack.ts';
import { seededRandom } from '../../seeded.ts';
import { BOOSTED_DEFAULTS, type BoostedOptions, trainBoosted } from '../baselines/boosted.ts';
import { type GoldPage, groupOf, sourceGroups } from '../gold.ts';
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
  dressed: 0.5,
});

/** Ways in which each document is dressed; they share its weight. */
const N_DRESSES = 2;

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
  /** Groups of sources that are left out in turn. Default {@link N_GROUPS}. */
  readonly nGroups?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link validateStack}. */
export interface ValidationOptions extends StackOptions {
  /** Scores one group; on this thread without it. */
  readonly runGroup?: (group: number) => Promise<GroupLogits>;
  readonly onGroup?: (group: number, sources: readonly string[]) => void;
}

/** Groups of sources by default. */
export const N_GROUPS = 6;

/** Log-odds of a group's pages by a model that saw none of their sources. */
export interface GroupLogits {
  /** By page of the group, in the order of all pages. */
  readonly whole: readonly PageLogits[];
  readonly thinned: readonly PageLogits[];
}

/** Steps 1 and 2. @throws TRAIN_DATA_TOO_SMALL, ABORTED */
export async function validateStack(options: ValidationOptions): Promise<ChunkValidation> {
  const { pages, nGroups = N_GROUPS, runGroup, onGroup } = options;
  const groups = sourceGroups(pages, nGroups);
  const copies = [pages, pages.map(thinned)] as const;
  const logits = copies.map((): PageLogits[] => []);
  const present = [...new Set(groups)].sort((left, right) => left - right);
  const score = runGroup ?? ((group: number) => scoreGroup(options, group));
  const work = async (group: number): Promise<void> => {
    const held = pages.flatMap((_, page) => (groups[page] === group ? [page] : []));
    onGroup?.(group, [...new Set(held.map((page) => pages[page]!.source))].sort());
    const found = await score(group);
    held.forEach((page, index) => {
      logits[0]![page] = found.whole[index]!;
      logits[1]![page] = found.thinned[index]!;
    });
  };
  if (runGroup) await Promise.all(present.map(work));
  else for (const group of present) await work(group);
  return summarise(copies, logits);
}

/** A group's pages, scored by a model that saw none of their sources and domains. @throws as {@link trainStack} */
export async function scoreGroup(options: StackOptions, group: number): Promise<GroupLogits> {
  const { pages, partial, boosted = BOOSTED_DEFAULTS, nGroups = N_GROUPS } = options;
  const groups = sourceGroups(pages, nGroups);
  const held = pages.filter((_, page) => groups[page] === group);
  const sources = new Set(held.map(({ source }) => source));
  const domains = new Set(held.map(groupOf));
  const isSeen = (page: GoldPage): boolean =>
    !sources.has(page.source) && !domains.has(groupOf(page));
  const seen = { pages: pages.filter(isSeen), partial: partial.filter(isSeen) };
  const stack = await trainStack({ ...options, ...seen });
  const score = ({ lines }: GoldPage): PageLogits => logitsOf(stack, lines, boosted);
  return { whole: held.map(score), thinned: held.map(thinned).map(score) };
}

function thinned(page: GoldPage): GoldPage {
  return thinNoise(page, LIGHT_SHARE);
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
  const dress = (document: GoldPage): GoldPage =>
    dressDocument(document, donors.of(document.language), random);
  const parts: readonly (readonly [readonly GoldPage[], number])[] = [
    [pages, 1],
    [pages.map(thinned), PAGE_WEIGHTS.thinned],
    [crops(pages), PAGE_WEIGHTS.crop],
    [partial, PAGE_WEIGHTS.partial],
    [made, PAGE_WEIGHTS.made],
    [crops(made), PAGE_WEIGHTS.madeCrop],
    [documents, PAGE_WEIGHTS.document],
    [
      Array.from({ length: N_DRESSES }, () => documents.map(dress)).flat(),
      PAGE_WEIGHTS.dressed / N_DRESSES,
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

/** What a stack says of a page before it is calibrated. */
export function logitsOf(
  stack: LineStack,
  lines: readonly string[],
  { treeShare }: Pick<BoostedOptions, 'treeShare'> = BOOSTED_DEFAULTS,
): PageLogits {
  const page = measurePage(lines, stackHashBits(stack));
  const { lineOf, nLines } = page;
  const { logits, doubt } = pageVerdict(stack, page, treeShare);
  return { scan: { lineOf, nLines }, own: logits, doubt };
}
