import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bagF1, countWords, forEachWord } from '../../src/scorers/words.ts';

function words(text: string): string[] {
  const found: string[] = [];
  forEachWord(text, (word) => found.push(word));
  return found;
}

/** The rule, character by character. */
function oracle(text: string): string[] {
  const found: string[] = [];
  let run = '';
  for (const character of `${text.normalize('NFKC').toLowerCase()} `) {
    const isWord = /[\p{L}\p{N}]/u.test(character);
    const alone = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u.test(
      character,
    );
    if (isWord && !alone) {
      run += character;
      continue;
    }
    if (run !== '') found.push(run);
    run = '';
    if (isWord) found.push(character);
  }
  return found;
}

describe('forEachWord', () => {
  it('cuts runs of letters and digits, folded', () => {
    expect(words('Don’t PANIC, it’s 42km_away')).toEqual('don t panic it s 42km away'.split(' '));
    expect(words('ﬁne Ｗｉｄｅ x²')).toEqual(['fine', 'wide', 'x2']);
    expect(words('東京tower')).toEqual(['東', '京', 'tower']);
    expect(words('กา ที่')).toEqual(['ก', 'า', 'ท']);
  });

  it('does as the oracle on any text', () => {
    const letter = fc.constantFrom(...'aZ9 _-東カひกี่éßÅﬁ²٣हि\n');
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: letter })), (text) => {
        expect(words(text)).toEqual(oracle(text));
      }),
      { numRuns: 500 },
    );
  });
});

describe('bagF1', () => {
  it('compares bags, not sets', () => {
    const f1 = (left: string, right: string): number => bagF1(countWords(left), countWords(right));
    expect(f1('a a b', 'a b b')).toBeCloseTo(4 / 6, 12);
    expect(f1('', '')).toBe(1);
    expect(f1('a', '')).toBe(0);
    expect(f1('x y', 'Y X')).toBe(1);
  });
});
