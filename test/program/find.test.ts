/** Needle against String.indexOf. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Needle } from '../../src/program/find.ts';

const word = fc.string({
  unit: fc.constantFrom('a', 'b', ' ', ':', '?', 'A', '1', '.'),
  maxLength: 300,
});

test('finds what indexOf finds, from everywhere', () => {
  fc.assert(
    fc.property(
      word,
      fc.string({ unit: fc.constantFrom('a', ' ', ':', 'A', '1'), minLength: 1, maxLength: 4 }),
      fc.nat(40),
      (hay, text, from) => {
        const needle = new Needle(text);
        expect(needle.indexIn(hay, from)).toBe(hay.indexOf(text, from));
      },
    ),
    { numRuns: 5000 },
  );
});

test('a bad anchor gives way to the plain search', () => {
  const hay = `${':'.repeat(1000)}:x`;
  expect(new Needle(':x').indexIn(hay, 0)).toBe(1000);
  expect(new Needle('::y').indexIn(hay, 0)).toBe(-1);
});
