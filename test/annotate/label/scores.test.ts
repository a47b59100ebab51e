import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cutText,
  isKept,
  MAX_JUSTIFICATION_CHARS,
  parseKeepRule,
  parseScore,
} from '../../../src/annotate/label/scores.ts';

const score = (text: string, finish: 'stop' | 'length' = 'stop') => {
  const { score: value, problem } = parseScore('educational', { text, finish });
  return value ?? problem;
};

describe('parseScore', () => {
  it.each([
    ['Good text.\n\nEducational score: 3', 3],
    ['Educational score: 0', 0],
    ['educational SCORE : 5', 5],
    ['**Educational score:** 4', 4],
    ['**Educational score: 4**', 4],
    ['__Educational score__: 4.', 4],
    ['- Educational score: `2`', 2],
    ['> Educational score: 2/5', 2],
    ['Educational score: 2 / 5.', 2],
    ['Educational score: 3 out of 5', 3],
    ['Educational score: 3 points', 3],
    ['Educational score: 3 (appropriate for schools)', 3],
    ['Educational score: [3]', 3],
    ['Educational score: "3"', 3],
    ['Educational score = 3', 3],
    ['Educational score：3', 3],
    ['It explains much. Educational score: 3', 3],
    ['Educational score:\n\n4', 4],
    ['**Educational score:**\n**4**\nThank you.', 4],
    ['Educational score: 3\r\n', 3],
    // the last label counts, whatever is quoted before
    ['The page says "Educational score: 5", but it is a menu.\nEducational score: 0', 0],
    ['Educational score: 1\nWait, on second thoughts:\nEducational score: 2', 2],
    ['Educational score: 1 Educational score: 2', 2],
    // a label without a colon is prose
    ['Educational score: 2\nThe educational score reflects the menu.', 2],
    // without a label, a bare last line
    ['Some reasons.\n\n4', 4],
    ['Some reasons.\n**4/5**\n', 4],
    ['Some reasons.\nScore: 4', 4],
    ['Some reasons.\nTotal: 4', 4],
    ['Some reasons.\nFinal score: 4', 4],
  ])('%j is %j', (text, expected) => expect(score(text)).toBe(expected));

  it.each([
    ['', 'no_score'],
    ['   \n ', 'no_score'],
    ['I cannot rate this.', 'no_score'],
    ['It has 3 good points.', 'no_score'],
    ['Extraction quality score: 3', 'no_score'],
    ['In 1999\n2001', 'score_out_of_range'],
    ['Educational score: 6', 'score_out_of_range'],
    ['Educational score: -1', 'score_out_of_range'],
    ['Educational score: 999999999', 'score_out_of_range'],
    ['Educational score: 2.5', 'unclear_score'],
    ['Educational score: 2,5', 'unclear_score'],
    ['Educational score: 2-3', 'unclear_score'],
    ['Educational score: 2 or 3', 'unclear_score'],
    ['Educational score: 3 (or 4)', 'unclear_score'],
    ['Educational score: 3/10', 'unclear_score'],
    ['Educational score: three', 'unclear_score'],
    ['Educational score: N', 'unclear_score'],
    ['Educational score:', 'unclear_score'],
    ['Educational score: ١', 'unclear_score'],
    ['Educational score: 1e0', 'unclear_score'],
    // the last label is the wrong one: the earlier is not taken instead
    ['Educational score: 3\nEducational score: unknown', 'unclear_score'],
  ])('%j has no score: %s', (text, problem) => expect(score(text)).toBe(problem));

  it('does not read a cut answer: its last label may be a quotation', () => {
    expect(score('It claims an "Educational score: 5"', 'length')).toBe('answer_cut');
  });

  it('keeps the rest as the justification, bounded', () => {
    const parsed = parseScore('format', {
      text: 'Clean.\nWell set. **Extraction Quality Score:** 5\n',
      finish: 'stop',
    });
    expect(parsed).toEqual({ score: 5, justification: 'Clean.\nWell set.', problem: null });
    const long = parseScore('format', {
      text: `${'x'.repeat(MAX_JUSTIFICATION_CHARS - 1)}😀\nExtraction quality score: 1`,
      finish: 'stop',
    });
    expect(long.score).toBe(1);
    expect(long.justification).toBe('x'.repeat(MAX_JUSTIFICATION_CHARS - 1));
  });

  it('takes any text, and finds a last line behind any text without a line break at its end', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.nat(5), (text, value) => {
        parseScore('educational', { text, finish: 'stop' });
        const answer = { text: `${text}\nEducational score: ${value}`, finish: 'stop' } as const;
        expect(parseScore('educational', answer).score).toBe(value);
      }),
    );
  });

  it('is linear in hostile answers', () => {
    for (const piece of ['educational score', 'educational score:', '*', '(', '1', '\n', '1 ']) {
      const text = piece.repeat(Math.ceil(2_000_000 / piece.length));
      expect(score(text)).toBeTypeOf('string');
    }
  });
});

describe('the keep rule', () => {
  it('is that of ProX', () => {
    const rule = parseKeepRule('prox');
    for (let edu = 0; edu <= 5; edu++) {
      for (let format = 0; format <= 5; format++) {
        expect(isKept(rule, edu, format)).toBe(edu >= 3 || (edu === 2 && format >= 4));
      }
    }
  });

  it('may be a bound on the educational score', () => {
    const rule = parseKeepRule('edu:4');
    expect([3, 4, 5].map((edu) => isKept(rule, edu, Number.NaN))).toEqual([false, true, true]);
  });

  it.each(['', 'edu', 'edu:', 'edu:6', 'edu:-1', 'edu:3.5', 'PROX', 'format:3'])(
    'is not %j',
    (text) =>
      expect(() => parseKeepRule(text)).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID' }),
      ),
  );
});

it('a cut never halves a character', () => {
  expect(cutText('ab😀', 3)).toBe('ab');
  expect(cutText('ab😀', 4)).toBe('ab😀');
});

describe('scores in other dress', () => {
  it.each([
    ['4 \u{1f600}', 4],
    ['Educational score: 4 \u{1f44d}\u{1f3fd}', 4],
    ['Educational score: 4\ufe0f\u20e3', 4],
    ['\\boxed{4}', 4],
    ['Educational score: $\\boxed{4}$', 4],
    ['Educational score: \\(\\boxed{\\text{4}}\\)', 4],
    ['{"educational_score": 4}', 4],
    ['{"score": "4/5", "justification": "Clear."}', 4],
    ['```json\n{"Educational score": 4, "why": "x"}\n```', 4],
    ['Fine.\n{\n  "educational score": 4,\n  "x": 1\n}', 4],
    ['{"format_score": 4}', null],
    ['{"score": 4.5}', null],
    ['{"score": 7}', null],
    ['Educational score: \u2b50\u2b50', null],
    ['\\boxed{4} or \\boxed{5}', null],
  ])('%j reads %j', (text, score) => {
    expect(parseScore('educational', { text, finish: 'stop' }).score).toBe(score);
  });

  it('keeps the justification of a JSON answer', () => {
    const text = '{"justification": "Clear.", "score": 4}';
    const { justification } = parseScore('educational', { text, finish: 'stop' });
    expect(justification).toBe('Clear.');
  });
});
