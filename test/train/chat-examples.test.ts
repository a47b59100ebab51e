import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { native } from '../../src/native.ts';
import { chunkFrame } from '../../src/refine/chunk-stage.ts';
import { PROFILES } from '../../src/refine/profile.ts';
import { ChatEncoder, chatOf } from '../../src/train/chat-examples.ts';

const CHATML =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const LINES = ['Home | About', 'A text with </s> and <|im_end|> in it, 日本語 too.', '', '© 2020'];
const MARKED = {
  prox: LINES.map((line, at) => `[00${at}]${line}`),
  ultrax: LINES.map((line, at) => `<lid:${at + 1}>${line}`),
};

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-chats-'));
  const shape = { ...RANDOM_MODEL_PRESETS.tiny, seed: 3 };
  await writeRandomModel({ ...shape, path: join(folder, 'spm.gguf') });
  await writeRandomModel({
    ...shape,
    tokenizer: 'bpe',
    chatTemplate: CHATML,
    path: join(folder, 'bpe.gguf'),
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('ChatEncoder', () => {
  it.each([
    ['spm.gguf', 'prox-web', 'prox'],
    ['spm.gguf', 'prox', 'prox'],
    ['bpe.gguf', 'prox-gguf', 'prox'],
    ['bpe.gguf', 'ultrax', 'ultrax'],
  ] as const)(
    '%s, %s: builds the prompt that the chunk stage builds',
    async (file, name, dialect) => {
      const profile = PROFILES[name]!;
      const modelPath = join(folder, file);
      const tokenizer = await native().openTokenizer(modelPath);
      const sizes = { nThreads: 1, nSlots: 1, nCtxSlot: 1024, nUbatch: 64 };
      const engine = await native().openEngine({ modelPath, device: 'cpu', ...sizes });
      try {
        const encoder = await ChatEncoder.open(tokenizer, modelPath, { profile: name }, 1024);
        const user = profile.chunk!.user.replace('{lines}', () => MARKED[dialect].join('\n'));
        const { prompt, answer } = await encoder.encode({
          system: profile.chat.system,
          user,
          assistant: 'keep_all()',
        });
        const data = Buffer.from(LINES.join('\n'));
        const { tokens } = await engine.renderPrompts({
          data,
          offsets: Int32Array.of(0, data.length),
          windows: {
            doc: Int32Array.of(0),
            lineStart: Int32Array.of(0),
            lineEnd: Int32Array.of(LINES.length),
          },
          frame: chunkFrame(profile, engine.info(), 1024),
          lineFormat: { ...profile.chunk!.line, firstLine: dialect === 'prox' ? 0 : 1 },
        });
        expect(Array.from(prompt)).toEqual(Array.from(tokens));
        expect(answer.at(-1)).toBe(tokenizer.info.eos);
        const written = Buffer.from(engine.detokenize(answer.subarray(0, -1))).toString();
        expect(written.trimStart()).toBe('keep_all()');
      } finally {
        await engine.dispose();
        tokenizer.dispose();
      }
    },
  );

  it('says what is missing where there is no template', async () => {
    const modelPath = join(folder, 'spm.gguf');
    const tokenizer = await native().openTokenizer(modelPath);
    const encoder = await ChatEncoder.open(tokenizer, modelPath, {}, 1024);
    const chat = { system: null, user: 'a', assistant: 'b' };
    await expect(encoder.encode(chat)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    tokenizer.dispose();
  });
});

describe('chatOf', () => {
  const user = { role: 'user', content: 'u' };
  const assistant = { role: 'assistant', content: 'a' };
  it('reads one exchange, with a system message or without', () => {
    expect(chatOf([user, assistant])).toEqual({ system: null, user: 'u', assistant: 'a' });
    expect(chatOf([{ role: 'system', content: 's' }, user, assistant])).toEqual({
      system: 's',
      user: 'u',
      assistant: 'a',
    });
  });
  it.each([
    [null],
    [[]],
    [[user]],
    [[assistant, user]],
    [[user, assistant, user]],
    [[user, { role: 'assistant' }]],
    [['u', 'a']],
  ])('refuses %j', (messages) => {
    expect(chatOf(messages)).toMatch(/^messages of the roles/);
  });
});
