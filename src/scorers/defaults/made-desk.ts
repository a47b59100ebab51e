/**
 * What every part of a made page draws from: a phrase book, real sentences, a seeded generator, and the site's style.
 */
import type { Random } from '../../seeded.ts';
import type { MadeLanguage, PhraseBook, PhraseList } from './made-phrases.ts';
import type { SentenceDocument } from './made-sentences.ts';

/** A line of a made page; `label` is one of gold-labels.ts. */
export interface MadeLine {
  readonly text: string;
  readonly label: number;
}

/** How one site sets its pages. */
export interface SiteStyle {
  /** Between items of a menu on one line; null where each has a line of its own. */
  readonly menuSeparator: string | null;
  readonly listMark: string;
  readonly upperMenus: boolean;
  readonly crumbSeparator: string;
  readonly ellipsis: string;
  readonly datePattern: string;
  readonly pairSeparator: string;
}

/** Scripts that part neither words nor sentences by spaces. */
const UNSPACED = new Set<MadeLanguage>(['zh', 'ja']);
const NO_WORD_SPACES = new Set<MadeLanguage>(['zh', 'ja', 'th']);
const FINAL_MARK = /[.。．！!？?؟।…]+["”»』」）)]*$/u;
const SPECIMEN_YEAR = 2008;
/** What parts thousands where prices are in thousands. */
const GROUPED_AMOUNTS: Partial<Record<MadeLanguage, string>> = {
  hi: ',',
  ja: ',',
  ko: ',',
  ru: ' ',
  th: ',',
  vi: '.',
};
/** Thai sites count from the death of the Buddha. */
const BUDDHIST_YEARS = 543;

/** Draws with one generator; the same seed and calls, the same page. */
export class Desk {
  readonly language: MadeLanguage;
  readonly book: PhraseBook;
  readonly documents: readonly SentenceDocument[];
  readonly random: Random;
  readonly style: SiteStyle;
  /** Name of the site that the pages are of. */
  readonly site: string;
  /** Licences of the sentences drawn so far. */
  readonly licences = new Set<string>();
  readonly #said = new Set<string>();
  #document: number;
  #sentence = 0;

  constructor(options: {
    readonly language: MadeLanguage;
    readonly book: PhraseBook;
    readonly documents: readonly SentenceDocument[];
    readonly random: Random;
    readonly style?: SiteStyle;
    readonly site?: string;
  }) {
    this.language = options.language;
    this.book = options.book;
    this.documents = options.documents;
    this.random = options.random;
    this.style = options.style ?? drawStyle(this);
    this.site = options.site ?? this.pick(this.book.sites);
    this.#document = this.below(this.documents.length);
  }

  /** A whole number of [0, bound). */
  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  /** A whole number of [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  /** Up to `count` different items in random order. */
  some<Item>(items: readonly Item[], count: number): Item[] {
    const left = [...items];
    const drawn: Item[] = [];
    while (drawn.length < count && left.length > 0) {
      drawn.push(...left.splice(this.below(left.length), 1));
    }
    return drawn;
  }

  /** A phrase of a list, slots filled. */
  say(list: PhraseList): string {
    return this.fill(this.pick(this.book[list]));
  }

  /** Up to `count` different phrases of a list, slots filled. */
  saySome(list: PhraseList, count: number): string[] {
    return this.some(this.book[list], count).map((phrase) => this.fill(phrase));
  }

  /** Up to `count` phrases of a list that were not drawn so before: content does not repeat itself, boilerplate does. */
  sayNew(list: PhraseList, count: number): string[] {
    const phrases = this.some(
      this.book[list].filter((phrase) => !this.#said.has(phrase)),
      count,
    );
    for (const phrase of phrases) this.#said.add(phrase);
    return phrases.map((phrase) => this.fill(phrase));
  }

  /** `phrase` with every slot filled anew. */
  fill(phrase: string): string {
    return phrase.replace(/\{(\w+)\}/g, (slot, name: string) => this.#slot(name) ?? slot);
  }

  date(): string {
    const pad = (value: number): string => String(value).padStart(2, '0');
    const month = this.below(12);
    const day = this.between(1, 28);
    const parts: Record<string, string> = {
      d: String(day),
      dd: pad(day),
      m: String(month + 1),
      mm: pad(month + 1),
      month: this.book.months[month]!,
      y: this.year(),
      weekday: this.pick(this.book.weekdays),
      time: this.time(),
    };
    return this.style.datePattern.replace(
      /\{(\w+)\}/g,
      (slot, name: string) => parts[name] ?? slot,
    );
  }

  year(): string {
    const year = SPECIMEN_YEAR + this.below(18);
    return String(this.language === 'th' ? year + BUDDHIST_YEARS : year);
  }

  time(): string {
    return `${String(this.below(24)).padStart(2, '0')}:${String(this.below(60)).padStart(2, '0')}`;
  }

  /** The next real sentence; documents are read in order, from a random one on. */
  sentence(): string {
    let document = this.documents[this.#document % this.documents.length]!;
    while (this.#sentence >= document.sentences.length) {
      this.#document++;
      this.#sentence = 0;
      document = this.documents[this.#document % this.documents.length]!;
    }
    this.licences.add(document.licence);
    return document.sentences[this.#sentence++]!;
  }

  /** A sentence from anywhere, as teasers and comments have. */
  strayedSentence(): string {
    const document = this.pick(this.documents);
    this.licences.add(document.licence);
    return this.pick(document.sentences);
  }

  /** Joins sentences as the language does. */
  join(sentences: readonly string[]): string {
    return sentences.join(UNSPACED.has(this.language) ? '' : ' ');
  }

  /** A headline: the beginning of a sentence without its final mark, or a phrase of the book. */
  headline(sentence = this.strayedSentence()): string {
    if (this.chance(0.12)) return this.say('titles');
    return this.#beginning(sentence, this.between(4, 13), this.between(9, 32)).replace(
      /[,،、，;:؛]$/u,
      '',
    );
  }

  /** A sentence cut within, as teasers are. */
  teaser(): string {
    const text = this.join([
      this.strayedSentence(),
      ...(this.chance(0.4) ? [this.strayedSentence()] : []),
    ]);
    return `${this.#beginning(text, this.between(10, 32), this.between(25, 90))}${this.style.ellipsis}`;
  }

  #beginning(text: string, nWords: number, nLetters: number): string {
    const plain = text.replace(FINAL_MARK, '');
    if (!NO_WORD_SPACES.has(this.language)) return plain.split(' ').slice(0, nWords).join(' ');
    const limit = this.language === 'th' ? nLetters * 2 : nLetters;
    return [...new Intl.Segmenter(this.language).segment(plain)]
      .slice(0, limit)
      .map(({ segment }) => segment)
      .join('');
  }

  #slot(name: string): string | null {
    switch (name) {
      case 'n':
        return String(this.between(2, 9));
      case 'm':
        return String(this.between(10, 99));
      case 'name':
        return this.pick(this.book.people);
      case 'place':
        return this.pick(this.book.places);
      case 'word':
        return this.pick(this.book.words);
      case 'product':
        return this.pick(this.book.products);
      case 'site':
        return this.site;
      case 'date':
        return this.date();
      case 'time':
        return this.time();
      case 'year':
        return this.year();
      case 'month':
        return this.pick(this.book.months);
      case 'ago':
        return this.say('ago');
      case 'price':
        return this.say('prices');
      case 'p':
        return this.#amount();
      case 'phone':
        return `0${this.between(10, 99)} ${this.between(100, 999)} ${this.between(1000, 9999)}`;
      case 'email':
        return `${this.pick(['info', 'contact', 'hello', 'office'])}@${this.pick(['example.com', 'example.org', 'example.net'])}`;
      default:
        return null;
    }
  }

  #amount(): string {
    const grouping = GROUPED_AMOUNTS[this.language];
    if (grouping !== undefined) {
      return `${this.between(1, 98)}${grouping}${this.pick(['000', '500', '900', '980'])}`;
    }
    const comma = ['de', 'fr', 'es', 'pt'].includes(this.language);
    return `${this.between(3, 299)}${comma ? ',' : '.'}${this.pick(['00', '50', '90', '95', '99'])}`;
  }
}

function drawStyle(desk: Desk): SiteStyle {
  return {
    menuSeparator: desk.chance(0.5)
      ? null
      : desk.pick([' | ', ' · ', '\t', ' ', '', ' / ', ' » ', ' - ', '|', ' • ', ', ']),
    listMark: desk.pick(['', '', '- ', '• ', '* ', '· ', '– ', '◦ ', '# ']),
    upperMenus: desk.chance(0.15),
    crumbSeparator: desk.pick([' > ', ' » ', ' / ', ' › ', '>', ' \\ ', ' → ', ' | ']),
    ellipsis: desk.pick(['…', '...', ' …', ' ...', ' [...]', ' […]', '……']),
    datePattern: desk.pick(desk.book.dates),
    pairSeparator: desk.pick([': ', ':', '\t', ' - ', ' ', '：']),
  };
}
