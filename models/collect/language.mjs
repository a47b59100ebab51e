/**
 * Which language a text is in: by its script, and among Latin and Cyrillic ones by their most frequent words.
 *
 * Code and very short texts come out as what most of their words are, or as `und`.
 */

const SCRIPTS = [
  ['ko', /\p{Script=Hangul}/gu],
  ['ja', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['zh', /\p{Script=Han}/gu],
  ['ar', /\p{Script=Arabic}/gu],
  ['hi', /\p{Script=Devanagari}/gu],
  ['th', /\p{Script=Thai}/gu],
  ['he', /\p{Script=Hebrew}/gu],
  ['el', /\p{Script=Greek}/gu],
  ['bn', /\p{Script=Bengali}/gu],
  ['ta', /\p{Script=Tamil}/gu],
];

const WORDS = Object.entries({
  en: 'the of and to in is that it for as with be this are or an you from if can which when not',
  de: 'der die und das den von zu ist mit nicht ein eine auf für sie werden wird oder auch dem',
  fr: 'le la les des et un une est que qui dans pour pas sur du vous ce avec ou il',
  es: 'el los las del que una para por con es se al como su más este esta puede cuando',
  pt: 'os as do da que uma para por com não em é um você como ou mais ser se dos',
  it: 'il di che è per una della sono nel con non dei alla gli del questo viene più',
  nl: 'het een van dat niet te voor met zijn aan er bij ook wordt deze naar kan of',
  pl: 'nie się na jest że jak dla przez lub oraz może do od być są tym ten które',
  sv: 'och att det som en på är av för med inte till den kan ett om eller från',
  da: 'og det at som en på er af for med ikke til den kan et eller fra du',
  fi: 'on ja ei että se ole tai kun voi jos myös joka tämä ovat sen',
  tr: 'bir ve bu için ile olarak da daha gibi veya olan kadar sonra değil',
  vi: 'và của là có trong không được các với này cho một để bạn khi những',
  id: 'yang dan di untuk dengan ini dari tidak pada adalah dapat anda atau jika ke',
  cs: 'je se na že jako pro nebo které která být ale jsou pokud při tento',
  hu: 'az és hogy nem egy van vagy ez csak meg lehet kell ha',
  ro: 'și de la în nu este pe cu pentru care sau din un să se',
  ca: 'els les del que una per amb és no es com aquest està o i',
  ru: 'и в не на что с как это по для из от или если при также можно вы',
  uk: 'і в не на що з як це для або та від якщо ви до також при є',
  bg: 'и на да се за от не е са или като по това ще',
}).map(([language, words]) => [language, new Set(words.split(' '))]);

/** A word of several lists is worth a part to each. */
const WORTH = new Map();
for (const [, known] of WORDS)
  for (const word of known) WORTH.set(word, (WORTH.get(word) ?? 0) + 1);

/** Share of the letters that a script must have. */
const SCRIPT_SHARE = 0.2;

/** Words of its list that a text not in English must hold. */
const MIN_DISTINCT = 6;

/** ISO 639-1 code of the language, or `und`. */
export function languageOf(text) {
  const sample = text.slice(0, 20_000);
  const nLetters = (sample.match(/\p{L}/gu) ?? []).length;
  if (nLetters < 20) return 'und';
  const counts = new Map(
    SCRIPTS.map(([name, letters]) => [name, (sample.match(letters) ?? []).length]),
  );
  if (counts.get('ja') + counts.get('zh') > SCRIPT_SHARE * nLetters) {
    return counts.get('ja') > 0.1 * (counts.get('ja') + counts.get('zh')) ? 'ja' : 'zh';
  }
  for (const [name, count] of counts) {
    if (name !== 'ja' && name !== 'zh' && count > SCRIPT_SHARE * nLetters) {
      return name === 'ar' && /[پچژگک]/.test(sample) && /[یک]/.test(sample) ? 'fa' : name;
    }
  }
  const words = sample.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? [];
  const scores = WORDS.map(([language, known]) => {
    let hits = 0;
    let score = 0;
    const distinct = new Set();
    for (const word of words) {
      if (!known.has(word)) continue;
      hits += 1;
      if (word.length > 1) distinct.add(word);
      score += 1 / WORTH.get(word);
    }
    return { language, hits, nDistinct: distinct.size, score };
  });
  const english = scores.find(({ language }) => language === 'en');
  const best = scores.reduce((left, right) => (right.score > left.score ? right : left));
  // Identifiers of code are words of many lists: what is not English must say so plainly.
  const isPlain =
    best.nDistinct >= MIN_DISTINCT &&
    best.hits >= 0.08 * words.length &&
    best.score > 1.3 * english.score;
  if (best !== english && isPlain) return best.language;
  return english.hits >= 0.01 * words.length ? 'en' : 'und';
}
