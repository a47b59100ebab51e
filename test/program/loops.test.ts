/** Loops of UltraX's refiners: the measure against difflib's own numbers, each rule at its threshold. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execute } from '../../src/program/execute.ts';
import { MAX_COMPARED_CHARS, similarity } from '../../src/program/loops.ts';
import type { ExecuteOptions } from '../../src/program/options.ts';

/** Pairs and `difflib.SequenceMatcher(None, left, right).ratio()` of Python 3.11. */
const DIFFLIB: readonly (readonly [string, string, number])[] = [
  [
    'Subscribe to our newsletter for more stories like this one',
    'Subscrib oioburnewslhtter for mor storbesllbike tabs on',
    0.8141592920353983,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Sbscibe ti our newsletter for more stocries like thisa on',
    0.9391304347826087,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Subscribe to our necsletter for more stories like this one',
    0.9827586206896551,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Snbcribe to our newsletter fobr more stories like  thisX one',
    0.9491525423728814,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'SurcribeiodrstewsleXetertfor ore utoies lcke thi one',
    0.7454545454545455,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Subscrb ts un newslettr frmorbc stdai s likbe ths one',
    0.8108108108108109,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'SubscXribe to our dwsltter for ore nstorisnlikeXlthisne',
    0.8672566371681416,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Subscribeb ts our Ynewslaher for  more sroraes like this ose',
    0.864406779661017,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Sbstribe toour newsletter for aore sYtZrieslie this one',
    0.9026548672566371,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Sucbscribe tXo our newcslaetter for moestornee like tahis on',
    0.8983050847457628,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Subscribceto our nawsletbeXr for moXre st ories like this one',
    0.9243697478991597,
  ],
  [
    'Subscribe to our newsletter for more stories like this one',
    'Sbscribe ato ou ne cwsletter fomobre scr rieslikethisrone',
    0.8521739130434782,
  ],
  ['', '', 1.0],
  ['a', '', 0.0],
  ['abcd', 'bcde', 0.75],
  ['aaaa', 'aa', 0.6666666666666666],
  ['ab', 'ba', 0.5],
  ['abxcd', 'abcd', 0.8888888888888888],
  ['qabxcd', 'abycdf', 0.6666666666666666],
  ['private Thread currentThread;', 'private volatile Thread currentThread;', 0.8656716417910447],
];

describe('similarity', () => {
  test.each(DIFFLIB)('%j and %j', (left, right, expected) => {
    expect(similarity(left, right)).toBeCloseTo(expected, 12);
  });

  test('is 1 for equal strings only, and never beyond 0..1', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 12 });
    fc.assert(
      fc.property(text, text, (left, right) => {
        const ratio = similarity(left, right);
        expect(ratio === 1).toBe(left === right);
        expect(ratio).toBeGreaterThanOrEqual(0);
        expect(ratio).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('loops', () => {
  const lines = Array.from({ length: 60 }, (_, index) => `line ${index} of the story, share it`);
  const text = lines.join('\n');
  const run = (calls: readonly string[], options: ExecuteOptions = {}) =>
    execute(text, calls.join('\n'), { dialect: 'ultrax', maxGrowthRatio: 3, ...options });
  const add = (base: number, content: string, sub = 1) => `add_line(${base}, ${sub}, '${content}')`;
  const words = ['ocean', 'mill', 'quartz', 'by night', 'zebra', 'gypsum', 'fjord', 'vow'];

  test('the same line added at one place: twice is fine, three times is a loop', () => {
    const twice = [1, 2].map((sub) => add(4, 'The end.', sub));
    expect(run(twice).status).toBe('edited');
    expect(run([...twice, add(4, 'The end.', 3)])).toMatchObject({
      status: 'failed',
      reason: 'repeated_ops',
      text,
    });
  });

  test('the same line at three places is fine, at four a loop', () => {
    const three = [4, 9, 14].map((base) => add(base, '***'));
    expect(run(three).status).toBe('edited');
    expect(run([...three, add(20, '***')]).reason).toBe('repeated_ops');
  });

  test('three lines that resemble one another are fine, four are a loop', () => {
    const alike = [1, 2, 3, 4].map((n) => add(n * 3, `Chapter ${n} begins here`));
    expect(run(alike.slice(0, 3)).status).toBe('edited');
    expect(run(alike).reason).toBe('repeated_ops');
    expect(run(alike, { addSimilarity: 1 }).status).toBe('edited');
    expect(run(words.map((word, at) => add(at * 3 + 1, word))).status).toBe('edited');
    // Only what is compared counts: contents that differ behind it are alike.
    const long = 'w'.repeat(MAX_COMPARED_CHARS);
    const tails = words.slice(0, 4).map((word, at) => add(at * 3 + 1, long + word.repeat(60)));
    expect(run(tails, { maxGrowthRatio: 9 }).reason).toBe('repeated_ops');
  });

  test('a replacement on more than 30 lines is a loop, unless the text holds the string that often', () => {
    const cleaned = lines.map((_, at) => `replace_str(${at + 1}, ', share it', '')`);
    expect(run(cleaned).text).toBe(lines.map((line) => line.replace(', share it', '')).join('\n'));
    const lost = lines.slice(0, 31).map((_, at) => `replace_str(${at + 1}, 'absent', '')`);
    expect(run([...lost, 'remove_lines(1, 1)']).reason).toBe('repeated_ops');
    // Thirty: the ops miss, and nothing else happens.
    expect(run(lost.slice(1)).reason).toBe('no_effect');
    // 24.8 of 31 is enough.
    const some = lines.map((line, at) => (at < 25 ? `${line} AD` : line)).join('\n');
    const ads = lines.slice(0, 31).map((_, at) => `replace_str(${at + 1}, ' AD', '')`);
    expect(execute(some, ads.join('\n'), { dialect: 'ultrax' }).text).toBe(text);
    const fewer = some.replace(' AD', '');
    expect(execute(fewer, ads.join('\n'), { dialect: 'ultrax' }).reason).toBe('repeated_ops');
  });

  test('a removal that is said four times is a loop', () => {
    const removal = 'remove_lines(2, 3)';
    expect(run([removal, removal, removal]).status).toBe('edited');
    expect(run([removal, removal, removal, removal]).reason).toBe('repeated_ops');
  });

  test('takes its own window along, not the others', () => {
    const loop = [4, 9, 14, 20].map((base) => add(base, '***')).join('\n');
    const outcome = execute(
      text,
      [
        { lineStart: 0, lineEnd: 30, program: loop },
        { lineStart: 24, ownStart: 30, lineEnd: 60, program: 'remove_lines(60, 60)' },
      ],
      { dialect: 'ultrax' },
    );
    expect(outcome).toMatchObject({ status: 'edited', reason: 'edited_partly' });
    expect(outcome.text).toBe(lines.slice(0, 59).join('\n'));
  });

  test('costs bounded work whatever a program adds', () => {
    const letters = 'abcdefghijklmnopqrstuvwxyz'.repeat(78);
    const shuffled = Array.from({ length: 250 }, (_, at) =>
      add(at % 60, letters.slice(at % 26) + letters.slice(0, at % 26), at),
    );
    expect(run(shuffled, { addSimilarity: 0.999, maxAddPlaces: 99, maxSameAdds: 99 }).status).toBe(
      'failed',
    );
  });
});
