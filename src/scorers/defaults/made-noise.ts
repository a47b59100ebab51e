/**
 * Blocks of boilerplate for made pages: what stands around, above, below and within the content. Every line is one to
 * remove, but bylines, captions and what readers wrote, which nobody scores.
 */
import { REMOVE, UNSCORED } from '../gold.ts';
import type { Desk, MadeLine } from './made-desk.ts';
import type { MenuList, PhraseList } from './made-phrases.ts';

/** What is the same on every page of a site. */
export interface SiteFrame {
  readonly menu: MenuList;
  readonly header: readonly MadeLine[];
  readonly footer: readonly MadeLine[];
  readonly cookies: readonly MadeLine[];
}

/** Where a block stands. */
export type NoisePlace = 'top' | 'title' | 'within' | 'after' | 'side' | 'bottom';

type Block = (desk: Desk, frame: SiteFrame) => readonly MadeLine[];

const removed = (texts: readonly string[]): MadeLine[] =>
  texts.map((text) => ({ text, label: REMOVE }));
const unscored = (texts: readonly string[]): MadeLine[] =>
  texts.map((text) => ({ text, label: UNSCORED }));

/** A menu as the site sets it: one item a line, or all on one. */
function menuLines(desk: Desk, items: readonly string[]): MadeLine[] {
  const { menuSeparator, upperMenus, listMark } = desk.style;
  const shown = upperMenus ? items.map((item) => item.toLocaleUpperCase(desk.language)) : items;
  if (menuSeparator === null) {
    const mark = desk.chance(0.15) ? listMark : '';
    return removed(shown.map((item) => `${mark}${item}`));
  }
  const nLines = items.length > 10 && desk.chance(0.4) ? desk.between(2, 3) : 1;
  const length = Math.ceil(shown.length / nLines);
  return removed(
    Array.from({ length: nLines }, (_, line) =>
      shown.slice(line * length, (line + 1) * length).join(menuSeparator),
    ),
  );
}

/** Draws the header, footer and cookie notice of a site. */
export function drawFrame(desk: Desk, menu: MenuList): SiteFrame {
  const main = menuLines(desk, desk.saySome(menu, desk.between(5, 22)));
  const account = desk.chance(0.5)
    ? removed(desk.saySome('account', desk.between(2, 7)))
    : menuLines(desk, desk.saySome('account', desk.between(2, 5)));
  const header = [
    ...(desk.chance(0.5) ? removed([desk.site]) : []),
    ...(desk.chance(0.5) ? [...account, ...main] : [...main, ...account]),
    // A second copy of the menu for small screens.
    ...(desk.chance(0.2) ? main : []),
    ...(desk.chance(0.2) ? removed([...new Set(desk.saySome('words', 6))]) : []),
  ];
  const footer = [
    ...(desk.chance(0.4) ? main : []),
    ...menuLines(desk, desk.saySome('footer', desk.between(4, 16))),
    ...(desk.chance(0.5) ? removed(desk.saySome('widgets', desk.between(1, 4))) : []),
    ...(desk.chance(0.3) ? removed(desk.saySome('legal', 1)) : []),
    ...removed(desk.saySome('copyright', desk.between(1, 2))),
  ];
  return { menu, header, footer, cookies: cookieNotice(desk) };
}

function cookieNotice(desk: Desk): MadeLine[] {
  const texts = desk.saySome('cookies', desk.between(1, 4));
  const shown = desk.chance(0.5) ? texts : [desk.join(texts)];
  const buttons = desk.saySome('cookieButtons', desk.between(1, 4));
  return [...removed(shown), ...(desk.chance(0.7) ? removed(buttons) : menuLines(desk, buttons))];
}

const list =
  (name: PhraseList, low: number, high: number): Block =>
  (desk) =>
    removed(desk.saySome(name, desk.between(low, high)));

/** Some lines of a list, joined to one or each on its own. */
const row =
  (name: PhraseList, low: number, high: number): Block =>
  (desk) =>
    menuLines(desk, desk.saySome(name, desk.between(low, high)));

const header: Block = (_, frame) => frame.header;
const footer: Block = (_, frame) => frame.footer;
const cookies: Block = (_, frame) => frame.cookies;

const breadcrumbs: Block = (desk, { menu }) => {
  const steps = [
    ...(desk.chance(0.4) ? [desk.say('crumbs')] : []),
    ...desk.saySome(menu, desk.between(1, 3)),
    ...(desk.chance(0.3) ? [desk.say('words')] : []),
  ];
  return desk.chance(0.75) ? removed([steps.join(desk.style.crumbSeparator)]) : removed(steps);
};

const byline: Block = (desk) => {
  const parts = desk.saySome('bylines', desk.between(1, 3));
  if (desk.chance(0.3)) parts.push(desk.date());
  return unscored(
    desk.chance(0.4) ? [parts.join(desk.pick([' | ', ' ', ' · ', ' - ', '\t']))] : parts,
  );
};

const tags: Block = (desk) => {
  const head = desk.say('tagHeads');
  const words = desk.saySome('words', desk.between(2, 7));
  return desk.chance(0.5)
    ? removed([`${head} ${words.join(desk.pick([', ', ' ', ' | ', ' #', '、']))}`])
    : removed([head, ...words]);
};

/** Other pages of the site: headlines, with or without dates, sections and a cut beginning. */
const related: Block = (desk, { menu }) => {
  const withDate = desk.chance(0.4);
  const withTeaser = desk.chance(0.35);
  const withMore = desk.chance(0.25);
  const withSection = desk.chance(0.2);
  const numbered = desk.chance(0.15);
  const dateFirst = desk.chance(0.4);
  const inline = desk.chance(0.25);
  const lines: string[] = desk.chance(0.8) ? [desk.say('relatedHeads')] : [];
  const nItems = desk.between(2, 11);
  for (let item = 1; item <= nItems; item++) {
    const date = withDate ? (desk.chance(0.25) ? desk.say('ago') : desk.date()) : null;
    const title = `${numbered ? `${item}${desk.chance(0.5) ? '. ' : ' '}` : ''}${desk.headline()}`;
    if (withSection) lines.push(desk.say(menu));
    if (date !== null && inline) {
      lines.push(dateFirst ? `${date} ${title}` : `${title} ${date}`);
    } else {
      if (date !== null && dateFirst) lines.push(date);
      lines.push(title);
      if (date !== null && !dateFirst) lines.push(date);
    }
    if (withTeaser) lines.push(desk.teaser());
    if (withMore) lines.push(desk.say('readMore'));
  }
  return removed(lines);
};

const readAlso: Block = (desk) => {
  const head = desk.say('relatedHeads');
  const title = desk.headline();
  return removed(
    desk.chance(0.6) ? [`${head}${desk.pick([': ', ' ', ' » '])}${title}`] : [head, title],
  );
};

const proseTeasers: Block = (desk) => {
  const lines = [desk.say('relatedHeads')];
  for (let left = desk.between(2, 6); left > 0; left--) lines.push(desk.teaser());
  return removed(lines);
};

const box =
  (name: PhraseList): Block =>
  (desk) => {
    const texts = desk.saySome(name, desk.between(1, 4));
    return removed(desk.chance(0.3) ? [desk.join(texts)] : texts);
  };

const bio: Block = (desk) => unscored(desk.saySome('bios', desk.between(1, 2)));

const comments: Block = (desk) => {
  const lines: MadeLine[] = [];
  for (let left = desk.between(1, 6); left > 0; left--) {
    lines.push(...unscored([desk.say('people')]));
    if (desk.chance(0.6))
      lines.push(...removed([desk.chance(0.5) ? desk.date() : desk.say('ago')]));
    const body = desk.chance(0.4) ? desk.say('answers') : desk.strayedSentence();
    lines.push(...unscored([body]));
    lines.push(...removed(desk.saySome('commentMeta', desk.between(0, 2))));
  }
  return [...lines, ...removed(desk.saySome('commentForm', desk.between(0, 7)))];
};

const commentForm = list('commentForm', 3, 10);

/** Other products with price and button. */
const offers: Block = (desk) => {
  const lines = [desk.say('relatedHeads')];
  const withRating = desk.chance(0.4);
  const withButton = desk.chance(0.6);
  for (let left = desk.between(2, 8); left > 0; left--) {
    lines.push(desk.say('products'), desk.say('prices'));
    if (withRating) lines.push(desk.say('shopLines'));
    if (withButton) lines.push(desk.say('shopButtons'));
  }
  return removed(lines);
};

/** A small table of dates or rates in the margin. */
const marginTable: Block = (desk) => {
  const nRows = desk.between(3, 8);
  const byDate = desk.chance(0.5);
  return removed([
    desk.say('widgets'),
    ...Array.from({ length: nRows }, () =>
      byDate
        ? `${desk.date()}\t${desk.headline()}`
        : `${desk.say('words')}\t${desk.between(1, 9)}.${desk.between(10, 99)}\t${desk.pick(['+', '-', '▲', '▼'])}0.${desk.between(1, 9)}`,
    ),
  ]);
};

const tagCloud: Block = (desk) => {
  const counted = desk.chance(0.4);
  const words = desk.saySome('words', desk.between(5, 14));
  return removed([
    desk.say('tagHeads'),
    ...words.map((word) => (counted ? `${word} (${desk.between(1, 99)})` : word)),
  ]);
};

const monthArchive: Block = (desk) =>
  removed(
    desk
      .saySome('months', desk.between(4, 12))
      .map(
        (month) =>
          `${month} ${desk.fill('{year}')}${desk.chance(0.5) ? ` (${desk.between(1, 40)})` : ''}`,
      ),
  );

const BLOCKS: Readonly<Record<NoisePlace, readonly (readonly [Block, number])[]>> = {
  top: [
    [header, 6],
    [cookies, 2],
    [breadcrumbs, 2],
    [row('account', 1, 5), 1.5],
    [list('ticker', 1, 4), 0.7],
    [list('weather', 1, 4), 0.7],
    [list('errors', 1, 1), 0.7],
    [box('app'), 0.5],
    [related, 0.6],
    [box('support'), 0.4],
  ],
  title: [
    [byline, 3],
    [list('share', 1, 5), 2],
    [row('share', 2, 6), 1],
    [breadcrumbs, 1],
    [tags, 0.5],
  ],
  within: [
    [readAlso, 2],
    [box('newsletter'), 1],
    [list('legal', 1, 1), 1],
    [list('share', 1, 3), 1],
    [(desk) => unscored([desk.say('captions')]), 1],
    [box('app'), 0.6],
    [box('support'), 0.8],
    [list('errors', 1, 1), 0.5],
    [proseTeasers, 0.5],
  ],
  after: [
    [tags, 1.5],
    [list('share', 2, 8), 1.5],
    [related, 3],
    [proseTeasers, 0.8],
    [bio, 1],
    [comments, 1.5],
    [commentForm, 1],
    [box('newsletter'), 1.2],
    [row('pagination', 1, 5), 1],
    [box('legal'), 1],
    [box('support'), 0.7],
  ],
  side: [
    [related, 3],
    [tagCloud, 1],
    [monthArchive, 0.7],
    [list('widgets', 2, 9), 1.5],
    [marginTable, 0.7],
    [list('weather', 2, 6), 0.6],
    [box('newsletter'), 0.8],
    [proseTeasers, 0.6],
  ],
  bottom: [
    [footer, 5],
    [cookies, 1.5],
    [box('app'), 0.7],
    [list('widgets', 2, 8), 0.8],
    [box('legal'), 1],
    [list('copyright', 1, 2), 0.6],
    [box('newsletter'), 0.7],
  ],
};

/** Blocks that a kind of site has more of, beside {@link BLOCKS}. */
const MENU_BLOCKS: Partial<Record<MenuList, readonly (readonly [NoisePlace, Block, number])[]>> = {
  menuShop: [
    ['after', offers, 4],
    ['side', row('filters', 4, 12), 2],
    ['after', box('shopLines'), 1.5],
    ['within', list('shopButtons', 1, 3), 2],
    ['top', list('shopLines', 1, 3), 1],
  ],
  menuForum: [
    ['after', list('forum', 3, 10), 4],
    ['side', list('forum', 2, 6), 2],
    ['top', list('forum', 1, 4), 1],
  ],
  menuDocs: [
    ['side', (desk, frame) => menuLines(desk, desk.saySome(frame.menu, 12)), 4],
    ['top', (desk, frame) => removed(desk.saySome(frame.menu, 14)), 2],
  ],
};

/** One block for a place of a page. */
export function drawBlock(desk: Desk, frame: SiteFrame, place: NoisePlace): readonly MadeLine[] {
  const own = (MENU_BLOCKS[frame.menu] ?? [])
    .filter(([where]) => where === place)
    .map(([, block, weight]) => [block, weight] as const);
  const blocks = [...BLOCKS[place], ...own];
  let left = desk.random() * blocks.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [block, weight] of blocks) {
    left -= weight;
    if (left <= 0) return block(desk, frame);
  }
  return blocks[0]![0](desk, frame);
}
