/** What answers of no use cost, and waits: an endpoint that answers, is paid, and says nothing. */
import { describe, expect, it } from 'vitest';
import type { ExpertPause } from '../../../src/annotate/expert/expert-endpoint.ts';
import { completion, reply } from '../../support/expert-server.ts';
import { ask, failure, folder, open, server } from './support.ts';

const USAGE = { prompt_tokens: 1000, completion_tokens: 512 };

describe('tokens', () => {
  // 28 requests of 1,512 tokens each went by under a budget of 2,000, with all counters at 0.
  it('of answers of no use are counted and end the budget', async () => {
    const message = { content: null, reasoning_content: 'a thought' };
    const body = completion('', { choices: [{ message, finish_reason: 'stop' }], usage: USAGE });
    server.behave((_, r) => reply(r, body));
    const expert = await open({ maxTokens: 2000, concurrency: 1 });
    const asks = ['a', 'b', 'c', 'd'].map((user) => expert.ask(ask(user, { maxTokens: 512 })));
    const codes = (await Promise.all(asks.map(failure))).map(({ code }) => code);
    expect(codes).toEqual(Array(4).fill('ANNOTATE_BUDGET_SPENT'));
    const { requests, promptTokens, answerTokens } = expert.stats();
    expect(requests).toBe(server.seen.length);
    expect([promptTokens, answerTokens]).toEqual([1000 * requests, 512 * requests]);
    expect(promptTokens + answerTokens).toBeLessThan(2000 + 1512);
  });

  // A prompt of one character was taken for one token, whatever the server counted.
  it('of prompts are learnt from those that were counted', async () => {
    const usage = { prompt_tokens: 30, completion_tokens: 10 };
    server.behave((_, r) => reply(r, completion('yes', { usage })));
    const expert = await open({ maxTokens: 100, concurrency: 1 });
    const asks = ['a', 'b', 'c', 'd'].map((user) =>
      expert.ask(ask(user, { system: null, maxTokens: 10 })),
    );
    const settled = await Promise.allSettled(asks);
    expect(settled.map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'rejected', 'rejected'],
    ]);
    const { promptTokens, answerTokens } = expert.stats();
    expect(promptTokens + answerTokens).toBe(80);
  });

  it.each([
    [200, completion('', { choices: [{ message: { refusal: 'No.' } }], usage: USAGE })],
    [200, completion('x', { choices: [{ message: {}, finish_reason: 'abort' }], usage: USAGE })],
    [200, completion('  ', { usage: USAGE })],
    [200, JSON.stringify({ choices: [], usage: USAGE })],
    [200, JSON.stringify({ error: 'overloaded', usage: USAGE })],
    [200, `data: ${JSON.stringify({ choices: [], usage: USAGE })}\n\n`],
    [400, JSON.stringify({ error: 'no', usage: USAGE })],
    [500, JSON.stringify({ error: 'no', usage: USAGE })],
  ])('that a body of status %i names are counted: %s', async (status, body) => {
    server.behave((_, r) => reply(r, body, { status }));
    const expert = await open({ maxRetries: 1 });
    await failure(expert.ask(ask('x')));
    const { requests, promptTokens, answerTokens, unknown } = expert.stats();
    expect([promptTokens, answerTokens]).toEqual([1000 * requests, 512 * requests]);
    expect(unknown).toBe(0);
  });

  it.each([
    ['a time-out', (): void => undefined],
    [
      'a body that breaks off',
      (r: Parameters<typeof reply>[0]): void => {
        r.writeHead(200, { 'content-length': '1000' });
        r.write('{"choices"', () => r.destroy());
      },
    ],
  ])('of %s are not known and count in full', async (_, misbehave) => {
    server.behave((_, r) => misbehave(r));
    // One attempt may cost 14 tokens: 4 of the prompt, 10 of the answer.
    const expert = await open({ maxTokens: 30, maxRetries: 5, timeoutMs: 150 });
    expect((await failure(expert.ask(ask('x')))).code).toBe('ANNOTATE_BUDGET_SPENT');
    expect(expert.stats()).toMatchObject({ requests: 2, unknown: 2, promptTokens: 0 });
  });
});

describe('the cache', () => {
  it('does not keep an empty answer, nor a cut that the server made before the bound', async () => {
    const cacheDir = folder();
    const cut = (completion_tokens: number): string =>
      completion('', {
        choices: [{ message: { content: 'cut' }, finish_reason: 'MAX_TOKENS' }],
        usage: { prompt_tokens: 7, completion_tokens },
      });
    server.behave(({ user }, r) => reply(r, user === 'empty' ? completion('') : cut(4)));
    const expert = await open({ cacheDir, maxRetries: 0 });
    await failure(expert.ask(ask('empty')));
    expect(await expert.ask(ask('early'))).toMatchObject({ text: 'cut', finish: 'length' });
    server.behave((_, r) => reply(r, cut(10)));
    expect(await expert.ask(ask('late'))).toMatchObject({ finish: 'length', cached: false });
    server.behave(({ user }, r) => reply(r, completion(user)));
    for (const user of ['empty', 'early']) {
      expect(await expert.ask(ask(user))).toMatchObject({ text: user, cached: false });
    }
    expect(await expert.ask(ask('late'))).toMatchObject({ text: 'cut', cached: true });
  });
});

describe('the form of a request', () => {
  // The second refusal of four found the field switched already and ended the run.
  it('is changed for all that were under way with the old one', async () => {
    server.behave(async ({ body, user }, r) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (body.max_tokens !== undefined) {
        reply(r, "'max_tokens' is not supported. Use 'max_completion_tokens'.", { status: 400 });
      } else if (body.temperature !== undefined) {
        reply(r, "'temperature' does not support 0 with this model.", { status: 400 });
      } else reply(r, completion(user));
    });
    const expert = await open({ concurrency: 4, maxRetries: 0 });
    const users = ['1', '2', '3', '4'];
    const answers = await Promise.all(users.map((user) => expert.ask(ask(user))));
    expect(answers.map(({ text }) => text)).toEqual(users);
  });
});

describe('further fields', () => {
  it('are sent, replace or take away others, and are part of what an answer depends on', async () => {
    const cacheDir = folder();
    const body = { seed: 7, chat_template_kwargs: { enable_thinking: false }, temperature: null };
    const expert = await open({ cacheDir, body });
    const one = await expert.ask(ask('x'));
    expect(server.seen[0]!.body).toMatchObject({
      seed: 7,
      chat_template_kwargs: body.chat_template_kwargs,
    });
    expect('temperature' in server.seen[0]!.body).toBe(false);
    const other = await (await open({ cacheDir })).ask(ask('x'));
    expect(other).toMatchObject({ cached: false });
    expect(other.hash).not.toBe(one.hash);
    expect((await failure(open({ body: { messages: [] } }))).code).toBe('OPTION_INVALID');
  });
});

describe('a wait', () => {
  it('that is longer than what is believed ends the run, with the words of the server', async () => {
    const body = '{"error":{"message":"the quota of the day is used up"}}';
    server.behave((_, r) => reply(r, body, { status: 429, headers: { 'retry-after': '86400' } }));
    const error = await failure((await open()).ask(ask('x')));
    expect(error.code).toBe('ANNOTATE_EXPERT_QUOTA');
    expect(error.message).toContain('the quota of the day is used up');
    expect(error.message).toContain('24 hours');
    expect(server.seen).toHaveLength(1);
  });

  it.each([
    [429, '{"error":{"code":"insufficient_quota"}}'],
    [402, 'Payment required'],
    [403, 'your credit balance is too low'],
  ])('%i %s does not help where nobody pays', async (status, body) => {
    server.behave((_, r) => reply(r, body, { status }));
    expect((await failure((await open()).ask(ask('x')))).code).toBe('ANNOTATE_EXPERT_QUOTA');
    expect(server.seen).toHaveLength(1);
  });

  it('of more than a few seconds is told once when it begins', async () => {
    const pauses: ExpertPause[] = [];
    const controller = new AbortController();
    server.behave((_, r) =>
      reply(r, 'slow down', { status: 429, headers: { 'retry-after': '30' } }),
    );
    const expert = await open({ onPause: (pause) => pauses.push(pause), concurrency: 3 });
    const asks = ['1', '2', '3'].map((user) =>
      failure(expert.ask(ask(user), { signal: controller.signal })),
    );
    while (server.seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    controller.abort();
    await Promise.all(asks);
    expect(pauses).toEqual([{ expert: 'm', pauseMs: 30_000, reason: 'status 429: slow down' }]);
  });
});
