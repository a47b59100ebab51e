/**
 * Character classes and lower case by UTF-16 unit, as tables: a line is measured in one pass without allocations.
 *
 * Compatibility characters that stand for one other (full-width letters and marks, no-break spaces, half-width kana) are
 * taken as that one. Surrogates of the supplementary Han planes count as Han, all others as symbols.
 */
import { native } from '../../../src/native/index.ts';

/** Bits of a class. */
export const LETTER = 1;
export const UPPER = 2;
export const DIGIT = 4;
export const SPACE = 8;
/** Scripts written without spaces (Han, kana, Thai): each character is a word. */
export const UNSPACED = 16;
/** . ! ? and their like in other scripts. */
export const SENTENCE_END = 32;
/** Marks that stand between links: | · • » and the like. */
export const SEPARATOR = 64;
/** Marks that programs and formulas use and prose hardly does. */
export const CODE = 128;

/** Classes and lower case of all UTF-16 units. */
export interface CharacterTables {
  /** What a unit stands for (NFKC, where that is one unit). */
  readonly plain: Uint16Array;
  /** Bits by unit. */
  readonly classes: Uint8Array;
  /** Lower case by unit; digits become `0`. */
  readonly folded: Uint16Array;
}

let tables: CharacterTables | null = null;

/** The tables, made at first use (about 30 ms). */
export function characterTables(): CharacterTables {
  tables ??= chosenTables();
  return tables;
}

const SENTENCE_ENDS = '.!?…。！？．؟।॥';
const SEPARATORS = '|·•»›«‹→▸►●■∙⋅¦\t';
const CODE_MARKS = '{}[]<>=;\\$_^~`#*@/%+';

/** Where this Node knows another version of Unicode, the addon's table; characters.test.ts holds the two against each other. */
function chosenTables(): CharacterTables {
  const own = native().characterTable();
  return own.unicode === process.versions['unicode'] ? makeTables() : own;
}

/** The tables of this Node's version of Unicode. */
export function makeTables(): CharacterTables {
  const classes = new Uint8Array(65536);
  const folded = new Uint16Array(65536);
  const plain = new Uint16Array(65536);
  const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;
  for (let unit = 0; unit < 65536; unit++) {
    folded[unit] = unit;
    plain[unit] = unit;
    if (unit >= 0xd800 && unit <= 0xdfff) {
      // Planes 2 and 3 are Han; the low half of a pair belongs to the character before.
      if (unit >= 0xd840 && unit <= 0xd888) classes[unit] = LETTER | UNSPACED;
      continue;
    }
    const character = String.fromCharCode(unit);
    const compatible = character.normalize('NFKC');
    if (compatible.length === 1) plain[unit] = compatible.charCodeAt(0);
    let bits = 0;
    // Marks are part of words: Hindi and Arabic would fall apart without them.
    if (/\p{L}|\p{M}/u.test(character)) bits |= LETTER;
    if (/\p{Lu}|\p{Lt}/u.test(character)) bits |= UPPER;
    if (/\p{N}/u.test(character)) bits |= DIGIT;
    if (/\s/.test(character)) bits |= SPACE;
    if ((bits & (LETTER | DIGIT)) !== 0 && unspaced.test(character)) bits |= UNSPACED;
    if (SENTENCE_ENDS.includes(character)) bits |= SENTENCE_END;
    if (SEPARATORS.includes(character)) bits |= SEPARATOR;
    if (CODE_MARKS.includes(character)) bits |= CODE;
    classes[unit] = bits;
    const lower = character.toLowerCase();
    if (lower.length === 1) folded[unit] = lower.charCodeAt(0);
    if ((bits & DIGIT) !== 0) folded[unit] = 48;
  }
  return { classes, folded, plain };
}
