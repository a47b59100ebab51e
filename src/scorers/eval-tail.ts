/**
 * The tail of a line refiner's errors: what a pooled mean hides.
 *
 * A pooled "noise removed at 99 % of content kept" hangs on few pages: one long page that is thrown away with confidence
 * costs the noise of hundreds. So beside it: the same with every page's characters summing to one, without the pages that
 * lose most, an interval from resampling domains, and what is lost by kind of line.
 */

import { seededRandom } from '../seeded.ts';
import { retentionThresholds } from './calibration.ts';
import { type GoldPage, groupOf, KEEP, UNSCORED } from './gold.ts';
import { noiseRemovedAt } from './noise-removed.ts';

/** Kinds of lines whose loss is counted; a line is of the first that fits. */
export const LINE_KINDS = [
  'first line',
  'heading',
  'list item',
  'table row',
  'code',
  'short paragraph',
  'short line',
  'long paragraph',
] as const;
export type LineKind = (typeof LINE_KINDS)[number];

/** Pages left out of {@link TailReport.withoutWorst}. */
export const N_WORST = 20;
const N_SHOWN = 10;
const N_RESAMPLES = 200;
const BOUND = 0.99;
const PARAGRAPH_CHARS = 80;

/** What was lost on one page. */
export interface PageLoss {
  readonly id: string;
  /** Content characters up to the score at which more than 1 % of all pages' content is lost. */
  readonly lostChars: number;
  readonly contentChars: number;
}

/** Characters of content up to which a page is counted with the others of its length; null: longer ones. */
export const LENGTH_BOUNDS = [500, 2000, 8000, null] as const;

/** What one threshold for all pages, the one of 0.99, does to pages of a length. */
export interface LengthLoss {
  /** Characters of content, at most; null for the longest pages. */
  readonly maxChars: number | null;
  readonly nPages: number;
  /** Shares of the characters of these pages; null where there are none. */
  readonly contentKept: number | null;
  readonly noiseRemoved: number | null;
  /** Share of the pages that lose more than a tenth of their content; null without pages. */
  readonly losingTenth: number | null;
}

/** The tail; shares are 0..1. */
export interface TailReport {
  /** 5th and 95th percentile of the noise removed at 0.99 when domains are drawn with replacement. */
  readonly interval: readonly [low: number, high: number];
  /** Noise removed at 0.99 when the characters of each page sum to one. */
  readonly pageNormalised: number;
  /** Noise removed at 0.99 without the {@link N_WORST} pages that lose most. */
  readonly withoutWorst: number;
  readonly worstPages: readonly PageLoss[];
  /** Pages with content by how much of it they have, short ones first. */
  readonly byLength: readonly LengthLoss[];
  /** Share of content lines that the verdicts remove, by kind; null for a kind without lines. */
  readonly lostLines: Readonly<Record<LineKind, number | null>>;
}

interface PageLines {
  readonly page: GoldPage;
  readonly first: number;
  readonly end: number;
}

/** Collects what {@link TailReport} needs of every page. */
export class TailEvaluation {
  readonly #scores: number[] = [];
  readonly #chars: number[] = [];
  readonly #pages: PageLines[] = [];
  readonly #kinds = LINE_KINDS.map(() => ({ kept: 0, lost: 0 }));

  /**
   * @param scores keep score of each line
   * @param chars characters of each line
   */
  add(
    page: GoldPage,
    {
      scores,
      chars,
      threshold,
    }: {
      readonly scores: Float32Array;
      readonly chars: readonly number[];
      readonly threshold: number;
    },
  ): void {
    const first = this.#scores.length;
    const firstLine = page.lines.findIndex((line) => line.trim() !== '');
    for (let line = 0; line < page.labels.length; line++) {
      const label = page.labels[line]!;
      if (label === UNSCORED) continue;
      this.#scores.push(scores[line]!);
      this.#chars.push(label === KEEP ? chars[line]! : -chars[line]!);
      if (label !== KEEP) continue;
      const kind = this.#kinds[LINE_KINDS.indexOf(kindOf(page.lines, line, firstLine))]!;
      if (scores[line]! < threshold) kind.lost++;
      else kind.kept++;
    }
    this.#pages.push({ page, first, end: this.#scores.length });
  }

  report(): TailReport {
    // The score that breaks the bound: what lies below it may go.
    const { threshold } = retentionThresholds(this.#scores, this.#chars, [BOUND])[0]!;
    const losses = this.#losses(threshold);
    const worst = new Set(
      [...losses.keys()]
        .sort((left, right) => losses[right]!.lostChars - losses[left]!.lostChars)
        .slice(0, N_WORST),
    );
    const others = this.#pages.filter((_, page) => !worst.has(page));
    return {
      interval: this.#interval(),
      pageNormalised: this.#at(this.#pages, true),
      withoutWorst: this.#at(others, false),
      worstPages: [...worst]
        .slice(0, N_SHOWN)
        .map((page) => losses[page]!)
        .filter(({ lostChars }) => lostChars > 0),
      byLength: this.#byLength(threshold),
      lostLines: Object.fromEntries(
        LINE_KINDS.map((name, kind) => {
          const { kept, lost } = this.#kinds[kind]!;
          return [name, kept + lost === 0 ? null : lost / (kept + lost)];
        }),
      ) as Record<LineKind, number | null>,
    };
  }

  #at(pages: readonly PageLines[], normalised: boolean): number {
    const scores: number[] = [];
    const chars: number[] = [];
    for (const { first, end } of pages) {
      let total = 0;
      for (let at = first; at < end; at++) total += Math.abs(this.#chars[at]!);
      for (let at = first; at < end; at++) {
        scores.push(this.#scores[at]!);
        chars.push(normalised ? this.#chars[at]! / Math.max(1, total) : this.#chars[at]!);
      }
    }
    return noiseRemovedAt(scores, chars, [BOUND])[String(BOUND)]!;
  }

  #byLength(threshold: number): LengthLoss[] {
    const sums = LENGTH_BOUNDS.map(() => ({ pages: 0, hurt: 0, all: [0, 0], gone: [0, 0] }));
    for (const { first, end } of this.#pages) {
      const all: [noise: number, content: number] = [0, 0];
      const gone: [noise: number, content: number] = [0, 0];
      for (let at = first; at < end; at++) {
        const chars = this.#chars[at]!;
        const side = chars > 0 ? 1 : 0;
        all[side] += Math.abs(chars);
        if (this.#scores[at]! < threshold) gone[side] += Math.abs(chars);
      }
      if (all[1] === 0) continue;
      const own = sums[LENGTH_BOUNDS.findIndex((bound) => bound === null || all[1] <= bound)]!;
      own.pages++;
      if (gone[1] > all[1] / 10) own.hurt++;
      for (const side of [0, 1] as const) {
        own.all[side]! += all[side];
        own.gone[side]! += gone[side];
      }
    }
    return sums.map(({ pages, hurt, all, gone }, index) => ({
      maxChars: LENGTH_BOUNDS[index]!,
      nPages: pages,
      contentKept: pages === 0 ? null : 1 - gone[1]! / all[1]!,
      noiseRemoved: all[0] === 0 ? null : gone[0]! / all[0]!,
      losingTenth: pages === 0 ? null : hurt / pages,
    }));
  }

  /** By page: content up to the score that breaks the bound; those pages broke it. */
  #losses(threshold: number): PageLoss[] {
    return this.#pages.map(({ page, first, end }) => {
      let lostChars = 0;
      let contentChars = 0;
      for (let at = first; at < end; at++) {
        const chars = Math.max(0, this.#chars[at]!);
        contentChars += chars;
        if (this.#scores[at]! <= threshold) lostChars += chars;
      }
      return { id: page.id, lostChars, contentChars };
    });
  }

  /** Domains drawn with replacement: how much of the figure is chance. */
  #interval(): [number, number] {
    const order = Uint32Array.from(this.#scores, (_, at) => at).sort(
      (left, right) => this.#scores[left]! - this.#scores[right]!,
    );
    const domains = new Map<string, number>();
    const domainOf = new Int32Array(this.#scores.length);
    for (const { page, first, end } of this.#pages) {
      const key = groupOf(page);
      const domain = domains.get(key) ?? domains.size;
      domains.set(key, domain);
      domainOf.fill(domain, first, end);
    }
    const random = seededRandom(1);
    const found: number[] = [];
    const drawn = new Int32Array(domains.size);
    for (let sample = 0; sample < N_RESAMPLES; sample++) {
      drawn.fill(0);
      for (let draw = 0; draw < domains.size; draw++) {
        drawn[Math.floor(random() * domains.size)]!++;
      }
      found.push(this.#resampled(order, domainOf, drawn));
    }
    found.sort((left, right) => left - right);
    const at = (share: number): number => found[Math.round(share * (found.length - 1))]!;
    return [at(0.05), at(0.95)];
  }

  #resampled(order: Uint32Array, domainOf: Int32Array, drawn: Int32Array): number {
    let content = 0;
    let noise = 0;
    for (let at = 0; at < domainOf.length; at++) {
      const chars = this.#chars[at]! * drawn[domainOf[at]!]!;
      if (chars > 0) content += chars;
      else noise -= chars;
    }
    let lost = 0;
    let removed = 0;
    for (const at of order) {
      const chars = this.#chars[at]! * drawn[domainOf[at]!]!;
      if (chars > 0) lost += chars;
      else removed -= chars;
      if (lost > (1 - BOUND) * content) break;
    }
    return noise === 0 ? 0 : removed / noise;
  }
}

/** What kind of line it is, by its own form and the line below. */
export function kindOf(lines: readonly string[], line: number, firstLine: number): LineKind {
  const text = lines[line]!;
  const trimmed = text.trim();
  if (line === firstLine) return 'first line';
  if (/^#{1,6}\s/.test(trimmed)) return 'heading';
  if (/^([-*•·‣◦–]|\d{1,3}[.)])\s/.test(trimmed)) return 'list item';
  if (text.includes('\t') || trimmed.split('|').length > 2) return 'table row';
  if (/[{};]$|^[{}]|=>|\(\)|:=|^\s*(import|def|return|function|var|let|const)\b/.test(text)) {
    return 'code';
  }
  const ends = /[.!?。！？…।؟]["”’»)]?$/.test(trimmed);
  if (trimmed.length >= PARAGRAPH_CHARS) return 'long paragraph';
  if (ends) return 'short paragraph';
  const below = lines[line + 1]?.trim() ?? '';
  return below.length >= PARAGRAPH_CHARS ? 'heading' : 'short line';
}
