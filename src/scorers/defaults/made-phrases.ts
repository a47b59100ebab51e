/**
 * The phrase books of the made training pages: what sites of one language say around their content, by kind.
 *
 * A fifth of every list, chosen by a hash of the phrase, is held out: pages made for judging say other things than
 * pages made for training. A phrase that stands in several lists is held out of all of them or of none, and an entry of
 * a specification (`label=value;value`) goes with its label: "Colour" is a filter of a shop too.
 *
 * Slots in braces are filled by made-desk.ts.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Languages with a phrase book. */
export const MADE_LANGUAGES = [
  'ar',
  'de',
  'en',
  'es',
  'fr',
  'hi',
  'ja',
  'ko',
  'pt',
  'ru',
  'th',
  'vi',
  'zh',
] as const;
export type MadeLanguage = (typeof MADE_LANGUAGES)[number];

/** Lists that are the language's own form, the same on both sides of the split. */
const SHARED_LISTS = ['months', 'weekdays', 'dates', 'ago', 'prices'] as const;

const MENU_LISTS = [
  'menuNews',
  'menuShop',
  'menuForum',
  'menuBlog',
  'menuGov',
  'menuUniversity',
  'menuCompany',
  'menuRecipe',
  'menuDocs',
] as const;
export type MenuList = (typeof MENU_LISTS)[number];

const SPLIT_LISTS = [
  'sites',
  'people',
  'places',
  'words',
  'products',
  ...MENU_LISTS,
  'account',
  'cookies',
  'cookieButtons',
  'footer',
  'copyright',
  'bylines',
  'share',
  'crumbs',
  'relatedHeads',
  'readMore',
  'tagHeads',
  'pagination',
  'newsletter',
  'support',
  'app',
  'legal',
  'commentForm',
  'commentMeta',
  'shopButtons',
  'shopLines',
  'filters',
  'forum',
  'errors',
  'bios',
  'weather',
  'ticker',
  'widgets',
  'headings',
  'captions',
  'specs',
  'columns',
  'titles',
  'questions',
  'answers',
  'productProse',
  'serviceProse',
  'steps',
  'items',
] as const;

const PHRASE_LISTS = [...SHARED_LISTS, ...SPLIT_LISTS] as const;
export type PhraseList = (typeof PHRASE_LISTS)[number];

/** What a language says, by list. */
export type PhraseBook = Readonly<Record<PhraseList, readonly string[]>>;

/** Which part of phrases and documents a page is made from. */
export type MadePart = 'training' | 'held-out';

/** One in so many phrases and documents is held out. */
const HELD_OUT_IN = 5;

/** Whether the hash of `text` puts it in the held-out fifth. */
export function isHeldOut(text: string): boolean {
  return hashOf(text) % HELD_OUT_IN === 0;
}

function hashOf(text: string): number {
  return createHash('sha256').update(`made ${text}`).digest().readUIntBE(0, 6);
}

/**
 * The whole phrase book of a language.
 *
 * @param folder of `<language>.json` files
 */
export function readPhraseBook(folder: string, language: MadeLanguage): PhraseBook {
  const path = join(folder, `${language}.json`);
  const book: unknown = JSON.parse(readFileSync(path, 'utf8'));
  for (const list of PHRASE_LISTS) {
    const phrases = (book as Record<string, unknown>)[list];
    const fits =
      Array.isArray(phrases) &&
      phrases.length > 0 &&
      phrases.every((phrase) => typeof phrase === 'string' && phrase.trim() !== '');
    if (!fits) throw new TypeError(`${path}: ${list}: expected a list of phrases`);
  }
  return book as PhraseBook;
}

/** The label of an entry of a specification; any other phrase itself. */
const labelOf = (phrase: string): string => phrase.split('=')[0]!;

/** The phrases of `book` that are held out; each list has at least one. */
export function heldOutPhrases(book: PhraseBook): ReadonlySet<string> {
  const held = new Set(
    SPLIT_LISTS.flatMap((list) => book[list].filter((phrase) => isHeldOut(labelOf(phrase)))),
  );
  for (const list of SPLIT_LISTS) {
    if (book[list].some((phrase) => held.has(phrase))) continue;
    held.add(book[list].reduce((least, own) => (hashOf(own) < hashOf(least) ? own : least)));
  }
  return held;
}

/** The part of a phrase book that pages of `part` are made from. */
export function partOfBook(book: PhraseBook, part: MadePart): PhraseBook {
  const held = heldOutPhrases(book);
  const own = SPLIT_LISTS.map((list) => {
    const phrases = book[list].filter((phrase) => held.has(phrase) === (part === 'held-out'));
    if (phrases.length === 0) throw new RangeError(`${list}: too few phrases to split`);
    return [list, phrases] as const;
  });
  return { ...book, ...Object.fromEntries(own) };
}
