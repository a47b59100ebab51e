import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import type { NativeEngine } from '../../src/native/engine.ts';
import { native } from '../../src/native/index.ts';
import type { NativeTokenizer } from '../../src/native/tokenizer.ts';
import { chunkFrame } from '../../src/refine/chunk-stage.ts';
import { PROFILES } from '../../src/refine/profiles.ts';
import { ChatEncoder } from '../../src/train/chat-examples.ts';
import type { ChatTurn } from '../../src/train/conversation.ts';

const CHATML =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const LINES = ['Home | About', 'A text with </s> and <|im_end|> in it, 日本語 too.', '', '© 2020'];
const MARKED = {
  prox: LINES.map((line, at) => `[00${at}]${line}`),
  ultrax: LINES.map((line, at) => `<lid:${at + 1}>${line}`),
};

const PLACE = { file: 'rows.jsonl', line: 3 };
const TEMPLATES = {
  /** Every message ends with the end of a text. */
  ends: '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}',
  plain:
    '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}',
  trimmed:
    '{% for m in messages %}</s>{{ m.role }}: {{ m.content | trim }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}',
  content: '{% for m in messages %}{{ m.content }}{% endfor %}',
};
const said = (role: ChatTurn['role'], text: string): ChatTurn => ({
  role,
  text,
  learnt: role === 'assistant',
});

/** What the templates above make of messages. */
function naive(name: 'ends' | 'plain' | 'trimmed', turns: readonly ChatTurn[]): string {
  const write = {
    ends: ({ role, text }: ChatTurn) => `<|im_start|>${role}\n${text}<|im_end|>\n`,
    plain: ({ role, text }: ChatTurn) => `${role}: ${text}\n`,
    trimmed: ({ role, text }: ChatTurn) => `</s>${role}: ${text.trim()}\n`,
  }[name];
  return turns.map(write).join('') + (name === 'ends' ? '<|im_start|>assistant\n' : 'assistant: ');
}

interface Opened {
  readonly encoder: ChatEncoder;
  readonly engine: NativeEngine;
  readonly tokenizer: NativeTokenizer;
}

async function withEncoder(
  file: string,
  {
    template,
    system = null,
    nCtx = 1024,
    ...limits
  }: {
    readonly template?: string;
    readonly system?: string | null;
    readonly nCtx?: number;
    readonly bos?: string;
    readonly spacePrefix?: boolean;
  },
  use: (opened: Opened) => Promise<void>,
): Promise<void> {
  const modelPath = join(folder, file);
  const profile = join(folder, 'asked.json');
  const asked = PROFILES['prox']!;
  const chunk = { ...asked.chunk!, bos: 'model', spacePrefix: true, ...limits };
  writeFileSync(profile, JSON.stringify({ ...asked, chat: { template, system }, chunk }));
  const tokenizer = await native().openTokenizer(modelPath);
  const sizes = { nThreads: 1, nSlots: 1, nCtxSlot: 1024, nUbatch: 64 };
  const engine = await native().openEngine({ modelPath, device: 'cpu', ...sizes });
  try {
    const options = template === undefined ? {} : { profile };
    const encoder = await ChatEncoder.open(tokenizer, modelPath, options, nCtx);
    await use({ encoder, engine, tokenizer });
  } finally {
    await engine.dispose();
    tokenizer.dispose();
  }
}

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
        const { system } = profile.chat;
        const turns = [...(system === null ? [] : [said('system', system)]), said('user', user)];
        const { examples } = await encoder.encode(
          { turns: [...turns, said('assistant', 'keep_all()')] },
          PLACE,
        );
        const { prompt, answer } = examples[0]!;
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
    await withEncoder('spm.gguf', {}, async ({ encoder }) => {
      const turns = [said('user', 'a'), said('assistant', 'b')];
      const encoded = encoder.encode({ turns }, PLACE);
      await expect(encoded).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    });
  });

  /** The oracle: the whole string, of parts whose texts hold no special tokens. */
  it.each([
    ['bpe.gguf', 'ends'],
    ['spm.gguf', 'plain'],
    ['spm.gguf', 'trimmed'],
  ] as const)('%s: conversations are the tokens of the whole string (%s)', async (file, name) => {
    const template = TEMPLATES[name];
    await withEncoder(file, { template }, async ({ encoder, engine, tokenizer }) => {
      const texts = [' be brief ', 'What is 日本?', ' An island. ', 'And\n\n', 'ok'];
      const turns = [
        said('system', texts[0]!),
        said('user', texts[1]!),
        said('assistant', texts[2]!),
        said('user', texts[3]!),
        said('assistant', texts[4]!),
      ];
      const whole = (upTo: number) =>
        Array.from(
          engine.tokenize(Buffer.from(naive(name, turns.slice(0, upTo))), {
            addSpecial: true,
            parseSpecial: true,
          }),
        );
      const { examples, nTooLong } = await encoder.encode({ turns }, PLACE);
      expect(nTooLong).toBe(0);
      const last = examples.at(-1)!;
      expect(Array.from(last.prompt)).toEqual(whole(4));
      if (name !== 'ends') {
        // The end of a text is not what stands behind an earlier answer: each is a sequence of its own.
        expect(examples).toHaveLength(2);
        expect(Array.from(examples[0]!.prompt)).toEqual(whole(2));
        return;
      }
      expect(examples).toHaveLength(1);
      expect(last.learnt).toHaveLength(1);
      const [start, end] = last.learnt![0]!;
      expect(Array.from(last.prompt.subarray(0, start))).toEqual(whole(2));
      const { eos } = tokenizer.info;
      const earlier = last.prompt.subarray(start, end);
      expect(earlier.at(-1)).toBe(eos);
      expect(Buffer.from(engine.detokenize(earlier)).toString()).toBe(texts[2]);
      expect(Buffer.from(engine.detokenize(last.answer)).toString()).toBe('ok');
      expect(last.answer.at(-1)).toBe(eos);
    });
  });

  it('never reads special tokens in messages, a system message neither', async () => {
    await withEncoder('bpe.gguf', { template: TEMPLATES.ends }, async ({ encoder, tokenizer }) => {
      const nEnds = async (hostile: string) => {
        const turns = [
          said('system', `a${hostile}b`),
          said('user', `c${hostile}d`),
          said('assistant', `e${hostile}f`),
          said('user', `g${hostile}h`),
          said('assistant', `k${hostile}`),
        ];
        const { examples } = await encoder.encode({ turns }, PLACE);
        const { eos } = tokenizer.info;
        return examples.flatMap(({ prompt, answer }) =>
          [...prompt, ...answer].filter((token) => token === eos),
        ).length;
      };
      expect(await nEnds('<|im_end|>')).toBe(await nEnds(''));
    });
  });

  it('frames one exchange with a system message of its own as the template does', async () => {
    // Both ways to a prompt, of a template's text and of messages, are one.
    await withEncoder('bpe.gguf', { template: TEMPLATES.ends }, async (opened) => {
      const turns = [said('system', 's t'), said('user', 'u'), said('assistant', 'a')];
      const { examples } = await opened.encoder.encode({ turns }, PLACE);
      await withEncoder(
        'bpe.gguf',
        { template: TEMPLATES.ends, system: 's t' },
        async ({ encoder }) => {
          expect((await encoder.encode({ turns }, PLACE)).examples).toEqual(examples);
        },
      );
    });
  });

  it('says a system message at the head of the next where the template has no place for it', async () => {
    const template =
      "{% for m in messages %}{% if m.role != 'system' %}[{{ m.content }}]{% endif %}{% endfor %}";
    await withEncoder('bpe.gguf', { template }, async ({ encoder, engine }) => {
      const turns = [said('system', 's'), said('user', 'u'), said('assistant', 'a')];
      const { examples } = await encoder.encode({ turns }, PLACE);
      expect(Buffer.from(engine.detokenize(examples[0]!.prompt)).toString()).toBe('[s\n\nu]');
    });
  });

  it('names the row whose messages the template does not take', async () => {
    const template =
      "{% if messages|length > 1 %}{{ raise_exception('one message only') }}{% endif %}{{ messages[0].content }}";
    await withEncoder('bpe.gguf', { template }, async ({ encoder }) => {
      const turns = [said('user', 'u'), said('assistant', 'a')];
      expect((await encoder.encode({ turns }, PLACE)).examples).toHaveLength(1);
      const encoded = encoder.encode({ turns: [...turns, ...turns] }, PLACE);
      await expect(encoded).rejects.toMatchObject({
        code: 'TRAIN_GOLD_INVALID',
        details: {
          ...PLACE,
          reason: expect.stringMatching(/user assistant user.*one message only/),
        },
      });
    });
  });

  it('leaves out answers that do not fit, and keeps those before them', async () => {
    await withEncoder('bpe.gguf', { template: TEMPLATES.ends, nCtx: 60 }, async ({ encoder }) => {
      const turns = [
        said('user', 'u'),
        said('assistant', 'a'),
        said('user', 'long '.repeat(200)),
        said('assistant', 'b'),
      ];
      const { examples, nTooLong } = await encoder.encode({ turns }, PLACE);
      expect([examples.length, nTooLong]).toEqual([1, 1]);
    });
  });

  // Rows of prompt and answer had no BOS, and their answers a SentencePiece space of their own.
  it.each(['model', 'none', 'once', 'twice'] as const)(
    'frames plain prompts as prompts in use (%s)',
    async (bos) => {
      for (const spacePrefix of [true, false]) {
        const options = { template: TEMPLATES.content, bos, spacePrefix };
        await withEncoder('spm.gguf', options, async ({ encoder, engine, tokenizer }) => {
          const row = { prompt: 'the tide <s> 日本', answer: 'keep_all()' };
          const plain = await encoder.encodeText(row);
          const turns = [said('user', row.prompt), said('assistant', row.answer)];
          expect((await encoder.encode({ turns }, PLACE)).examples).toEqual([plain]);
          const nBos = { model: 1, none: 0, once: 1, twice: 2 }[bos];
          const { bos: id, eos, addBos } = tokenizer.info;
          expect(addBos).toBe(true);
          expect(plain.prompt.filter((token) => token === id)).toHaveLength(nBos);
          const text = Buffer.from(engine.detokenize(plain.prompt)).toString();
          expect(text).toBe(`${spacePrefix ? ' ' : ''}${row.prompt}`);
          expect(Buffer.from(engine.detokenize(plain.answer)).toString()).toBe('keep_all()');
          expect(plain.answer.at(-1)).toBe(eos);
        });
      }
    },
  );
});
