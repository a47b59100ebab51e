import { describe, expect, it } from 'vitest';
import { c4, gopher, keepAll } from '../../../src/scorers/baselines/rules.ts';
import type { LineRefiner } from '../../../src/scorers/line-scorer.ts';

async function verdicts(refiner: LineRefiner, lines: readonly string[]): Promise<number[]> {
  const scorer = await refiner.fit([]);
  return [...(await scorer.scoreLines(lines))];
}

describe('c4', () => {
  it('keeps lines of three words that end in a terminal mark', async () => {
    const lines = [
      'It was late.',
      'He said "no"',
      'Was it late?',
      'Too short.',
      'No mark here',
      '',
    ];
    expect(await verdicts(c4, lines)).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it('removes ellipses, notices and the word Javascript', async () => {
    const lines = [
      'And then he...',
      'Please enable JavaScript to go on.',
      'This site uses cookies, as all do.',
      'Read our Privacy Policy with care.',
    ];
    expect(await verdicts(c4, lines)).toEqual([0, 0, 0, 0]);
  });
});

describe('gopher', () => {
  const prose = 'It rained all day, and the river rose by two feet.';

  it('keeps prose and the first of equal lines', async () => {
    expect(await verdicts(gopher, [prose, prose.toUpperCase().toLowerCase(), prose])).toEqual([
      1, 0, 0,
    ]);
  });

  it.each([
    ['a counter', '3 likes'],
    ['numbers', '12 / 2023 - 18:00 15'],
    ['one word', 'Subscribe'],
    ['upper case', 'SIGN UP NOW FOR OUR WEEKLY NEWS OF ALL KINDS.'],
    ['an ellipsis', 'The mayor said that the bridge would be closed…'],
    ['a short line without a mark', 'About the authors'],
    ['symbols', '# one # two # three # four words of the post and more'],
    ['few words with letters', 'on 12 03 2021 18 30 45 99 12 at the door of'],
  ])('removes %s', async (_, line) => {
    expect(await verdicts(gopher, [line, prose])).toEqual([0, 1]);
  });
});

describe('keep-all', () => {
  it('keeps all', async () => {
    expect(await verdicts(keepAll, ['', 'x'])).toEqual([1, 1]);
  });
});
