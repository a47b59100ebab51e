/**
 * Content of made pages, by type: real sentences as paragraphs, headings, lists, quotes, tables and posts; descriptions,
 * specifications and services from the phrase book. Content that carries noise within (posts, offers, listings) comes
 * with it.
 */
import { KEEP, REMOVE, UNSCORED } from '../gold.ts';
import type { Desk, MadeLine } from './made-desk.ts';
import type { MenuList } from './made-phrases.ts';

/** The seven kinds of pages that the labelled data knows. */
export const MADE_PAGE_TYPES = [
  'article',
  'forum',
  'product',
  'listing',
  'collection',
  'service',
  'documentation',
] as const;
export type MadePageType = (typeof MADE_PAGE_TYPES)[number];

/** Menus of sites that have pages of a type. */
export const MENUS_OF: Readonly<Record<MadePageType, readonly MenuList[]>> = {
  article: [
    'menuNews',
    'menuNews',
    'menuBlog',
    'menuRecipe',
    'menuGov',
    'menuUniversity',
    'menuCompany',
  ],
  forum: ['menuForum'],
  product: ['menuShop'],
  listing: ['menuNews', 'menuBlog', 'menuGov', 'menuCompany', 'menuUniversity', 'menuRecipe'],
  collection: ['menuShop'],
  service: ['menuCompany', 'menuGov', 'menuUniversity'],
  documentation: ['menuDocs'],
};

const kept = (...texts: string[]): MadeLine[] => texts.map((text) => ({ text, label: KEEP }));
const removed = (...texts: string[]): MadeLine[] => texts.map((text) => ({ text, label: REMOVE }));
const unscored = (...texts: string[]): MadeLine[] =>
  texts.map((text) => ({ text, label: UNSCORED }));

/** How many sentences a paragraph has: one is the most frequent. */
const PARAGRAPH_LENGTHS = [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8];

function paragraph(desk: Desk): string {
  return desk.join(Array.from({ length: desk.pick(PARAGRAPH_LENGTHS) }, () => desk.sentence()));
}

function heading(desk: Desk): string {
  const [own] = desk.chance(0.45) ? desk.sayNew('headings', 1) : [];
  return own ?? desk.headline(desk.sentence());
}

function listBlock(desk: Desk): string[] {
  const numbered = desk.chance(0.25);
  const mark = numbered ? '' : desk.style.listMark;
  return Array.from({ length: desk.between(2, 7) }, (_, item) => {
    const text = desk.chance(0.5) ? desk.sentence() : desk.headline(desk.sentence());
    return `${numbered ? `${item + 1}${desk.chance(0.8) ? '. ' : ') '}` : mark}${text}`;
  });
}

function quote(desk: Desk): string {
  const [open, close] = desk.pick([
    ['“', '”'],
    ['"', '"'],
    ['«', '»'],
    ['「', '」'],
    ['> ', ''],
    ['„', '“'],
  ] as const);
  return `${open}${desk.sentence()}${close}`;
}

function table(desk: Desk): string[] {
  const columns = desk.saySome('columns', desk.between(2, 4));
  const rows = Array.from({ length: desk.between(2, 6) }, () => [
    desk.chance(0.5) ? desk.say('places') : desk.say('words'),
    ...columns.slice(1).map(() => String(desk.between(1, 2400))),
  ]);
  return [columns, ...rows].map((cells) => cells.join('\t'));
}

/** Running text of about `nLines` lines. */
function prose(desk: Desk, nLines: number): MadeLine[] {
  const lines: MadeLine[] = [];
  while (lines.length < nLines) {
    if (lines.length > 0 && desk.chance(0.14)) lines.push(...kept(heading(desk)));
    lines.push(...kept(paragraph(desk)));
    if (desk.chance(0.07)) lines.push(...kept(...listBlock(desk)));
    if (desk.chance(0.05)) lines.push(...kept(quote(desk)));
    if (desk.chance(0.03)) lines.push(...kept(...table(desk)));
    if (desk.chance(0.04)) lines.push(...unscored(desk.say('captions')));
  }
  return lines;
}

function recipe(desk: Desk): MadeLine[] {
  const mark = desk.style.listMark;
  return kept(
    ...desk.sayNew('items', desk.between(4, 9)).map((item) => `${mark}${item}`),
    ...desk.sayNew('steps', desk.between(3, 7)),
  );
}

function article(desk: Desk, size: number): MadeLine[] {
  const extra = desk.chance(0.12) ? recipe(desk) : [];
  return [...kept(desk.headline(desk.sentence())), ...prose(desk, size), ...extra];
}

function post(desk: Desk): MadeLine[] {
  const chance = (share: number): boolean => desk.chance(share);
  const name = desk.say('people');
  const before = [
    ...unscored(name),
    ...(chance(0.6) ? removed(...desk.saySome('forum', desk.between(1, 4))) : []),
    ...(chance(0.7) ? unscored(chance(0.3) ? desk.say('ago') : desk.date()) : []),
    ...(chance(0.4) ? removed(`#${desk.between(1, 40)}`) : []),
  ];
  const body = Array.from({ length: desk.pick([1, 1, 1, 2, 2, 3, 4]) }, () => {
    const [answer] = chance(0.35) ? desk.sayNew('answers', 1) : [];
    return answer ?? paragraph(desk);
  });
  const quoted = chance(0.15) ? unscored(quote(desk)) : [];
  const after = chance(0.6) ? removed(...desk.saySome('forum', desk.between(1, 3))) : [];
  return [...before, ...quoted, ...kept(...body), ...after];
}

function forum(desk: Desk, size: number): MadeLine[] {
  const title = desk.chance(0.6) ? desk.say('questions') : desk.headline(desk.sentence());
  const lines = kept(title);
  while (lines.length < size * 2) lines.push(...post(desk));
  return lines;
}

function specification(desk: Desk): string[] {
  const oneLine = desk.chance(0.7);
  return desk.some(desk.book.specs, desk.between(3, 10)).flatMap((entry) => {
    const [label = '', values = ''] = entry.split('=');
    const value = desk.fill(desk.pick(values.split(';')));
    return oneLine ? [`${label}${desk.style.pairSeparator}${value}`] : [label, value];
  });
}

function description(desk: Desk, nSentences: number): string {
  const own = desk.sayNew('productProse', nSentences);
  return desk.join(own.length === 0 || desk.chance(0.3) ? [...own, desk.sentence()] : own);
}

function product(desk: Desk, size: number): MadeLine[] {
  const lines = [
    ...kept(desk.say('products')),
    ...(desk.chance(0.7) ? unscored(desk.say('prices')) : []),
    ...removed(...desk.saySome('shopLines', desk.between(0, 4))),
    ...removed(...desk.saySome('shopButtons', desk.between(0, 6))),
    ...kept(description(desk, desk.between(1, 3))),
    ...(desk.chance(0.5) ? kept(desk.say('headings')) : []),
    ...kept(
      ...desk
        .sayNew('productProse', desk.between(1, 5))
        .map((text) => `${desk.style.listMark}${text}`),
    ),
    ...kept(...specification(desk)),
  ];
  while (lines.length < size / 2) lines.push(...kept(paragraph(desk)));
  for (let left = desk.below(5); left > 0; left--) {
    lines.push(
      ...removed(desk.pick(['★★★★★', '5/5', '4.0', '★★★★☆'])),
      ...unscored(desk.say('people'), desk.chance(0.5) ? desk.sentence() : desk.say('answers')),
      ...(desk.chance(0.5) ? removed(desk.say('shopLines')) : []),
    );
  }
  return lines;
}

/** Entries with a description that is read here, not elsewhere. */
function listing(desk: Desk, size: number): MadeLine[] {
  const lines = kept(...(desk.chance(0.6) ? [desk.say('words')] : []), paragraph(desk));
  const withDate = desk.chance(0.5);
  const withMore = desk.chance(0.5);
  const cut = desk.chance(0.25);
  while (lines.length < size) {
    lines.push(...unscored(desk.headline(desk.sentence())));
    if (withDate) lines.push(...removed(desk.date()));
    lines.push(...(cut ? unscored(desk.teaser()) : kept(paragraph(desk))));
    if (withMore) lines.push(...removed(desk.say('readMore')));
  }
  return lines;
}

function collection(desk: Desk, size: number): MadeLine[] {
  const lines = [
    ...kept(desk.say('words'), description(desk, desk.between(1, 3))),
    ...removed(...desk.saySome('filters', desk.between(2, 10))),
  ];
  const withButton = desk.chance(0.5);
  const withText = desk.chance(0.5);
  for (let left = desk.between(4, Math.max(5, size / 2)); left > 0; left--) {
    lines.push(...unscored(desk.say('products')));
    if (withText) lines.push(...kept(desk.sayNew('productProse', 1)[0] ?? desk.sentence()));
    lines.push(...unscored(desk.say('prices')));
    if (desk.chance(0.3)) lines.push(...removed(desk.say('shopLines')));
    if (withButton) lines.push(...removed(desk.say('shopButtons')));
  }
  for (let left = desk.between(1, 5); left > 0; left--) {
    if (desk.chance(0.5)) lines.push(...kept(heading(desk)));
    lines.push(...kept(desk.chance(0.5) ? description(desk, 3) : paragraph(desk)));
  }
  return lines;
}

function service(desk: Desk, size: number): MadeLine[] {
  const lines = kept(heading(desk));
  while (lines.length < size) {
    const own = desk.sayNew('serviceProse', desk.between(1, 3));
    lines.push(...kept(own.length > 0 ? desk.join(own) : paragraph(desk)));
    if (desk.chance(0.4)) lines.push(...kept(paragraph(desk)));
    if (desk.chance(0.4)) lines.push(...kept(heading(desk)));
    if (desk.chance(0.25)) lines.push(...kept(...listBlock(desk)));
    if (desk.chance(0.25)) lines.push(...removed(desk.say('menuCompany')));
    if (desk.chance(0.15)) lines.push(...kept(...desk.sayNew('steps', desk.between(2, 5))));
    if (desk.chance(0.1)) lines.push(...unscored(desk.fill('{phone}'), desk.fill('{email}')));
  }
  return lines;
}

const CODE = [
  'npm install {tool}',
  '{tool} --help',
  'cd {tool} && make',
  'import {tool}',
  '{tool}.start({ port: 8080 });',
  'const {tool} = require("{tool}");',
  'if ({tool} === null) {',
  '}',
  '    return {tool}',
  'export {tool}_HOME=/opt/{tool}',
  'pip install {tool}',
  '"{tool}": true,',
];
const TOOLS = ['lantern', 'mixer', 'cobble', 'tidy', 'parcel', 'ferry', 'quill', 'orbit'];

function documentation(desk: Desk, size: number): MadeLine[] {
  const tool = desk.pick(TOOLS);
  const lines = kept(heading(desk));
  while (lines.length < size) {
    if (desk.chance(0.3)) lines.push(...kept(heading(desk)));
    lines.push(...kept(paragraph(desk)));
    if (desk.chance(0.25)) {
      const code = desk.some(CODE, desk.between(1, 4));
      lines.push(...kept(...code.map((line) => line.replaceAll('{tool}', tool))));
    }
    if (desk.chance(0.15)) lines.push(...kept(...listBlock(desk)));
    if (desk.chance(0.12)) lines.push(...kept(...table(desk)));
    if (desk.chance(0.12)) {
      const steps = desk.sayNew('steps', desk.between(2, 5));
      lines.push(...kept(...steps.map((step, number) => `${number + 1}. ${step}`)));
    }
  }
  return lines;
}

/** Content of a page of about `size` lines, the title first. */
export const CONTENT: Readonly<Record<MadePageType, (desk: Desk, size: number) => MadeLine[]>> = {
  article,
  forum,
  product,
  listing,
  collection,
  service,
  documentation,
};
