import { describe, expect, it } from 'vitest';
import { mergeAnswers } from '../../../src/annotate/derive/merge-programs.ts';
import { print } from '../../../src/program/parse.ts';

const LINES = [
  'Home | About',
  'A text about swifts.',
  'See http://x.org/?q=1&r=2 (bar).',
  '© 2020 Us',
  'Us, again',
];
const PROX = { dialect: 'prox', lineStart: 40 } as const;

function merged(
  answers: readonly string[],
  options: Parameters<typeof mergeAnswers>[2] = PROX,
): string {
  const result = mergeAnswers(LINES, answers, options);
  return 'reason' in result ? result.reason : print(result.ops, options.dialect);
}

describe('mergeAnswers', () => {
  it('unites removed lines and numbers them by the document', () => {
    const answers = [
      'remove_lines(start=0, end=0)',
      'untouch_doc()',
      'remove_lines(start=3, end=4)\nremove_lines(start=3, end=3)',
    ];
    expect(merged(answers)).toBe('remove_lines(start=40, end=40)\nremove_lines(start=43, end=44)');
  });

  it('reads programs in code fences, with comments', () => {
    expect(merged(['```python\n# the menu\nremove_lines(start=0, end=0)\n```'])).toBe(
      'remove_lines(start=40, end=40)',
    );
  });

  it('lists a string once, and not at all where its lines go', () => {
    const url = 'normalize(source_str="http://x.org/?q=1&r=2 ", target_str="")';
    expect(merged([url, url])).toBe(url);
    expect(merged([url, 'remove_lines(start=2, end=2)'])).toBe('remove_lines(start=42, end=42)');
  });

  it('turns strings into replace_str by line for UltraX', () => {
    const options = { dialect: 'ultrax', lineStart: 0 } as const;
    expect(merged(['normalize(source_str=" Us", target_str="")'], options)).toBe(
      "replace_str(4, ' Us', '')",
    );
    expect(merged(['normalize(source_str="a", target_str="")'], options)).toBe('source_not_unique');
  });

  it('keeps the window when nothing is to go', () => {
    expect(mergeAnswers(LINES, ['untouch_doc()', 'untouch_doc()'], PROX)).toEqual({ ops: [] });
  });

  it.each([
    ['Sure! Here is the program:', 'malformed_program'],
    ['delete_everything()', 'malformed_program'],
    ['remove_lines(start=3, end=2)', 'malformed_program'],
    ['', 'empty_answer'],
    ['# nothing to do', 'empty_answer'],
    ['remove_lines(start=3, end=5)', 'out_of_window'],
    ['remove_lines(start=0, end=', 'cut_off'],
    ['untouch_doc()\nremove_lines(start=0, end=0)', 'contradiction'],
    ['normalize(source_str="nowhere", target_str="")', 'source_missing'],
    ['normalize(source_str="Home", target_str="House")', 'rewords'],
    ['untouch_doc()\n'.repeat(300), 'too_many_ops'],
  ])('refuses %j', (answer, reason) => {
    expect(merged(['untouch_doc()', answer])).toBe(reason);
  });

  it('takes replacements when they are allowed', () => {
    const answer = 'normalize(source_str="Home", target_str="House")';
    expect(merged([answer], { ...PROX, allowReplacements: true })).toBe(answer);
  });
});
