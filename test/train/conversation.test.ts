import { describe, expect, it } from 'vitest';
import { answersOf, exampleOf } from '../../src/train/conversation.ts';

const PLACE = { file: 'rows.jsonl', line: 7 };
const user = { role: 'user', content: 'u' };
const assistant = { role: 'assistant', content: 'a' };

/** Turns as `role:text`, learnt ones with a star. */
function turnsOf(row: Record<string, unknown>): string[] | string {
  const example = exampleOf(row, PLACE);
  if ('answer' in example) return `${example.prompt} → ${example.answer}`;
  return example.turns.map(({ role, text, learnt }) => `${role}:${text}${learnt ? '*' : ''}`);
}

describe('exampleOf', () => {
  const system = { role: 'system', content: 's' };
  it.each([
    ['one exchange', { messages: [user, assistant] }, ['user:u', 'assistant:a*']],
    [
      'several turns',
      { messages: [system, user, assistant, user, assistant] },
      ['system:s', 'user:u', 'assistant:a*', 'user:u', 'assistant:a*'],
    ],
    [
      'a question without an answer behind',
      { messages: [user, assistant, user] },
      ['user:u', 'assistant:a*', 'user:u'],
    ],
    [
      'a greeting in front',
      { messages: [assistant, user, assistant] },
      ['assistant:a', 'user:u', 'assistant:a*'],
    ],
    [
      'weights',
      { messages: [user, { ...assistant, weight: 0 }, user, { ...assistant, weight: 1 }] },
      ['user:u', 'assistant:a', 'user:u', 'assistant:a*'],
    ],
    [
      'content parts',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'b', image: null },
              { type: 'text', text: 'c' },
            ],
          },
          { role: 'assistant', content: ['d', { type: 'output_text', text: 'e' }], tool_calls: [] },
        ],
      },
      ['user:bc', 'assistant:de*'],
    ],
    [
      'ShareGPT',
      {
        messages: null,
        system: 'x',
        tools: '[]',
        conversations: [
          { from: 'human', value: 'u' },
          { from: 'gpt', value: 'a' },
          { from: 'human', value: 'v' },
          { from: 'gpt', value: 'b' },
        ],
      },
      ['system:x', 'user:u', 'assistant:a*', 'user:v', 'assistant:b*'],
    ],
    [
      'ShareGPT with a system turn',
      {
        conversations: [
          { from: 'system', value: 's' },
          { from: 'human', value: 'u' },
          { from: 'gpt', value: 'a' },
        ],
      },
      ['system:s', 'user:u', 'assistant:a*'],
    ],
    [
      'Alpaca',
      { instruction: 'i', input: 'n', output: 'o', text: 'i n o' },
      ['user:i\nn', 'assistant:o*'],
    ],
    [
      'Alpaca without input',
      { instruction: 'i', input: '', output: 'o' },
      ['user:i', 'assistant:o*'],
    ],
    [
      'Alpaca with a history',
      { instruction: 'i', input: null, output: 'o', system: 's', history: [['p', 'q']] },
      ['system:s', 'user:p', 'assistant:q*', 'user:i', 'assistant:o*'],
    ],
    [
      'instruction, context, response',
      { instruction: 'i', context: 'n', response: 'o' },
      ['user:i\nn', 'assistant:o*'],
    ],
    ['prompt and answer', { prompt: 'p', answer: 'a' }, 'p → a'],
    ['prompt and completion', { prompt: 'p', completion: 'a' }, 'p → a'],
    [
      'prompt and completion as messages',
      { prompt: [user, assistant, user], completion: [assistant] },
      ['user:u', 'assistant:a', 'user:u', 'assistant:a*'],
    ],
  ] as const)('reads %s', (_, row, expected) => {
    expect(turnsOf(row)).toEqual(expected);
  });

  it('counts thoughts, which are not learnt', () => {
    const thinking = { ...assistant, reasoning_content: 'hm' };
    expect(exampleOf({ messages: [user, thinking] }, PLACE)).toMatchObject({ nThoughts: 1 });
  });

  const image = { type: 'image_url', image_url: { url: 'x' } };
  it.each([
    [{ messages: 'u' }, /^messages: expected a list of messages, found "u"$/],
    [{ messages: [] }, /^messages: expected at least one message of the assistant, found/],
    [
      { messages: [user] },
      /^messages: expected at least one message of the assistant, found the roles \["user"\]/,
    ],
    [
      { messages: [assistant, user] },
      /^messages: expected a message of the assistant behind one of the user/,
    ],
    [
      { messages: ['u', 'a'] },
      /^messages\[0\]: expected a message with role and content, found "u"$/,
    ],
    [{ messages: [user, { role: 'assistant' }] }, /^messages\[1\]\.content: .* found nothing$/],
    [
      { messages: [user, { role: 'tool', content: '4' }] },
      /^messages\[1\]\.role: .*tools.* found "tool"$/,
    ],
    [{ messages: [user, { content: 'a' }] }, /^messages\[1\]\.role: .* found nothing$/],
    [
      { messages: [user, { ...assistant, content: null, tool_calls: [{ id: 1 }] }] },
      /^messages\[1\]\.tool_calls: .* found \[\{"id":1\}\]$/,
    ],
    [
      { messages: [user, { ...assistant, function_call: { name: 'f' } }] },
      /^messages\[1\]\.function_call: /,
    ],
    [
      { messages: [user, { ...assistant, weight: 2 }] },
      /^messages\[1\]\.weight: expected 0 or 1, found 2$/,
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }, image] }, assistant] },
      /^messages\[0\]\.content\[1\]\.type: .* found "image_url"$/,
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'text' }] }, assistant] },
      /^messages\[0\]\.content\[0\]\.text: expected a string, found nothing$/,
    ],
    [
      { conversations: [{ from: 'observation', value: '4' }] },
      /^conversations\[0\]\.from: .* found "observation"$/,
    ],
    [{ conversations: [{ from: 'human', value: 3 }] }, /^conversations\[0\]\.value: .* found 3$/],
    [{ conversations: [], tools: '[{"name":"f"}]' }, /^tools: /],
    [{ instruction: 'i', output: 'o', images: ['a.png'] }, /^images: .* found \["a.png"\]$/],
    [{ instruction: 'i' }, /^output: expected a string, found nothing$/],
    [{ instruction: 'i', output: 'o', history: [['p']] }, /^history\[0\]: expected a pair/],
    [{ prompt: 3 }, /^prompt: expected a string, found 3$/],
    [{ prompt: 'p' }, /^answer: expected a string, found nothing$/],
    [{ text: 'x' }, /^the row: expected messages, .* found the columns \["text"\]$/],
  ])('refuses %j, naming the field', (row, reason) => {
    expect(() => exampleOf(row, PLACE)).toThrow(
      expect.objectContaining({
        code: 'TRAIN_GOLD_INVALID',
        details: { ...PLACE, reason: expect.stringMatching(reason) },
      }),
    );
  });

  it('shows values of any length in a line', () => {
    const role = 'x'.repeat(1000);
    expect(() => exampleOf({ messages: [{ role, content: '' }] }, PLACE)).toThrow(/found "x{99}…$/);
  });
});

it('answersOf gives every answer', () => {
  const turns = [user, assistant, user, { role: 'assistant', content: 'b' }];
  expect(answersOf(exampleOf({ messages: turns }, PLACE))).toEqual(['a', 'b']);
  expect(answersOf({ prompt: 'p', answer: 'c' })).toEqual(['c']);
});
