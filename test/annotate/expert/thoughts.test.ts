import { expect, it } from 'vitest';
import { withoutThoughts } from '../../../src/annotate/expert/thoughts.ts';

it.each([
  ['no thought at all', 'no thought at all'],
  ['<think>one</think>\n\nyes', 'yes'],
  ['<THINK>one</THINK> yes', 'yes'],
  ['<think>one</think><think>two</think>yes', 'yes'],
  ['<think>never ended', ''],
  [
    'the first line is a menu\n</think>\n\nremove_lines(start=0, end=0)',
    'remove_lines(start=0, end=0)',
  ],
  ['a <think>not leading</think>', 'a <think>not leading</think>'],
  ['<thinking>one</thinking>yes', 'yes'],
  ['<reasoning>one</reasoning>yes', 'yes'],
  ['<seed:think>one</seed:think>yes', 'yes'],
  ['[THINK]one[/THINK]yes', 'yes'],
  ['one[/THINK]yes', 'yes'],
  ['◁think▷one◁/think▷yes', 'yes'],
  ['<|begin_of_thought|>one<|end_of_thought|><|begin_of_solution|>yes<|end_of_solution|>', 'yes'],
  ['<think>one</think><answer>yes</answer>', 'yes'],
  ['<answer>yes</answer>', '<answer>yes</answer>'],
  [
    '<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>final<|message|>yes<|return|>',
    'yes',
  ],
  ['<|channel|>analysis<|message|>one', ''],
  ['analysisWe think.assistantfinalyes', 'yes'],
  ['analysis of the page', 'analysis of the page'],
])('%j reads %j', (text, answer) => {
  expect(withoutThoughts(text)).toBe(answer);
});
