/** Lines before and after: whatever way they are found, what stays and what is new is the text that was written. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparedLines, type DocumentLine, editedLines } from '../../src/inspect/document-lines.ts';
import { execute } from '../../src/program/execute.ts';

function sides(lines: readonly DocumentLine[]) {
  const join = (without: string, state: string): string =>
    lines
      .filter((line) => line.state !== state)
      .map(({ parts }) =>
        parts
          .filter(([kind]) => kind !== without)
          .map(([, text]) => text)
          .join(''),
      )
      .join('\n');
  return { before: join('new', 'added'), after: join('gone', 'removed') };
}

const word = fc.constantFrom('a', 'b', 'ä', '日本', '', ' ', 'ab', 'aab', '\r', '😀');
const textArbitrary = fc.array(
  fc.array(word, { maxLength: 4 }).map((words) => words.join('')),
  { minLength: 1, maxLength: 9 },
);

describe('editedLines', () => {
  it('gives both texts back, by the executor or by comparison', () => {
    const statement = fc.oneof(
      fc
        .tuple(fc.nat(9), fc.nat(9))
        .map(([start, end]) => `remove_lines(start=${start}, end=${end})`),
      fc
        .tuple(fc.constantFrom('a', 'ab', '日', 'ä'), fc.constantFrom('', 'x', 'b'))
        .map(([from, to]) => `normalize(source_str="${from}", target_str="${to}")`),
    );
    const program = fc
      .array(statement, { minLength: 1, maxLength: 4 })
      .map((all) => all.join('\n'));
    let nEdited = 0;
    fc.assert(
      fc.property(textArbitrary, program, fc.boolean(), (lines, code, isKnown) => {
        const text = lines.join('\n');
        const options = { minKeptRatio: 0, maxGrowthRatio: 4 };
        const outcome = execute(text, code, options);
        if (outcome.status !== 'edited') return;
        nEdited++;
        const shown = editedLines(text, outcome.text, isKnown ? code : null, options);
        const { before, after } = sides(shown);
        expect(before).toBe(text);
        expect(after).toBe(outcome.text);
        expect(shown.filter(({ line }) => line !== null).map(({ line }) => line)).toEqual([
          ...lines.keys(),
        ]);
      }),
      { numRuns: 500 },
    );
    expect(nEdited).toBeGreaterThan(50);
  });

  it('says which characters a normalize took, not only which line', () => {
    const text = 'Read more | Share\nkeep\nShare';
    const program = 'normalize(source_str="Share", target_str="")\nremove_lines(start=1, end=1)';
    const { text: written } = execute(text, program);
    expect(editedLines(text, written, program, {})).toEqual([
      {
        line: 0,
        state: 'changed',
        parts: [
          ['same', 'Read more | '],
          ['gone', 'Share'],
        ],
      },
      { line: 1, state: 'removed', parts: [['gone', 'keep']] },
      { line: 2, state: 'changed', parts: [['gone', 'Share']] },
    ]);
  });
});

describe('comparedLines', () => {
  it('gives any two texts back, in time that grows with their length', () => {
    fc.assert(
      fc.property(textArbitrary, textArbitrary, (before, after) => {
        expect(sides(comparedLines(before, after))).toEqual({
          before: before.join('\n'),
          after: after.join('\n'),
        });
      }),
    );
    const many = Array.from({ length: 200_000 }, (_, at) => (at % 3 === 0 ? 'x' : `line ${at}`));
    expect(
      comparedLines(
        many,
        many.filter((_, at) => at % 5 !== 0),
      ).length,
    ).toBe(200_000);
  });
});
