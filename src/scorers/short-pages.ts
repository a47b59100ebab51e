/**
 * Short pages from long ones, so that a model does not take shortness for content: real pages are long and noisy, whole
 * documents short and clean, and a corpus has every mixture of the two.
 *
 *     crop      a stretch of a page
 *     dressed   a document between runs of noise lines of pages, of its language where there are some: what stands above
 *               the content of one page before it, what stands below that of another behind it
 */
import { groupBy } from '../groups.ts';
import type { Random } from '../seeded.ts';
import { type GoldPage, KEEP, REMOVE, UNSCORED } from './gold.ts';

/** Lines of a crop. */
export const CROP_LINES = { least: 5, most: 40 } as const;
/** Lines of noise before a document, and behind it. */
export const DRESS_LINES = 6;
/** Lines of a document that are dressed. */
const MAX_DOCUMENT_LINES = 60;

/** A stretch of a page; the page itself when it is no longer than that. */
export function cropPage(page: GoldPage, random: Random): GoldPage {
  const { least, most } = CROP_LINES;
  const length = least + Math.floor(random() * (most - least + 1));
  if (page.lines.length <= length) return page;
  const start = Math.floor(random() * (page.lines.length - length + 1));
  return sliceOf(page, start, start + length);
}

/**
 * A document with noise around it.
 *
 * @param donors pages whose noise is taken; empty gives the document back
 */
export function dressDocument(
  document: GoldPage,
  donors: readonly GoldPage[],
  random: Random,
): GoldPage {
  const body = sliceOf(document, 0, Math.min(document.lines.length, MAX_DOCUMENT_LINES));
  const before = noiseRun(donors, 'above', random);
  const behind = noiseRun(donors, 'below', random);
  const lines = [...before, ...body.lines, ...behind];
  const labels = new Uint8Array(lines.length).fill(REMOVE);
  labels.set(body.labels, before.length);
  return { ...body, lines, labels, text: lines.join('\n') };
}

/** Pages by language, for {@link dressDocument}. */
export class Donors {
  readonly #all: readonly GoldPage[];
  readonly #byLanguage: ReadonlyMap<string, readonly GoldPage[]>;

  constructor(pages: readonly GoldPage[]) {
    this.#all = pages.filter(({ labels }) => labels.includes(REMOVE));
    this.#byLanguage = groupBy(this.#all, ({ language }) => language);
  }

  /** Pages of a language; of all, where there is none of it. */
  of(language: string): readonly GoldPage[] {
    return this.#byLanguage.get(language) ?? this.#all;
  }
}

/** Consecutive noise lines of a page, above or below its content where it has some there. */
function noiseRun(donors: readonly GoldPage[], where: 'above' | 'below', random: Random): string[] {
  const donor = donors[Math.floor(random() * donors.length)];
  const length = Math.floor(random() * (DRESS_LINES + 1));
  const from = random();
  if (!donor) return [];
  const { labels } = donor;
  const edge = where === 'above' ? [0, labels.indexOf(KEEP)] : [labels.lastIndexOf(KEEP) + 1];
  const isNoise = (line: string, at: number): boolean =>
    labels[at] === REMOVE && line.trim() !== '';
  const all = donor.lines.filter(isNoise);
  const atEdge = donor.lines.filter(
    (line, at) => isNoise(line, at) && at >= edge[0]! && at < (edge[1] ?? labels.length),
  );
  const noise = atEdge.length > 0 ? atEdge : all;
  const start = Math.floor(from * Math.max(1, noise.length - length + 1));
  return noise.slice(start, start + length);
}

function sliceOf(page: GoldPage, start: number, end: number): GoldPage {
  const lines = page.lines.slice(start, end);
  const labels = page.labels.slice(start, end);
  return { ...page, lines, labels, text: lines.join('\n'), goldText: null };
}

/** True when something of a page is scored. */
export function isScored({ labels }: GoldPage): boolean {
  return labels.some((label) => label !== UNSCORED);
}
