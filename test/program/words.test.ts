import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toByteString } from '../../src/program/byte-string.ts';
import { countWords, listWords } from '../../src/program/words.ts';

const SPACES = [' ', '\t', '\n', '\x1c', '\u0085', '\u00a0', '\u2003', '\u3000', '\u205f'];
const pieces = fc.oneof(
  fc.constantFrom(
    ...SPACES,
    'a',
    'b-c',
    '.',
    '日本語の文章',
    'ภาษาไทย',
    '、',
    '한국어',
    '\u{1F33E}',
  ),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
);

describe('words of a text', () => {
  it('are as many as the guard counts', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => {
        const text = parts.join('');
        expect(listWords(text)).toHaveLength(countWords(toByteString(text), Infinity));
      }),
    );
  });

  it('are runs between white space, segments where no spaces are written', () => {
    expect(listWords(' Home | About\n(c) 2024\u00a0x ')).toEqual([
      'Home',
      '|',
      'About',
      '(c)',
      '2024',
      'x',
    ]);
    expect(listWords('今日は。')).toEqual(['今日', 'は']);
    expect(listWords('')).toEqual([]);
  });
});
