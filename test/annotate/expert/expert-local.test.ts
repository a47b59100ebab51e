import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openExpert } from '../../../src/annotate/expert/expert.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import { defaultModelFile } from '../../../src/paths.ts';
import { openLocalEngine } from '../../../src/refine/engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-local-expert-'));
const gguf = join(folder, 'chat.gguf');
const chatTemplate =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>";

beforeAll(() =>
  writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: gguf, seed: 11, chatTemplate }),
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const request = (user: string, system: string | null = 'Judge.') => ({
  system,
  user,
  maxTokens: 12,
});

describe('a local model as an expert', () => {
  it('answers as the engine does over the chat template', async () => {
    await using expert = await openExpert({ gguf, isolate: false, threads: 1, slots: 4 });
    expect(expert.concurrency).toBe(8);
    const users = ['one', 'two {text}', 'three\nlines', '<assistant>', ''];
    const answers = await Promise.all(users.map((user) => expert.ask(request(user))));
    const engine = await openLocalEngine({
      modelPath: gguf,
      device: 'cpu',
      nThreads: 1,
      nSlots: 4,
      nCtxSlot: 2048,
      nUbatch: 512,
    });
    try {
      for (const [index, user] of users.entries()) {
        const data = Buffer.from(user);
        const { programs, promptTokens, newTokens } = await engine.generateText({
          data,
          offsets: Int32Array.of(0, data.length),
          docs: null,
          frame: {
            prefix: '<system>Judge.\n<user>',
            suffix: '\n<assistant>',
            addBos: engine.info.addBos,
            trimStart: false,
            trimEnd: false,
            maxTokens: 2048,
            truncate: 'prompt',
          },
          maxNewTokens: 12,
        });
        expect(answers[index]).toMatchObject({
          text: programs[0],
          promptTokens: promptTokens[0],
          answerTokens: newTokens[0],
          cached: false,
        });
      }
    } finally {
      await engine.dispose();
    }
    expect(expert.stats()).toMatchObject({ requests: 5, failed: 0, estimated: 0 });
  });

  it('serves asks of several kinds and turns, in a process of its own', async () => {
    const cacheDir = join(folder, 'answers');
    const ask = async () => {
      await using expert = await openExpert({ gguf, threads: 1, slots: 2, cacheDir });
      const answers = [];
      for (let turn = 0; turn < 3; turn++) {
        const asks = ['a', 'b', 'c', 'd', 'e'].map((user) =>
          expert.ask(request(`${user}${turn}`, turn === 1 ? null : user)),
        );
        answers.push(...(await Promise.all(asks)).map(({ text, hash }) => ({ text, hash })));
      }
      return { answers, stats: expert.stats() };
    };
    const first = await ask();
    const second = await ask();
    expect(second.answers).toEqual(first.answers);
    expect(first.stats).toMatchObject({ requests: 15, cached: 0 });
    expect(second.stats).toMatchObject({ requests: 0, cached: 15 });
  });

  it('is known by its file’s digest', async () => {
    await using expert = await openExpert({ gguf, isolate: false, threads: 1, slots: 1 });
    const { hash } = await expert.ask(request('x'));
    const sha256 = createHash('sha256').update(readFileSync(gguf)).digest('hex');
    const identity = { kind: 'gguf', sha256 };
    const whole = { identity, system: 'Judge.', user: 'x', maxTokens: 12, temperature: 0 };
    expect(hash).toBe(createHash('sha256').update(JSON.stringify(whole)).digest('hex'));
  });

  it('fails a prompt that does not fit, and cuts nothing', async () => {
    await using expert = await openExpert({
      gguf,
      isolate: false,
      threads: 1,
      slots: 2,
      contextTokens: 256,
    });
    const [short, long, longer] = await Promise.allSettled(
      ['fits', 'word '.repeat(300), 'word '.repeat(50_000)].map((user) =>
        expert.ask(request(user)),
      ),
    );
    expect(short!.status).toBe('fulfilled');
    for (const outcome of [long, longer]) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'ANNOTATE_EXPERT_FAILED', details: { ofPrompt: true } },
      });
    }
  });

  it('lets asks that are not begun go when it is interrupted', async () => {
    await using expert = await openExpert({ gguf, isolate: false, threads: 1, slots: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const asks = ['1', '2', '3'].map((user) => expert.ask(request(user), { signal }));
    controller.abort();
    const outcomes = await Promise.allSettled(asks);
    expect(outcomes.at(-1)).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } });
  });

  it('must be a language model with a chat template', async () => {
    const plain = join(folder, 'plain.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: plain, seed: 1 });
    await expect(openExpert({ gguf: plain, isolate: false })).rejects.toMatchObject({
      code: 'PROFILE_TEMPLATE_FAILED',
    });
    await expect(openExpert({ gguf: defaultModelFile('document') })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(openExpert({ gguf: join(folder, 'none.gguf') })).rejects.toMatchObject({
      code: 'ENGINE_MODEL_MISSING',
    });
  });
});
