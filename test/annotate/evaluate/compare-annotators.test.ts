import { describe, expect, it } from 'vitest';
import { compareAnnotators } from '../../../src/annotate/evaluate/compare-annotators.ts';
import type { WindowExample } from '../../../src/annotate/types.ts';
import { isGristmillError } from '../../../src/errors.ts';

const TEXT = 'Home | About\nA sentence.\nAnother one.\n(c) 2024';

function example(id: string, program: string, change: Partial<WindowExample> = {}): WindowExample {
  return {
    id,
    domain: '',
    language: 'en',
    split: 'validation',
    text: `${TEXT} ${id}`,
    lineStart: 2,
    lineEnd: 6,
    dialect: 'prox',
    program,
    refined: '',
    way: 'programs',
    expert: 'a',
    requests: '',
    ...change,
  };
}

describe('compareAnnotators', () => {
  it('measures agreement over lines: raw and by kappa', async () => {
    const examples = [
      example('1', 'remove_lines(2, 2)\nremove_lines(5, 5)'),
      example('2', 'keep_chunk()'),
    ];
    const against = [example('2', 'remove_lines(5, 5)'), example('1', 'remove_lines(2, 2)')];
    const result = await compareAnnotators({ examples, against });
    // 8 lines: both remove 1, only the first 1, only the second 1, both keep 5.
    const chance = (2 / 8) * (2 / 8) + (6 / 8) * (6 / 8);
    expect(result).toMatchObject({
      nWindows: 2,
      lines: { precision: 0.5, recall: 0.5, f1: 0.5 },
      rawAgreement: 6 / 8,
      nJoinedByText: 0,
      nOnlyInExamples: 0,
      nOnlyInAgainst: 0,
    });
    expect(result.kappa).toBeCloseTo((6 / 8 - chance) / (1 - chance), 12);
  });

  it('joins by text what is numbered, named or spelled differently', async () => {
    const text = `${TEXT} 1`;
    const result = await compareAnnotators({
      examples: [example('1', 'remove_lines(2, 2)'), example('3', 'keep_chunk()')],
      against: [
        example('other', 'remove_lines(11, 11)', {
          text,
          lineStart: 10,
          lineEnd: 14,
          dialect: 'ultrax',
        }),
        example('4', 'keep_chunk()'),
        example('5', 'keep_chunk()'),
      ],
    });
    expect(result).toMatchObject({
      nWindows: 1,
      lines: { f1: 1 },
      exactMatchRate: 1,
      nJoinedByText: 1,
      nOnlyInExamples: 1,
      nOnlyInAgainst: 2,
    });
    expect(result.byDialect).toHaveProperty('prox');
  });

  it('uses a program once, and does not join windows whose texts differ', async () => {
    const result = await compareAnnotators({
      examples: [example('1', 'keep_chunk()'), example('1', 'keep_chunk()')],
      against: [example('1', 'keep_chunk()'), example('1', 'keep_chunk()', { text: `${TEXT} x` })],
    });
    expect(result).toMatchObject({ nWindows: 1, nOnlyInExamples: 1, nOnlyInAgainst: 1 });
  });

  it('does not call windows missing that a limit left out, and refuses empty sets', async () => {
    const both = [example('1', 'keep_chunk()'), example('2', 'keep_chunk()')];
    const limited = await compareAnnotators({ examples: both, against: both, limit: 1 });
    expect(limited).toMatchObject({ nWindows: 1, nOnlyInAgainst: null });
    const empty = compareAnnotators({ examples: both, against: [], split: 'all' });
    await expect(empty).rejects.toSatisfy((error) =>
      isGristmillError(error, 'TRAIN_DATA_TOO_SMALL'),
    );
  });
});
