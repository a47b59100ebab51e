import { describe, expect, it } from 'vitest';
import { parseCompletion } from '../../../src/annotate/expert/completion.ts';

const body = (content: unknown, choice: object = {}): string =>
  JSON.stringify({
    choices: [{ message: { content }, finish_reason: 'stop', ...choice }],
    usage: { prompt_tokens: 5, completion_tokens: 2 },
  });
const events = (...data: unknown[]): string =>
  data
    .map((each) => `data: ${typeof each === 'string' ? each : JSON.stringify(each)}\n\n`)
    .join('');
const delta = (content: unknown, more: object = {}) => ({
  choices: [{ delta: { content }, ...more }],
});
const USAGE = { promptTokens: 5, answerTokens: 2 };

describe('parseCompletion', () => {
  it.each([
    ['a string', 'yes'],
    [
      'parts',
      [
        { type: 'text', text: 'y' },
        { type: 'text', text: 'es' },
      ],
    ],
    [
      'a thought and a text',
      [
        { type: 'thinking', thinking: [{ type: 'text', text: 'no' }] },
        { type: 'text', text: 'yes' },
      ],
    ],
    [
      'a part of reasoning with a text',
      [
        { type: 'reasoning', text: 'no' },
        { type: 'output_text', text: 'yes' },
      ],
    ],
    ['a text that is marked as thought', [{ text: 'no', thought: true }, { text: 'yes' }]],
    ['strings', ['y', 'es']],
    ['one part', { type: 'text', text: 'yes' }],
    ['a text with a value', [{ type: 'text', text: { value: 'yes' } }]],
  ])('reads %s', (_, content) => {
    expect(parseCompletion(body(content))).toEqual({ text: 'yes', finish: 'stop', usage: USAGE });
    expect(parseCompletion(`\ufeff${body(content)}`)).toMatchObject({ text: 'yes' });
  });

  it.each([
    ['stop', 'stop'],
    [null, 'stop'],
    ['STOP', 'stop'],
    ['eos_token', 'stop'],
    ['end_turn', 'stop'],
    ['COMPLETE', 'stop'],
    ['length', 'length'],
    ['MAX_TOKENS', 'length'],
    ['model_length', 'length'],
    ['max_output_tokens', 'length'],
  ])('takes the finish reason %j for %s', (finish_reason, finish) => {
    expect(parseCompletion(body('x', { finish_reason }))).toMatchObject({ finish });
  });

  // Everything but `length` was taken for whole.
  it.each(['abort', 'insufficient_system_resource', 'error', 'whatever comes', 7])(
    'takes the finish reason %j for no answer',
    (finish_reason) => {
      expect(parseCompletion(body('x', { finish_reason }))).toMatchObject({
        final: false,
        usage: USAGE,
      });
    },
  );

  it.each(['\n\n', '\r\n\r\n'])('joins a stream of events (%j between them)', (gap) => {
    const stream = events(
      { choices: [{ delta: { role: 'assistant', content: '' }, finish_reason: null }] },
      { choices: [{ delta: { reasoning_content: 'no' } }] },
      delta('y'),
      delta([
        { type: 'thinking', thinking: 'no' },
        { type: 'text', text: 'es' },
      ]),
      { choices: [{ delta: {}, finish_reason: 'stop' }] },
      { choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 } },
      '[DONE]',
    ).replaceAll('\n\n', gap);
    expect(parseCompletion(`: waiting${gap}${stream}`)).toEqual({
      text: 'yes',
      finish: 'stop',
      usage: USAGE,
    });
  });

  it('knows the end of a stream', () => {
    expect(parseCompletion(events(delta('yes'), '[DONE]'))).toMatchObject({
      text: 'yes',
      finish: 'stop',
    });
    expect(parseCompletion(events(delta('yes'), '[DONE]').trim())).toMatchObject({ text: 'yes' });
    expect(parseCompletion(events(delta('x', { finish_reason: 'length' })))).toMatchObject({
      finish: 'length',
    });
    expect(parseCompletion(events(delta('half')))).toMatchObject({
      problem: 'a stream that broke off',
    });
    expect(parseCompletion(events(delta('x'), { error: 'oops' }))).toMatchObject({
      problem: 'an error',
    });
    expect(
      parseCompletion(events({ choices: [{ delta: { refusal: 'No' } }] }, '[DONE]')),
    ).toMatchObject({ final: true });
    expect(parseCompletion('data: {')).toMatchObject({ final: false });
  });
});
