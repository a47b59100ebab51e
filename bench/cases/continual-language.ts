/**
 * Seeded languages of pseudo-words, for continual pre-training without a download: what is old, a weak shift from it,
 * a strong one.
 *
 *     lexicon    400 words of one to three syllables in twelve classes; Zipf's law over the words of a class
 *     syntax     a Markov chain over the classes: each is followed by four others
 *     weak       70 % of the old words, the rest new in the same sounds; words have other ranks; another syntax
 *     strong     other sounds (umlauts among them), no word in common, another syntax
 *
 * Texts are bytes; a token is a byte.
 */
import { type Random, seededRandom } from '../../src/seeded.ts';
import { writeByteStore } from '../../src/tokens/byte-store.ts';
import type { TokenStore } from '../../src/tokens/token-store.ts';

/** Names of the languages; each is a dataset of the store. */
export const LANGUAGES = ['old', 'weak', 'strong'] as const;

/** A language by name. */
export type LanguageName = (typeof LANGUAGES)[number];

const N_CLASSES = 12;
const N_WORDS = 400;
const N_FOLLOWERS = 4;
const SHARED = 0.7;
const ZIPF = 1.1;
const BYTES_PER_DOCUMENT = 600;
const VALIDATION_SHARE = 0.1;

interface Sounds {
  readonly onsets: readonly string[];
  readonly vowels: readonly string[];
  readonly codas: readonly string[];
}

const OLD_SOUNDS: Sounds = {
  onsets: ['b', 'd', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'st', 'tr'],
  vowels: ['a', 'e', 'i', 'o', 'u'],
  codas: ['', '', 'n', 'r', 's', 'l'],
};
const STRONG_SOUNDS: Sounds = {
  onsets: ['sch', 'w', 'z', 'g', 'f', 'h', 'pf', 'j', 'v', 'gh', 'zw', 'kw'],
  vowels: ['ä', 'ö', 'ü', 'ei', 'au', 'y'],
  codas: ['', 'ch', 'ck', 'ß', 'ng', 'x'],
};

/** A language: words by class, their frequencies, the syntax. */
interface Language {
  readonly words: readonly (readonly string[])[];
  /** Cumulative, by class. */
  readonly frequencies: readonly Float64Array[];
  readonly followers: readonly (readonly number[])[];
}

/** Draws text of a language, about so many bytes a document. */
function* documentsOf(language: Language, random: Random): Generator<string> {
  let wordClass = 0;
  for (;;) {
    const words: string[] = [];
    let nBytes = 0;
    while (nBytes < BYTES_PER_DOCUMENT) {
      const word = language.words[wordClass]![drawn(language.frequencies[wordClass]!, random)]!;
      words.push(word);
      nBytes += word.length + 1;
      const followers = language.followers[wordClass]!;
      wordClass = followers[Math.floor(random() ** 2 * followers.length)]!;
      if (random() < 0.12) words[words.length - 1] += '.';
    }
    yield `${words.join(' ')}\n`;
  }
}

function drawn(cumulative: Float64Array, random: Random): number {
  const at = random() * cumulative.at(-1)!;
  let index = 0;
  while (cumulative[index]! < at) index++;
  return index;
}

/** The three languages of a seed. */
function languagesOf(seed: number): Record<LanguageName, Language> {
  const random = seededRandom(Math.imul(seed + 1, 0x9e3779b1));
  const taken = new Set<string>();
  const oldWords = lexicon(OLD_SOUNDS, N_WORDS, random, taken);
  const weakWords = oldWords.map((word) =>
    random() < SHARED ? word : lexicon(OLD_SOUNDS, 1, random, taken)[0]!,
  );
  return {
    old: languageOf(oldWords, random),
    weak: languageOf(weakWords, random),
    strong: languageOf(lexicon(STRONG_SOUNDS, N_WORDS, random, taken), random),
  };
}

function lexicon(sounds: Sounds, nWords: number, random: Random, taken: Set<string>): string[] {
  const one = (of: readonly string[]): string => of[Math.floor(random() * of.length)]!;
  const words: string[] = [];
  while (words.length < nWords) {
    const nSyllables = 1 + Math.floor(random() * 3);
    const word = Array.from(
      { length: nSyllables },
      () => one(sounds.onsets) + one(sounds.vowels) + one(sounds.codas),
    ).join('');
    if (taken.has(word)) continue;
    taken.add(word);
    words.push(word);
  }
  return words;
}

/** Words keep their class in every language; their ranks are drawn anew. */
function languageOf(words: readonly string[], random: Random): Language {
  const classes = Array.from({ length: N_CLASSES }, (_, wordClass) =>
    words
      .filter((_, index) => index % N_CLASSES === wordClass)
      .map((word) => [random(), word] as const)
      .sort(([left], [right]) => left - right)
      .map(([, word]) => word),
  );
  return {
    words: classes,
    frequencies: classes.map((members) => {
      let sum = 0;
      return Float64Array.from(members, (_, rank) => (sum += (rank + 1) ** -ZIPF));
    }),
    followers: classes.map(() =>
      Array.from({ length: N_FOLLOWERS }, () => Math.floor(random() * N_CLASSES)),
    ),
  };
}

/**
 * Writes a token store with the languages of a seed.
 *
 * @param nTokens of each language's training part, at least
 */
export function writeLanguages(
  out: string,
  {
    seed,
    nTokens,
  }: { readonly seed: number; readonly nTokens: Readonly<Record<LanguageName, number>> },
): TokenStore {
  const languages = languagesOf(seed);
  const texts = LANGUAGES.map((name, place) => {
    const random = seededRandom(Math.imul(seed + 1, 0x85ebca6b) ^ (place + 1));
    // What is held out is taken off, with a share and a few documents to spare: it is drawn by the hash of the text.
    const wanted = 1.05 * (nTokens[name] / (1 - VALIDATION_SHARE)) + 20 * BYTES_PER_DOCUMENT;
    const documents: string[] = [];
    let nBytes = 0;
    for (const text of documentsOf(languages[name], random)) {
      documents.push(text);
      nBytes += Buffer.byteLength(text);
      if (nBytes >= wanted) break;
    }
    return [name, documents] as const;
  });
  return writeByteStore({
    out,
    texts: Object.fromEntries(texts),
    validationShare: VALIDATION_SHARE,
  });
}
