/**
 * Pages with nothing worth keeping: errors, walls, spam, lists of links, broken text. The refiner should drop them.
 *
 * What a machine would have produced (link farms, keyword lists, mojibake, blobs) is generated here from word pools;
 * the rest is written out in `hopeless.txt`.
 */
import { readFileSync } from 'node:fs';
import { Random } from './random.mjs';

/**
 * @typedef {object} HopelessPage
 * @property {string} language
 * @property {string} domain
 * @property {string} slug
 * @property {string[]} tags
 * @property {string | null} text
 * @property {'tags' | 'meta'} [missing] a nested column that is null in this row
 */

const GOODS = 'sofa,laptop,sneakers,watch,mattress,vitamins,drone,perfume,blender,tyres'.split(',');
const PLACES = 'Eastmoor,Callisport,Dunmere,Vantry,Old Wexley,Port Saline,Kirrin,Loxhead'.split(
  ',',
);
const HYPE = 'cheap,best,discount,buy,top,review,near me,online,free,2024,deal,sale'.split(',');
const LOREM =
  'lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi'.split(
    ' ',
  );
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** @param {number} count @param {(at: number) => string} make */
function linesOf(count, make) {
  return Array.from({ length: count }, (_, at) => make(at)).join('\n');
}

/** UTF-8 bytes read as Latin-1, the classic accident. @param {string} text */
function mojibake(text) {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** @param {Random} random */
function loremParagraph(random) {
  const words = Array.from({ length: random.int(30, 60) }, () => random.pick(LOREM)).join(' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** @returns {HopelessPage[]} */
function generatedPages() {
  const random = new Random('hopeless');
  const phrase = () => `${random.pick(HYPE)} ${random.pick(GOODS)} ${random.pick(PLACES)}`;
  const german =
    'Größenübersicht für Möbel: Türhöhe, Stärke, Länge – „maßgenau“ geprüft für Küche und Flur';
  const french =
    'Dégustation d’été à l’auberge : réservez dès à présent, places limitées, entrée 12 €';
  const farm = linesOf(
    160,
    () => `${phrase()} www.${random.pick(GOODS)}-${random.int(10, 999)}.example`,
  );
  const keywords = Array.from({ length: 420 }, phrase).join(', ');
  const sitemap = linesOf(300, (at) => `/category/${random.pick(GOODS)}/page/${at + 1}`);
  const blob = Array.from({ length: 6000 }, () => BASE64.charAt(random.int(0, 63))).join('');
  const state = Array.from({ length: 700 }, (_, at) => {
    return `{"k":${at},"v":"${random.pick(GOODS)}","p":${random.int(1, 999)}}`;
  });
  const calendar = linesOf(42, (at) => `${(at % 31) + 1}\t0 events`);
  const spin = linesOf(12, () => {
    const [thing, place] = [random.pick(GOODS), random.pick(PLACES)];
    return `If you are searching ${random.pick(HYPE)} ${thing} in ${place} then you are in right place for ${thing}. Our ${thing} is ${random.pick(HYPE)} ${thing} of all ${thing} in ${place}, so call today for ${thing} ${random.pick(HYPE)} and get ${thing}.`;
  });
  const ranks = linesOf(
    90,
    (at) => `${at + 1}. ${random.pick(PLACES)} ${random.int(1, 99)} ${random.int(1, 99)}`,
  );
  /** @type {[string, string, string, string, string | null][]} */
  const pages = [
    ['en', 'link-orchard.example', 'link-farm', 'spam', farm],
    ['en', 'mega-deals.example', 'keywords', 'spam', `Tags\n${keywords}`],
    ['en', 'mega-deals.example', 'sitemap', 'list', `Sitemap\nHome\n${sitemap}`],
    ['en', 'dunmere-sofas.example', 'spun-text', 'spam', spin],
    ['en', 'blobstash.example', 'base64', 'blob', `data:application/octet-stream;base64,${blob}`],
    ['en', 'shopfront.example', 'state-json', 'long-line', `window.__STATE__=[${state.join(',')}]`],
    ['en', 'loxhead-hall.example', 'calendar', 'list', `M\tT\tW\tT\tF\tS\tS\n${calendar}`],
    ['en', 'score-pages.example', 'bare-ranks', 'list', ranks],
    ['la', 'theme-demo.example', 'lorem', 'placeholder', linesOf(9, () => loremParagraph(random))],
    ['de', 'moebel-nord.example', 'mojibake', 'broken', linesOf(24, () => mojibake(german))],
    [
      'fr',
      'auberge-demo.example',
      'mojibake',
      'broken',
      linesOf(8, () => mojibake(mojibake(french))),
    ],
    [
      'en',
      'lost-bytes.example',
      'replacement',
      'broken',
      linesOf(30, () => '\ufffd'.repeat(random.int(4, 70))),
    ],
    ['en', 'void-page.example', 'null', 'empty', null],
    ['en', 'void-page.example', 'empty', 'empty', ''],
    ['en', 'void-page.example', 'blank', 'empty', ' \n\t\n\n \u00a0\n'],
    ['en', 'void-page.example', 'one-word', 'empty', 'Loading…'],
  ];
  return pages.map(([language, domain, slug, tag, text]) => {
    /** @type {HopelessPage} */
    const page = { language, domain, slug, tags: text === null ? [] : [tag], text };
    if (slug === 'blank') page.missing = 'tags';
    if (slug === 'one-word') page.missing = 'meta';
    return page;
  });
}

/** @returns {HopelessPage[]} */
function writtenPages() {
  const file = readFileSync(new URL('hopeless.txt', import.meta.url), 'utf8');
  return file
    .split(/^@@@ /m)
    .slice(1)
    .map((record) => {
      const [header = '', ...lines] = record.replace(/\n+$/, '').split('\n');
      const [language = '', domain = '', slug = '', tag = ''] = header.split(' ');
      return { language, domain, slug, tags: [tag], text: lines.join('\n') };
    });
}

/** Every hopeless page, the written ones first. @returns {HopelessPage[]} */
export function hopelessPages() {
  return [...writtenPages(), ...generatedPages()];
}
