/**
 * Made training pages: boilerplate of a phrase book around real sentences, with a label for each line.
 *
 * Pages come in sites of three that share style, menus and footer. The share of noise is drawn from a tenth to nine
 * tenths, so that a model sees raw pages and extracts alike. Everything follows from the seed.
 *
 * They teach what boilerplate of a language says and looks like, no more: content is drawn sentence by sentence, so
 * nothing is to be learnt from them about what a text is about.
 */
import { seededRandom } from '../../seeded.ts';
import { KEEP, REMOVE, UNSCORED } from '../gold.ts';
import { CONTENT, MADE_PAGE_TYPES, type MadePageType, MENUS_OF } from './made-content.ts';
import { Desk, type MadeLine } from './made-desk.ts';
import { drawBlock, drawFrame, type NoisePlace, type SiteFrame } from './made-noise.ts';
import type { MadeLanguage, MadePart, PhraseBook } from './made-phrases.ts';
import { partOfBook } from './made-phrases.ts';
import { partOfDocuments, type SentenceDocument } from './made-sentences.ts';

/** A row of a file of labelled pages; gold.ts says what its columns are. */
export interface MadePage {
  readonly id: string;
  readonly url: string;
  readonly domain: string;
  readonly language: MadeLanguage;
  readonly text: string;
  readonly gold_text: string;
  readonly line_labels: string;
  readonly line_mask: string;
  readonly n_lines: number;
  readonly title: string;
  readonly page_type: MadePageType;
  readonly source_dataset: string;
  readonly label_kind: 'made';
  /** Licences of the sentences; empty for a page that has none. */
  readonly licence: string;
}

/** Options of {@link makePages}. */
export interface MadePagesOptions {
  readonly language: MadeLanguage;
  /** The whole book; the part is taken here. */
  readonly book: PhraseBook;
  /** All documents; the part is taken here. */
  readonly documents: readonly SentenceDocument[];
  readonly part: MadePart;
  readonly nPages: number;
  readonly seed: number;
}

const PAGES_OF_SITE = 3;
/** Bounds of the share of noise among lines that are scored. */
export const NOISE_SHARES = { least: 0.1, most: 0.9 } as const;
const MAX_CONTENT_LINES = 60;

/** Pages of one language. */
export function makePages(options: MadePagesOptions): MadePage[] {
  const { language, part, nPages, seed } = options;
  const shared = {
    language,
    book: partOfBook(options.book, part),
    documents: partOfDocuments(options.documents, part),
  };
  const pages: MadePage[] = [];
  for (let site = 0; pages.length < nPages; site++) {
    const siteDesk = new Desk({ ...shared, random: seededRandom(mixSeed(seed, site)) });
    const type = MADE_PAGE_TYPES[site % MADE_PAGE_TYPES.length]!;
    const frame = drawFrame(siteDesk, siteDesk.pick(MENUS_OF[type]));
    const { style, site: siteName } = siteDesk;
    const nOfSite = Math.min(PAGES_OF_SITE, nPages - pages.length);
    for (let ofSite = 0; ofSite < nOfSite; ofSite++) {
      const random = seededRandom(mixSeed(seed, site, ofSite + 1));
      const desk = new Desk({ ...shared, random, style, site: siteName });
      const number = String(pages.length).padStart(4, '0');
      const domain = `made-${language}-${part}-${site}.example`;
      pages.push({
        id: `made-${language}-${part}-${seed}-${number}`,
        url: `https://${domain}/${number}`,
        domain,
        ...pageOf(desk, type, frame),
      });
    }
  }
  return pages;
}

function mixSeed(...numbers: readonly number[]): number {
  return numbers.reduce((mixed, own) => Math.imul(mixed ^ (own + 0x9e3779b9), 0x85ebca6b) >>> 0, 1);
}

type Rest = Omit<MadePage, 'id' | 'url' | 'domain'>;

function pageOf(desk: Desk, type: MadePageType, frame: SiteFrame): Rest {
  const { least, most } = NOISE_SHARES;
  const share = least + (most - least) * desk.random();
  // Nine tenths of noise over a long text would be a page of a thousand lines.
  const longest = Math.round(MAX_CONTENT_LINES * (1.05 - share)) + 6;
  const content = CONTENT[type](desk, desk.between(4, longest));
  const title = content[0]!.text;
  const nKept = content.filter(({ label }) => label === KEEP).length;
  const nNoise = Math.max(1, Math.round((share / (1 - share)) * nKept));
  const lines = thinTo(desk, withNoise(desk, { content, frame, nNoise, title }), nNoise);
  const texts = lines.map(({ text }) => text);
  return {
    language: desk.language,
    text: texts.join('\n'),
    gold_text: texts.filter((_, line) => lines[line]!.label === KEEP).join('\n'),
    line_labels: lines.map(({ label }) => (label === REMOVE ? '0' : '1')).join(''),
    line_mask: lines.map(({ label }) => (label === UNSCORED ? '0' : '1')).join(''),
    n_lines: lines.length,
    title,
    page_type: type,
    source_dataset: `made-${desk.language}`,
    label_kind: 'made',
    licence: [...desk.licences].sort().join(', '),
  };
}

const PLACES: readonly (readonly [NoisePlace, number])[] = [
  ['top', 3],
  ['title', 1],
  ['within', 1.2],
  ['after', 3],
  ['side', 1.5],
  ['bottom', 2.5],
];

/** The content with blocks around and within it until there are `nNoise` lines of noise, or a little more. */
function withNoise(
  desk: Desk,
  {
    content,
    frame,
    nNoise,
    title,
  }: {
    readonly content: readonly MadeLine[];
    readonly frame: SiteFrame;
    readonly nNoise: number;
    readonly title: string;
  },
): MadeLine[] {
  const around: Record<Exclude<NoisePlace, 'within'>, MadeLine[]> = {
    top: [],
    title: [],
    after: [],
    side: [],
    bottom: [],
  };
  const within = new Map<number, readonly MadeLine[]>();
  let count = content.filter(({ label }) => label === REMOVE).length;
  const seen = new Set<readonly MadeLine[]>();
  while (count < nNoise) {
    const place = drawPlace(desk);
    const drawn = drawBlock(desk, frame, place);
    // Header, footer and cookie notice stand once on most pages.
    if (seen.has(drawn) && desk.chance(0.8)) continue;
    seen.add(drawn);
    const block = drawn.slice(0, Math.max(1, nNoise - count));
    count += block.filter(({ label }) => label === REMOVE).length;
    if (place === 'within') within.set(desk.between(1, content.length), block);
    else if (place === 'bottom' && block[0] === frame.footer[0]) around[place].push(...block);
    else if (desk.chance(0.5)) around[place].push(...block);
    else around[place].unshift(...block);
  }
  const titleCopy: MadeLine = {
    text: `${title}${desk.pick([' - ', ' | ', ' – ', '_', ' — '])}${desk.site}`,
    label: UNSCORED,
  };
  const body = content.slice(1).flatMap((line, index) => [...(within.get(index + 1) ?? []), line]);
  const sideFirst = desk.chance(0.35);
  return [
    ...(desk.chance(0.3) ? [titleCopy] : []),
    ...around.top,
    ...(sideFirst ? around.side : []),
    content[0]!,
    ...around.title,
    ...body,
    ...(within.get(content.length) ?? []),
    ...around.after,
    ...(sideFirst ? [] : around.side),
    ...around.bottom,
  ];
}

function drawPlace(desk: Desk): NoisePlace {
  let left = desk.random() * PLACES.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [place, weight] of PLACES) {
    left -= weight;
    if (left <= 0) return place;
  }
  return 'after';
}

/** Takes runs of noise lines away until `nNoise` are left: what an extractor overlooks comes in pieces. */
function thinTo(desk: Desk, lines: readonly MadeLine[], nNoise: number): MadeLine[] {
  const left = lines.filter(({ text }) => text.trim() !== '');
  let surplus = left.filter(({ label }) => label === REMOVE).length - nNoise;
  while (surplus > 0) {
    let at = desk.below(left.length);
    for (let run = desk.between(1, 6); run > 0 && surplus > 0 && at < left.length; run--) {
      if (left[at]!.label !== REMOVE) {
        at++;
        continue;
      }
      left.splice(at, 1);
      surplus--;
    }
  }
  return left;
}
